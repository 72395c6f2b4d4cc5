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
  std::string clip = "none";
  RunFlags() { method.steps = 50; }
};

void run(RunFlags flags, const cli::Common& common) {
  resolve(flags, common);
  cli::require_one_of("--clip-mode", flags.clip, {"none", "unit"});
  flags.method.clip = flags.clip == "unit" ? Clip::unit : Clip::none;
  flags.method.seed = common.seed;
  flags.method.record = !common.trace_file.empty();
  cli::catch_interrupts();
  const Workload workload = load_workload(flags.workload);
  const Limits limits = match_limits(workload, flags.limits);
  if (common.for_people()) {
    fmt::print("{}: {} trained parameters, {} windows of {} tokens from {}\n", workload.label,
               format_count(static_cast<double>(limits.parameters)), workload.corpus->training_windows(),
               flags.workload.window, flags.workload.text);
    fmt::print("compute bound (measured, forward and backward on one core): {} a batch\n",
               format_seconds(limits.compute.total()));
    fmt::print("{}\n", EmulatedDevice(limits.device).label());
  }
  Progress progress(flags.method.method,
                    static_cast<std::uint64_t>(std::max<std::int64_t>(0, flags.method.steps)));
  const RunHooks hooks{.after_step =
                           [&](const StepReport& report, double seconds) {
                             progress.set(static_cast<std::uint64_t>(report.step + 1));
                             progress.note(fmt::format("loss {:.3f}", report.loss));
                             if (common.for_people() && report.step % 10 == 0) {
                               fmt::print("step {:5}  {:8.2f} s  loss {:.4f}{}\n", report.step, seconds,
                                          report.loss, report.skipped ? "  (skipped: not finite)" : "");
                             }
                           },
                       .finished = {}};
  const RunResult result = run_method(workload, limits, flags.method, hooks);
  write_trace(common.trace_file, result.intervals);
  Json json = to_json(result);
  json["model"] = workload.label;
  json["text"] = flags.workload.text;
  json["limits"] = EmulatedDevice(limits.device).label();
  json["compute_bound_seconds"] = limits.compute.total();
  common.write_json(json);
  Report report("Fine-tuning with " + result.method);
  Section& section = report.section(workload.label);
  section.chart(loss_chart({result}, "Validation loss"));
  const Table table =
      run_table({result}, "Run (measured; " + EmulatedDevice(limits.device).label() + ")", limits);
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
                   "native, native-inbwd, zero, zero+layerwise, lora, lsp, lsp-random");
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
  verb->add_option("--clip-mode", flags->clip, "none or unit");
  verb->add_option("--d-fraction", flags->method.lsp.fraction, "subspace size as a share of min(m, n)")
      ->check(CLI::Range(0.001, 1.0));
  verb->add_option("--d", flags->method.lsp.d, "subspace size, in place of the share");
  verb->add_option("--r", flags->method.lsp.r, "nonzeros in a row of a projector");
  verb->add_option("--fit-iterations", flags->method.lsp.fit.iterations, "iterations of fitting a projector");
  verb->add_option("--rank", flags->method.rank, "rank of lora");
  verb->add_option("--slots", flags->method.engine.slots, "staging buffers on the host");
  verb->add_option("--chunk-bytes", flags->method.engine.chunk_bytes, "piece of a transfer");
  verb->add_option("--eval-every", flags->method.evaluate_every,
                   "steps between validations (0: before and after)");
  verb.run([flags](const cli::Common& common) { run(*flags, common); });
}

}  // namespace ballast::tune
