#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

struct SimOptions {
  std::string data = "sine", pattern = "A", preset = "fast", out, linkage = "complete";
  std::vector<std::string> strategies{"oracle", "feddrift", "oblivious"};
  int clients = 0, steps = 0, samples = 500, threads = 2;
  int rounds = 0, local_steps = 0, batch = 0;
  double delta = -1;
  bool auto_delta = false;
};

void write_run(const std::string& folder, const RunLog& log) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Unavailable(fmt::format("{}: cannot be created ({})", folder, error.message()));
  std::string rows = "step,client,concept,slot,samples,correct\n", events;
  for (std::size_t step = 0; step < log.serving.size(); ++step) {
    for (std::size_t c = 0; c < log.serving[step].size(); ++c) {
      const auto& stat = log.prequential[step][c];
      rows += fmt::format("{},{},{},{},{},{}\n", step, c,
                          log.pattern.at(static_cast<int>(step), static_cast<int>(c)), log.serving[step][c],
                          stat.n, stat.correct);
    }
  }
  for (const auto& event : log.events) {
    events += Json{{"step", event.step}, {"kind", event.kind}, {"client", event.client}, {"slot", event.slot}}
                  .dump() +
              "\n";
  }
  write_file(folder + "/assignment.csv", rows);
  write_file(folder + "/events.jsonl", events);
  write_file(folder + "/run.json", log.to_json().dump(2) + "\n");
}

void simulate(const SimOptions& options, const cli::Common& common) {
  ConceptPattern pattern = ConceptPattern::from(options.pattern);
  if (options.steps > 0) pattern = pattern.first_steps(options.steps);
  if (options.clients > 0) pattern = pattern.tiled(options.clients);
  const Federation federation = make_federation(
      {.name = options.data, .samples = options.samples, .seed = common.seed}, std::move(pattern));
  RunConfig config = preset(options.preset, options.data);
  if (options.rounds > 0) config.rounds = options.rounds;
  if (options.local_steps > 0) config.local_steps = options.local_steps;
  if (options.batch > 0) config.batch = options.batch;
  config.threads = options.threads;
  config.seed = common.seed;

  std::vector<RunLog> logs;
  for (const auto& name : options.strategies) {
    StrategySpec spec{.name = name, .drift = {}};
    spec.drift.delta = options.delta >= 0 ? options.delta : default_delta(options.data);
    spec.drift.auto_delta = options.auto_delta;
    spec.drift.linkage = linkage_from_string(options.linkage);
    spec.drift.seed = common.seed;
    const auto strategy = make_strategy(spec, federation.pattern());
    logs.push_back(run(federation, *strategy, config));
    if (!options.out.empty()) write_run(options.out + "/" + name, logs.back());
  }

  Table table(fmt::format("{} under pattern {}: {} clients, {} steps (measured)", options.data,
                          options.pattern, federation.clients(), federation.steps()),
              {"strategy", "accuracy %", "with drifting steps %", "models", "Rand index", "MB (counted)",
               "drifts", "merges"});
  Chart chart{.title = "Accuracy over time", .x_label = "step", .y_label = "accuracy"};
  Json document{{"schema", "ballast.federate.sim/1"},
                {"data", options.data},
                {"pattern", options.pattern},
                {"seed", common.seed},
                {"runs", Json::array()}};
  std::vector<const RunLog*> shown;
  for (const RunLog& log : logs) {
    const auto count = [&](const std::string& kind) {
      return std::count_if(log.events.begin(), log.events.end(),
                           [&](const Event& e) { return e.kind == kind; });
    };
    table.row({log.strategy, fmt::format("{:.2f}", 100 * log.accuracy()),
               fmt::format("{:.2f}", 100 * log.accuracy(true)), fmt::format("{:.2f}", log.mean_models()),
               fmt::format("{:.3f}", log.rand_index()),
               fmt::format("{:.2f}", static_cast<double>(log.ledger.total()) / 1e6),
               fmt::format("{}", count("drift")), fmt::format("{}", count("merge"))});
    Series series{.name = log.strategy, .xs = {}, .ys = {}};
    for (int step = 0; step < federation.steps(); ++step) {
      series.xs.push_back(step);
      series.ys.push_back(log.accuracy_at(step));
    }
    chart.series.push_back(std::move(series));
    document["runs"].push_back(log.to_json());
    shown.push_back(&log);
  }
  if (common.for_people()) table.print(stdout);
  common.write_json(document);
  Report report("Federated learning under drift: " + options.data);
  Section& section = report.section("federate sim");
  section.table(table).chart(chart);
  section.figure(
      {.title = "Which model serves whom", .svg = assignment_map(shown), .basis = Basis::measured});
  section.command(common.command_line);
  common.write_report(report);
}

}  // namespace

void add_sim(cli::Program& program) {
  auto options = std::make_shared<SimOptions>();
  auto verb = program.verb(
      "sim", "strategies side by side on a simulated federation under concept drift",
      {"ballast federate sim --data circle --strategy oracle,feddrift,ifca,oblivious",
       "ballast federate sim --data sea --pattern B --preset paper --out runs --report sea.html"});
  verb->add_option("--data", options->data, "sine, circle, sea or fmnist")->capture_default_str();
  verb->add_option("--pattern", options->pattern, "A..F, W..Z, R(seed), or a .cp file")
      ->capture_default_str();
  verb->add_option("--strategy", options->strategies,
                   "one or more of: " + fmt::format("{}", fmt::join(strategy_names(), ", ")))
      ->delimiter(',');
  verb->add_option("--clients", options->clients, "repeat the pattern's columns to so many clients");
  verb->add_option("--steps", options->steps, "only the first steps of the pattern");
  verb->add_option("--samples", options->samples, "samples of each client and step")->capture_default_str();
  verb->add_option("--preset", options->preset, "smoke, fast or paper")->capture_default_str();
  verb->add_option("--rounds", options->rounds, "communication rounds a step (default: the preset's)");
  verb->add_option("--local-steps", options->local_steps, "optimizer steps a round (default: the preset's)");
  verb->add_option("--batch", options->batch, "samples of one optimizer step (default: 50)");
  verb->add_option("--delta", options->delta, "drift threshold on the error (default: by data set)");
  verb->add_flag("--auto-delta", options->auto_delta, "threshold from the standard errors of the scores");
  verb->add_option("--linkage", options->linkage, "complete, average or single")->capture_default_str();
  verb->add_option("--threads", options->threads, "worker threads")->capture_default_str();
  verb->add_option("--out", options->out, "folder for assignment.csv, events.jsonl and run.json a strategy");
  verb.run([options](const cli::Common& common) { simulate(*options, common); });
}

}  // namespace ballast::federate
