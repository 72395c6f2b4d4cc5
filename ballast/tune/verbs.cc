#include "ballast/tune/verbs.h"

#include <fmt/format.h>

#include "ballast/base/errors.h"

namespace ballast::tune {

void add_workload_flags(cli::Verb& verb, WorkloadFlags& flags) {
  verb->add_option(
      "--model", flags.workload.model,
      "smollm2, minilm, tiny, mini, gpt2-mini, bert-mini, a .gguf file, or a Hugging Face folder");
  verb->add_option("--keep-layers", flags.workload.keep_blocks, "only the first so many blocks (0: all)");
  verb->add_option("--text", flags.workload.text, "a text file, or a folder of them");
  verb->add_option("--data", flags.workload.data,
                   "instructions (.jsonl: Alpaca, prompt/completion, chat) or labelled texts (.tsv, .jsonl)");
  verb->add_option("--task", flags.workload.task,
                   "auto, clm, sft, cls (a text's class), pair (two texts' class), regress (a number)");
  verb->add_option("--pooling", flags.workload.pooling, "of a task's head: auto, first, mean, last");
  verb->add_option("--batch", flags.workload.rows, "sequences of a batch")->check(CLI::PositiveNumber);
  verb->add_option("--seq", flags.workload.window, "tokens of a sequence")->check(CLI::PositiveNumber);
  verb->add_option("--calibration", flags.workload.calibration, "sequences held aside to fit projectors")
      ->check(CLI::PositiveNumber);
  verb->add_flag("--checkpointing", flags.workload.checkpointing, "recompute blocks in the backward pass");
  verb->add_option("--regime", flags.limits.regime,
                   "workstation, laptop or raw: speeds of link and host (emulated)");
  verb->add_option("--budget", flags.budget, "device memory (emulated), such as 900MiB; without it no limit");
  verb->add_option("--link", flags.link,
                   "D2H,H2D in GB/s and latency in us (emulated), in place of the regime's")
      ->delimiter(',')
      ->expected(1, 3);
  verb->add_option("--clock", flags.clock, "wall (needs an idle machine) or modelled");
  verb->add_option("--host-rate", flags.limits.host_rate, "parameters/s of the host's Adam (emulated)");
}

void resolve(WorkloadFlags& flags, const cli::Common& common) {
  flags.workload.seed = common.seed;
  cli::require_one_of("--clock", flags.clock, {"wall", "modelled"});
  flags.limits.clock = flags.clock == "wall" ? Clock::wall : Clock::modelled;
  if (!flags.budget.empty()) flags.limits.budget = Bytes::parse(flags.budget);
  if (!flags.link.empty()) {
    flags.limits.link.d2h = flags.link[0] * 1e9;
    flags.limits.link.h2d = (flags.link.size() > 1 ? flags.link[1] : flags.link[0]) * 1e9;
    if (flags.link.size() > 2) flags.limits.link.latency_s = flags.link[2] * 1e-6;
    if (flags.limits.link.d2h <= 0 || flags.limits.link.h2d <= 0) {
      throw InvalidInput("--link", fmt::format("{}", fmt::join(flags.link, ",")), "positive GB/s");
    }
  }
}

Json to_json(const RunResult& result) {
  const auto points = [](const std::vector<RunPoint>& list) {
    Json json = Json::array();
    for (const RunPoint& point : list)
      json.push_back({{"step", point.step}, {"seconds", point.seconds}, {"loss", point.loss}});
    return json;
  };
  return {{"method", result.method},
          {"steps", result.steps},
          {"tokens", result.tokens},
          {"seconds", result.seconds},
          {"calibration_seconds", result.calibration_seconds},
          {"step_seconds", result.step_seconds},
          {"d2h_bytes", result.d2h_bytes},
          {"h2d_bytes", result.h2d_bytes},
          {"peak_device_bytes", result.peak_bytes},
          {"breakdown_seconds",
           {{"total", result.breakdown.total},
            {"compute", result.breakdown.compute},
            {"link", result.breakdown.link},
            {"update", result.breakdown.update},
            {"other", result.breakdown.other}}},
          {"validation_loss", {{"before", result.before.loss}, {"after", result.after.loss}}},
          {"accuracy", {{"before", result.before.accuracy}, {"after", result.after.accuracy}}},
          {"metrics",
           {{"f1", result.after.metrics.f1},
            {"matthews", result.after.metrics.matthews},
            {"pearson", result.after.metrics.pearson}}},
          {"training", points(result.training)},
          {"validation", points(result.validation)},
          {"interrupted", result.interrupted}};
}

Chart loss_chart(const std::vector<RunResult>& results, const std::string& title) {
  Chart chart{.kind = Chart::Kind::line,
              .title = title,
              .x_label = "seconds of training (link and host rate emulated)",
              .y_label = "validation loss (nats a token)",
              .labels = {},
              .series = {}};
  for (const RunResult& result : results) {
    Series series{.name = result.method, .xs = {}, .ys = {}};
    for (const RunPoint& point : result.validation) {
      series.xs.push_back(point.seconds);
      series.ys.push_back(point.loss);
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

Table run_table(const std::vector<RunResult>& results, const std::string& title, const Limits& limits) {
  Table table(title, {"method", "steps", "s/step", "x compute", "loss", "accuracy", "link bytes/step",
                      "device peak", "wait link", "wait update"});
  for (const RunResult& r : results) {
    const double share = r.breakdown.total > 0 ? 100 / r.breakdown.total : 0;
    const auto steps = static_cast<std::uint64_t>(std::max<std::int64_t>(1, r.steps));
    table.row({r.method, std::to_string(r.steps), fmt::format("{:.3f}", r.step_seconds),
               fmt::format("{:.2f}", r.step_seconds / limits.compute_seconds()),
               fmt::format("{:.3f} -> {:.3f}", r.before.loss, r.after.loss),
               fmt::format("{:.3f} -> {:.3f}", r.before.accuracy, r.after.accuracy),
               to_string(Bytes{static_cast<std::uint64_t>(r.d2h_bytes + r.h2d_bytes) / steps}),
               to_string(Bytes{static_cast<std::uint64_t>(r.peak_bytes)}),
               fmt::format("{:.0f} %", share * (r.breakdown.link + r.breakdown.other)),
               fmt::format("{:.0f} %", share * r.breakdown.update)});
  }
  return table;
}

}  // namespace ballast::tune
