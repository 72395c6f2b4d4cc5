#include <fmt/format.h>

#include "ballast/base/file.h"
#include "ballast/llama/weights.h"
#include "ballast/serve/local_model.h"
#include "ballast/serve/verbs.h"

namespace ballast::serve {
namespace {

struct ProfileVerbOptions {
  std::string model, output;
  ExecutorOptions executor;
  bool quick = false, force = false, lines = false;
};

void print(const PerfModel& perf) {
  const Json& s = perf.statistics;
  Table fit(fmt::format("Fit of {} on {} ({})", perf.name, perf.device, to_string(perf.basis())),
            {"points", "R^2", "mean error", "95 % error"});
  auto line = [&](const std::string& name, const Json& q) {
    fit.row({name, fmt::format("{:.3f}", q.value("r2", 0.0)),
             fmt::format("{:.1f} %", 100 * q.value("mape", 0.0)),
             fmt::format("{:.1f} %", 100 * q.value("p95", 0.0))});
  };
  if (s.contains("points")) line(fmt::format("all {}", s.at("points").get<int>()), s);
  if (s.contains("held_out")) line("held out", s.at("held_out"));
  if (s.contains("regions")) {
    for (const auto& [region, q] : s.at("regions").items()) line(region, q);
  }
  fit.print(stdout);
  Table steps("Predicted step times", {"tokens", "ms", "tokens/s"});
  for (int n = 1; n <= std::max(1, perf.max_batch_tokens); n *= 4) {
    BatchLoad load;
    load.add_chunk(n, 0);
    steps.row({std::to_string(n), fmt::format("{:.2f}", perf.step_ms(load)),
               fmt::format("{:.0f}", 1000 * n / perf.step_ms(load))});
  }
  steps.print(stdout);
  fmt::print("kv {:.3g} us a context token; safety margin {:.0f} %\n", 1000 * perf.kv_ms, 100 * perf.safety);
}

void profile(const ProfileVerbOptions& options, const cli::Common& common) {
  const llama::Model model(options.model.empty() ? llama::shipped_model() : options.model);
  LlamaExecutor executor(model, options.executor);
  const PerfModel perf =
      profile_executor(executor, options.executor, options.force, options.quick, false, options.lines);
  if (!options.output.empty()) write_file(options.output, perf.to_json().dump(2) + "\n");
  common.write_json(perf.to_json());
  if (common.for_people()) print(perf);
}

}  // namespace

void add_profile(cli::Program& program) {
  auto options = std::make_shared<ProfileVerbOptions>();
  auto verb =
      program.verb("profile", "measure this machine's step times for a model and fit the performance model",
                   {"ballast serve profile --quick", "ballast serve profile --model m.gguf -o m.perf.json"});
  verb->add_option("--model", options->model, "GGUF file (default: the shipped SmolLM2-135M)");
  verb->add_option("-o,--output", options->output, "write the profile (ballast.perf/1) here");
  verb->add_option("--slots", options->executor.slots, "sequences")->check(CLI::Range(1, 256));
  verb->add_option("--slot-tokens", options->executor.slot_tokens, "tokens of each")
      ->check(CLI::Range(64, 1 << 20));
  verb->add_option("--batch", options->executor.batch, "largest batch")->check(CLI::Range(16, 8192));
  verb->add_option("--threads", options->executor.threads, "threads of a step")->check(CLI::Range(1, 256));
  verb->add_flag("--quick", options->quick, "fewer repeats, contexts up to 256");
  verb->add_flag("--force", options->force, "accept a noisy machine or a bad fit");
  verb->add_flag("--lines", options->lines, "the paper's two lines in place of a table");
  verb.run([options](const cli::Common& common) { profile(*options, common); });

  auto shown = std::make_shared<std::string>();
  auto show = program.verb("perf", "show a performance model: a profile file or a preset",
                           {"ballast serve perf a100-opt13b-tp1", "ballast serve perf m.perf.json --json"});
  show->add_option("model", *shown, "file or preset")->required();
  show.run([shown](const cli::Common& common) {
    const PerfModel perf = PerfModel::load(*shown);
    common.write_json(perf.to_json());
    if (common.for_people()) print(perf);
  });
}

}  // namespace ballast::serve
