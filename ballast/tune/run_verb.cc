// `ballast tune run`: trains.

#include <fmt/format.h>

#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/progress.h"
#include "ballast/tune/verbs.h"

namespace ballast::tune {
namespace {

struct RunFlags : WorkloadFlags {
  MethodOptions method;
  std::string clip = "none", relearn = "drift", wire = "f32", device = "emu", gguf, folder;
  RunFlags() { method.steps = 50; }
};

void run(RunFlags flags, const cli::Common& common) {
  resolve(flags, common);
  cli::require_one_of("--device", flags.device, {"emu", "cuda"});
  if (flags.device == "cuda") {
    throw Unavailable(torch::cuda::is_available()
                          ? "--device cuda: this build drives the emulated device only"
                          : "--device cuda: libtorch was built without CUDA, or no device is there");
  }
  cli::require_one_of("--clip-mode", flags.clip, {"none", "unit", "global-prev", "global-sync"});
  flags.method.clip = flags.clip == "unit"          ? Clip::unit
                      : flags.clip == "global-prev" ? Clip::global_prev
                      : flags.clip == "global-sync" ? Clip::global_sync
                                                    : Clip::none;
  cli::require_one_of("--wire-dtype", flags.wire, {"f32", "bf16"});
  flags.method.engine.bf16_wire = flags.wire == "bf16";
  flags.method.lsp.relearn = relearn_from_string(flags.relearn);
  if (flags.method.resume && flags.method.checkpoint.empty()) throw InvalidInput("--resume needs --out DIR");
  flags.method.seed = common.seed;
  flags.method.record = !common.trace_file.empty();
  cli::catch_interrupts();
  const Workload workload = load_workload(flags.workload);
  if (!flags.gguf.empty() && !workload.source.gguf) {
    throw InvalidInput("--gguf", flags.gguf, "only for a model that came from a GGUF file");
  }
  const Limits limits = match_limits(workload, flags.limits);
  if (common.for_people()) {
    fmt::print("{}: {} trained parameters, {} windows of {} tokens from {}\n", workload.label,
               format_count(static_cast<double>(limits.parameters)), workload.corpus->training_windows(),
               flags.workload.window,
               flags.workload.data.empty() ? flags.workload.text : flags.workload.data);
    if (!workload.classes.empty())
      fmt::print("{} classes: {}\n", workload.classes.size(), fmt::join(workload.classes, ", "));
    if (workload.corpus->cut() + workload.corpus->left_out() > 0)
      fmt::print("{} samples cut at {} tokens, {} without a trained token left out; padding {:.0f} %\n",
                 workload.corpus->cut(), flags.workload.window, workload.corpus->left_out(),
                 100 * workload.corpus->padding_share(flags.workload.rows));
    fmt::print("compute bound (measured, forward and backward on one core): {} a batch\n",
               format_seconds(limits.compute_seconds()));
    fmt::print("{}\n", limits.label());
  }
  Progress progress(flags.method.method,
                    static_cast<std::uint64_t>(std::max<std::int64_t>(0, flags.method.steps)));
  const RunHooks hooks{
      .after_step =
          [&](const StepReport& report, double seconds) {
            progress.set(static_cast<std::uint64_t>(report.step + 1));
            progress.note(fmt::format("loss {:.3f}", report.loss));
            if (common.for_people() && report.step % 10 == 0) {
              fmt::print("step {:5}  {:8.2f} s  loss {:.4f}{}\n", report.step, seconds, report.loss,
                         report.skipped ? "  (skipped: not finite)" : "");
            }
          },
      .after_calibration =
          [&](std::int64_t step, const CalibrationReport& report) {
            if (!common.for_people()) return;
            double before = 0, after = 0;
            int changed = 0;
            for (const UnitBias& bias : report.biases) {
              before += bias.before / static_cast<double>(report.biases.size());
              after += bias.after / static_cast<double>(report.biases.size());
              changed += bias.changed ? 1 : 0;
            }
            fmt::print(
                "step {:5}  projectors: mean relative bias {:.3f} -> {:.3f}, {} of {} units changed, {}\n",
                step, before, after, changed, report.biases.size(), format_seconds(report.seconds));
          },
      .finished =
          [&](model::BlockModel& model) {
            if (!flags.folder.empty()) {
              export_folder(model, workload.source, flags.folder);
              if (common.for_people()) fmt::print("written: {}\n", flags.folder);
            }
            if (flags.gguf.empty()) return;
            export_gguf(model, workload.source.gguf->path(), flags.gguf, llama::NumberFormat::f32);
            if (common.for_people()) fmt::print("written: {}\n", flags.gguf);
          }};
  const RunResult result = run_method(workload, limits, flags.method, hooks);
  write_trace(common.trace_file, result.intervals);
  Json json = to_json(result);
  json["model"] = workload.label;
  json["text"] = flags.workload.text;
  json["limits"] = limits.label();
  json["compute_bound_seconds"] = limits.compute_seconds();
  common.write_json(json);
  Report report("Fine-tuning with " + result.method);
  Section& section = report.section(workload.label);
  section.chart(loss_chart({result}, "Validation loss"));
  const Table table = run_table({result}, "Run (measured; " + limits.label() + ")", limits);
  section.table(table);
  section.command(common.command_line);
  common.write_report(report);
  if (common.for_people()) table.print(stdout);
  if (result.interrupted) throw Interrupted();
}

}  // namespace

void add_run(cli::Program& program) {
  auto verb = program.verb("run", "fine-tune a model on text",
                           {"ballast tune run --strategy lsp --keep-layers 8 --steps 30",
                            "ballast tune run --model mini --strategy zero --regime laptop --budget 600MiB"});
  const auto flags = std::make_shared<RunFlags>();
  add_workload_flags(verb, *flags);
  verb->add_option("--strategy", flags->method.method,
                   "native, native-inbwd, zero, zero-dpu, zero+layerwise, swap, lora, galore, lsp, "
                   "lsp-random, lsp-svd");
  verb->add_option("--device", flags->device, "emu (emulated on this machine's cores) or cuda");
  verb->add_option("--state-bits", flags->method.state_bits, "of native-inbwd's moments: 32 or 8");
  verb->add_option("--wire-dtype", flags->wire, "what crosses the link: f32 or bf16");
  verb->add_option("--clip-norm", flags->method.clip_norm, "the norm that --clip-mode keeps to")
      ->check(CLI::PositiveNumber);
  verb->add_option("--folder", flags->folder, "write the tuned model there as a Hugging Face folder");
  verb->add_option("--schedule", flags->method.schedule, "auto, or the order of service at link and host");
  verb->add_option("--steps", flags->method.steps, "optimizer steps (0: until --seconds)");
  verb->add_option("--seconds", flags->method.seconds,
                   "of training, calibration included (0: until --steps)");
  verb->add_option("--lr", flags->method.rate, "learning rate")->check(CLI::PositiveNumber);
  verb->add_option("--warmup", flags->method.warmup, "steps of linear rise");
  verb->add_option("--cosine", flags->method.cosine_steps, "steps of the cosine decay (0: constant)");
  verb->add_option("--weight-decay", flags->method.adam.decay, "decoupled weight decay");
  verb->add_option("--grad-accum", flags->method.micro_batches, "micro-batches of a step")
      ->check(CLI::PositiveNumber);
  verb->add_option("--clip-mode", flags->clip,
                   "none, unit, global-prev, or global-sync (a barrier after the backward pass)");
  verb->add_option("--d-fraction", flags->method.lsp.fraction, "subspace size as a share of min(m, n)")
      ->check(CLI::Range(0.001, 1.0));
  verb->add_option("--d", flags->method.lsp.d, "subspace size, in place of the share");
  verb->add_option("--r", flags->method.lsp.r, "nonzeros in a row of a projector");
  verb->add_option("--fit-iterations", flags->method.lsp.fit.iterations, "iterations of fitting a projector");
  verb->add_option("--rank", flags->method.rank, "rank of lora");
  verb->add_option("--slots", flags->method.engine.slots, "staging buffers on the host");
  verb->add_option("--chunk-bytes", flags->method.engine.chunk_bytes, "piece of a transfer");
  verb->add_option("--gap", flags->method.galore.gap, "steps between decompositions of galore");
  verb->add_flag("!--dense", flags->method.lsp.factored, "form dense gradients before compressing (lsp)");
  verb->add_flag("!--no-reproject", flags->method.lsp.reproject,
                 "start moments at zero in a new subspace (lsp)");
  verb->add_option("--check-freq", flags->method.lsp.check_every,
                   "steps between checks of the subspace (lsp)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--relearn", flags->relearn,
                   "never, always, threshold or drift: when a check fits anew (lsp)");
  verb->add_option("--alpha", flags->method.lsp.alpha, "relative bias that --relearn threshold accepts");
  verb->add_option("--out", flags->method.checkpoint, "folder of the checkpoint");
  verb->add_option("--save-every", flags->method.save_every, "steps between checkpoints (0: at the end)");
  verb->add_flag("--resume", flags->method.resume, "go on from the checkpoint in --out");
  verb->add_option("--gguf", flags->gguf, "write the tuned model there, for llama.cpp and ballast serve");
  verb->add_option("--eval-every", flags->method.evaluate_every,
                   "steps between validations (0: before and after)");
  verb.run([flags](const cli::Common& common) { run(*flags, common); });
}

}  // namespace ballast::tune
