// `ballast tune calibrate`, `export` and `eval`: look at projectors, write a
// tuned model, judge one.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "ballast/base/errors.h"
#include "ballast/data/safetensors.h"
#include "ballast/tune/checkpoint.h"
#include "ballast/tune/verbs.h"

namespace ballast::tune {
namespace {

void calibrate(WorkloadFlags flags, const LspOptions& lsp, const cli::Common& common) {
  resolve(flags, common);
  cli::catch_interrupts();
  const Workload workload = load_workload(flags.workload);
  EmulatedDevice device({.budget = flags.limits.budget});
  const auto decoder = workload.fresh();
  Trainer trainer(*decoder, device, make_lsp(lsp, schedule_from_string("layerwise"), {}),
                  {.seed = common.seed});
  CalibrationReport report = trainer.calibrate(workload.corpus->calibration(flags.workload.rows));
  std::sort(report.biases.begin(), report.biases.end(),
            [](const auto& a, const auto& b) { return a.after > b.after; });
  Table table(
      fmt::format(
          "{}: relative bias of fitted projectors on the calibration gradient (measured), worst first",
          workload.label),
      {"unit", "shape", "d", "random", "fitted", "iterations", "ended by"});
  Json list = Json::array();
  int worse = 0;
  for (const UnitBias& bias : report.biases) {
    worse += bias.after > 1 ? 1 : 0;
    table.row({bias.unit, fmt::format("{}x{}", bias.rows, bias.cols), std::to_string(bias.d),
               fmt::format("{:.3f}", bias.before), fmt::format("{:.3f}", bias.after),
               std::to_string(bias.fit.iterations), to_string(bias.fit.why)});
    list.push_back({{"unit", bias.unit},
                    {"rows", bias.rows},
                    {"cols", bias.cols},
                    {"d", bias.d},
                    {"random", bias.before},
                    {"fitted", bias.after},
                    {"iterations", bias.fit.iterations}});
  }
  common.write_json({{"model", workload.label}, {"seconds", report.seconds}, {"units", list}});
  Report page("Projectors");
  page.section(workload.label).table(table).command(common.command_line);
  common.write_report(page);
  if (common.for_people()) {
    table.print(stdout);
    if (worse > 0)
      fmt::print("warning: {} of {} projectors are worse than no update (bias above 1)\n", worse,
                 report.biases.size());
  }
}

struct ExportFlags {
  std::string from, model = "smollm2", to, type = "f32";
  std::int64_t keep_blocks = 0;
};

// A checkpoint's weights, filled into a model of the same shape.
void fill_from(const CheckpointInfo& checkpoint, model::BlockModel& model) {
  if (checkpoint.facts.value("method", "") == "lora")
    throw InvalidInput(checkpoint.folder, "a lora run",
                       "runs whose weights are in the checkpoint; use run --gguf or --folder for lora");
  NamedTensors tensors;
  for (const auto& parameter : model.named_parameters())
    tensors.emplace_back("model." + parameter.key(), parameter.value().detach());
  load_checkpoint(checkpoint, tensors, Json::object());
}

void run_export(const ExportFlags& flags, const cli::Common& common) {
  const auto format = llama::number_format_from_string(flags.type);
  const CheckpointInfo checkpoint = find_checkpoint(flags.from);
  const ModelSource source = open_model(flags.model, flags.keep_blocks, common.seed);
  const auto model = source.load();
  const Task task = task_from_string(checkpoint.facts.value("task", "clm"));
  if (labelled(task)) {
    const auto classes = checkpoint.facts.value("classes", Json::array()).size();
    model->set_sequence_head(
        {.outputs = static_cast<std::int64_t>(classes), .regression = task == Task::regress});
  }
  fill_from(checkpoint, *model);
  if (flags.to.ends_with(".safetensors")) {
    std::map<std::string, data::ArrayView> views;
    const auto named = gguf_tensors(*model);
    for (const auto& [name, tensor] : named) {
      views[name] = {data::DType::f32,
                     {tensor.sizes().begin(), tensor.sizes().end()},
                     {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()}};
    }
    data::write_safetensors(flags.to, views, {{"format", "pt"}});
  } else if (flags.to.ends_with(".gguf")) {
    if (!source.gguf) throw InvalidInput("--to", flags.to, "a folder, for a model that came from no GGUF");
    export_gguf(*model, source.gguf->path(), flags.to, format);
  } else {
    export_folder(*model, source, flags.to);
  }
  common.write_json({{"written", flags.to}, {"step", checkpoint.step}});
  if (common.for_people()) fmt::print("written: {} (step {})\n", flags.to, checkpoint.step);
}

struct EvalFlags : WorkloadFlags {
  std::int64_t windows = 32;
  std::string from;
};

void evaluate(EvalFlags flags, const cli::Common& common) {
  resolve(flags, common);
  const Workload workload = load_workload(flags.workload);
  EmulatedDevice device({});
  const auto model = workload.fresh();
  if (!flags.from.empty()) fill_from(find_checkpoint(flags.from), *model);
  Trainer trainer(*model, device, make_native(true), {});
  const EvalReport report = trainer.evaluate(workload.corpus->validation(flags.workload.rows, flags.windows));
  common.write_json({{"model", workload.label},
                     {"loss", report.loss},
                     {"perplexity", report.perplexity},
                     {"accuracy", report.accuracy},
                     {"f1", report.metrics.f1},
                     {"matthews", report.metrics.matthews},
                     {"pearson", report.metrics.pearson},
                     {"tokens", report.tokens}});
  if (!common.for_people()) return;
  if (labelled(workload.task)) {
    Table table(workload.label + " on held-out samples (measured)",
                {"samples", "loss", "accuracy", "F1", "Matthews", "Pearson"});
    table.row({std::to_string(report.tokens), fmt::format("{:.4f}", report.loss),
               fmt::format("{:.3f}", report.accuracy), fmt::format("{:.3f}", report.metrics.f1),
               fmt::format("{:.3f}", report.metrics.matthews),
               fmt::format("{:.3f}", report.metrics.pearson)});
    table.print(stdout);
    return;
  }
  Table table(workload.label + " on held-out text (measured)",
              {"tokens", "loss", "perplexity", "next-token accuracy"});
  table.row({std::to_string(report.tokens), fmt::format("{:.4f}", report.loss),
             fmt::format("{:.2f}", report.perplexity), fmt::format("{:.3f}", report.accuracy)});
  table.print(stdout);
}

}  // namespace

void add_calibrate(cli::Program& program) {
  auto verb = program.verb("calibrate", "fit projectors and show their bias, unit by unit",
                           {"ballast tune calibrate --keep-layers 2 --d-fraction 0.5 --r 8",
                            "ballast tune calibrate --model mini --text notes.txt --fit-iterations 100"});
  const auto flags = std::make_shared<std::pair<WorkloadFlags, LspOptions>>();
  add_workload_flags(verb, flags->first);
  verb->add_option("--d-fraction", flags->second.fraction, "subspace size as a share of min(m, n)")
      ->check(CLI::Range(0.001, 1.0));
  verb->add_option("--d", flags->second.d, "subspace size, in place of the share");
  verb->add_option("--r", flags->second.r, "nonzeros in a row of a projector");
  verb->add_option("--fit-iterations", flags->second.fit.iterations, "iterations of fitting");
  verb->add_option("--lr-fit", flags->second.fit.rate, "learning rate of fitting");
  verb->add_option("--beta", flags->second.fit.beta, "weight of the regulariser");
  verb.run([flags](const cli::Common& common) { calibrate(flags->first, flags->second, common); });
}

void add_export(cli::Program& program) {
  auto verb = program.verb("export", "write a checkpoint's weights as GGUF or safetensors",
                           {"ballast tune export out --to tuned.gguf --type q8_0",
                            "ballast tune export out --model base.gguf --to tuned.safetensors"});
  const auto flags = std::make_shared<ExportFlags>();
  verb->add_option("checkpoint", flags->from, "the folder that run --out wrote")->required();
  verb->add_option("--model", flags->model, "the model that the run started from");
  verb->add_option("--keep-layers", flags->keep_blocks, "as in the run");
  verb->add_option("--to", flags->to, "a .gguf or .safetensors file, or a folder in Hugging Face's form")
      ->required();
  verb->add_option("--type", flags->type, "of a GGUF: f32, bf16, q8_0, q4_0, q4_1");
  verb.run([flags](const cli::Common& common) { run_export(*flags, common); });
}

void add_eval(cli::Program& program) {
  auto verb = program.verb(
      "eval", "loss, perplexity and accuracy of a model on held-out text",
      {"ballast tune eval --model tuned.gguf --text notes.txt", "ballast tune eval --keep-layers 8 --json"});
  const auto flags = std::make_shared<EvalFlags>();
  add_workload_flags(verb, *flags);
  verb->add_option("--from", flags->from,
                   "the folder that run --out wrote: its weights in place of the model's");
  verb->add_option("--windows", flags->windows, "held-out windows to judge on")->check(CLI::PositiveNumber);
  verb.run([flags](const cli::Common& common) { evaluate(*flags, common); });
}

}  // namespace ballast::tune
