// The stop in the tour: the same model and text under the same emulated link, fine-tuned by Zero, LoRA and
// LSP for the same time.

#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/llama/weights.h"
#include "ballast/tune/verbs.h"

namespace ballast::tune {
namespace {

WorkloadOptions tour_workload() {
  WorkloadOptions options{.model = "smollm2", .keep_blocks = 4, .rows = 2, .window = 64, .calibration = 4};
  try {
    llama::shipped_model();
  } catch (const Unavailable&) {
    options.model = "mini";
    options.keep_blocks = 0;
  }
  return options;
}

void stop(const cli::Common& common, Section& section) {
  WorkloadOptions options = tour_workload();
  options.seed = common.seed;
  const Workload workload = load_workload(options);
  const Limits limits = match_limits(workload, {.regime = "laptop", .clock = Clock::modelled});

  section.uneven =
      "Blocks of a network become ready at different times, the link is slower than the device, the host "
      "slower than both, and the block that the next step needs first is the one that becomes ready last.";
  section.today =
      "Offload whole gradients (Zero): all weights learn, but the device waits. Or train small adapters "
      "(LoRA): fast, but most of the model never moves.";
  section.ballast =
      "Send each gradient through a learned sparse projector as a d x d matrix, update there, and serve the "
      "block that is needed first, first: all weights learn at nearly the speed of the device alone.";

  std::vector<RunResult> results;
  for (const auto& [method, rate] :
       std::vector<std::pair<std::string, double>>{{"zero", 3e-4}, {"lora", 5e-3}, {"lsp", 1e-3}}) {
    MethodOptions run{.method = method,
                      .rate = rate,
                      .warmup = 2,
                      .seconds = 24 * limits.compute_seconds(),
                      .evaluate_every = 4,
                      .evaluate_windows = 4};
    run.lsp.fit.iterations = 4;  // a short run: each iteration is paid for in steps
    run.seed = common.seed;
    results.push_back(run_method(workload, limits, run));
    cli::stop_if_interrupted();
  }
  section.chart(loss_chart(results, "Same model, text, link and seconds"));
  Chart bytes{.kind = Chart::Kind::bar,
              .title = "Bytes over the link for one step",
              .x_label = "",
              .y_label = "MB",
              .labels = {},
              .series = {{"both directions", {}, {}}},
              .basis = Basis::counted};
  for (const RunResult& result : results) {
    bytes.labels.push_back(result.method);
    bytes.series[0].ys.push_back(static_cast<double>(result.d2h_bytes + result.h2d_bytes) / 1e6 /
                                 static_cast<double>(std::max<std::int64_t>(1, result.steps)));
  }
  section.chart(bytes);
  section.table(run_table(results, workload.label + ", " + limits.label(), limits));
  section.text(
      "Losses and the processor time of compute are measured here. Link and host have the ratios of a laptop "
      "with a GPU, and each step's time is modelled from them, block by block, so that other programs on "
      "this machine do not disturb the comparison. Fitting the projectors counts as LSP's training time.");
  section.command("ballast tune run --strategy lsp --keep-layers 4 --batch 2 --seq 64 --regime laptop");
}

}  // namespace

void add_tour(cli::Program& program) {
  program.tour("fine-tune SmolLM2 under a slow link: Zero, LoRA and LSP in the same time", stop);
}

}  // namespace ballast::tune
