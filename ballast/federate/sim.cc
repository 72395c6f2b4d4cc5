#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/cluster/cluster.h"
#include "ballast/federate/model_file.h"
#include "ballast/federate/server_optimizer.h"
#include "ballast/federate/user_data.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

struct SimOptions {
  std::string data = "sine", pattern = "A", preset = "fast", out, linkage = "complete", engine = "threads";
  std::string aggregate = "mean", compress = "none", optimizer = "none", distance = "A", metric = "error";
  FedDriftOptions drift;
  RunConfig extra;
  std::string folder, label;
  int classes = 2;
  int models = 0;
  std::string model = "mlp";
  bool shared_slots = false;
  std::vector<std::string> strategies{"oracle", "feddrift", "oblivious"};
  int clients = 0, steps = 0, samples = 500, threads = 2;
  int rounds = 0, local_steps = 0, batch = 0;
  std::optional<double> delta;
  bool auto_delta = false;
};

void write_run(const std::string& folder, const RunLog& log, const ModelShape& shape) {
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
  std::string bytes =
      "step,client,score_down,cross_down,train_down,evaluate_down,models_up,stats_up,secure_up\n";
  for (std::size_t step = 0; step < log.traffic.size(); ++step) {
    for (std::size_t c = 0; c < log.traffic[step].size(); ++c) {
      const Ledger& l = log.traffic[step][c];
      bytes += fmt::format("{},{},{},{},{},{},{},{},{}\n", step, c, l.score_down, l.cross_down, l.train_down,
                           l.evaluate_down, l.models_up, l.stats_up, l.secure_up);
    }
  }
  write_file(folder + "/comm.csv", bytes);
  std::filesystem::create_directories(folder + "/models");
  for (std::size_t slot = 0; slot < log.parameters.size(); ++slot) {
    if (!log.parameters[slot].empty())
      write_model(fmt::format("{}/models/{}.safetensors", folder, slot), shape, log.parameters[slot]);
  }
  write_file(folder + "/assignment.csv", rows);
  write_file(folder + "/events.jsonl", events);
  write_file(folder + "/run.json", log.to_json().dump(2) + "\n");
}

void simulate(const SimOptions& options, const cli::Common& common) {
  const bool own = options.data == "folder";
  if (own && options.folder.empty()) throw InvalidInput("--data folder needs --folder");
  ConceptPattern pattern = ConceptPattern::from(options.pattern);
  if (options.steps > 0) pattern = pattern.first_steps(options.steps);
  if (options.clients > 0) pattern = pattern.tiled(options.clients);
  const Federation federation = own ? folder_federation(options.folder, options.label, options.classes)
                                    : make_federation({.name = options.data,
                                                       .samples = options.samples,
                                                       .seed = common.seed,
                                                       .folder = options.folder},
                                                      std::move(pattern));
  RunConfig config = preset(options.preset, options.data);
  if (options.rounds > 0) config.rounds = options.rounds;
  if (options.local_steps > 0) config.local_steps = options.local_steps;
  if (options.batch > 0) config.batch = options.batch;
  config.threads = options.threads;
  config.seed = common.seed;
  config.fraction = options.extra.fraction;
  config.reset_optimizer = options.extra.fraction < 1;
  config.local_slots = !options.shared_slots;
  config.model = model_kind_from_string(options.model);
  config.secure = options.extra.secure;
  config.holdout = options.drift.baseline == "holdout";
  config.optimizer.prox = options.extra.optimizer.prox;
  config.aggregator = Aggregator::from_string(options.aggregate);
  config.compression = Compression::from_string(options.compress);
  cli::require_one_of("--server-optimizer", options.optimizer, server_optimizer_names());
  config.server_optimizer = options.optimizer;
  config.privacy = options.extra.privacy;
  config.faults = options.extra.faults;
  config.check();
  cli::require_one_of("--engine", options.engine, {"threads", "mpi"});
  cli::require_one_of("--distance", options.distance, {"A", "B"});
  cli::require_one_of("--metric", options.metric, {"error", "loss"});
  std::optional<cluster::Cluster> machines;
  if (options.engine == "mpi") {
    machines.emplace(cluster::Cluster::open({.machines = 0, .transport = "mpi", .seed = common.seed}));
  }

  std::vector<RunLog> logs;
  for (const auto& name : options.strategies) {
    StrategySpec spec{.name = name,
                      .drift = options.drift,
                      .models = options.models,
                      .data = options.data,
                      .seed = common.seed};
    spec.drift.distance_b = options.distance == "B";
    spec.drift.use_loss = options.metric == "loss";
    spec.drift.delta = options.delta.value_or(default_delta(options.data));
    spec.drift.auto_delta = options.auto_delta;
    spec.drift.linkage = linkage_from_string(options.linkage);
    spec.drift.seed = common.seed;
    if (machines) {
      machines->run([&](cluster::Machine& machine) {
        const auto strategy = make_strategy(spec, federation.pattern());
        logs.push_back(run_on(machine, federation, *strategy, config));
      });
      if (!machines->is_first()) continue;
    } else {
      const auto strategy = make_strategy(spec, federation.pattern());
      logs.push_back(run(federation, *strategy, config));
    }
    if (!options.out.empty())
      write_run(options.out + "/" + name, logs.back(),
                config.shape(federation.features(), federation.classes()));
  }

  if (machines && !machines->is_first()) return;
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
  verb->add_option("--data", options->data,
                   "sine, circle, sea, fmnist, letter, digits, mnist, or folder (your own files)")
      ->capture_default_str();
  verb->add_option("--pattern", options->pattern, "A..F, W..Z, R(seed), or a .cp file")
      ->capture_default_str();
  verb->add_option("--strategy", options->strategies,
                   "one or more of: " + fmt::format("{}", fmt::join(strategy_names(), ", ")))
      ->delimiter(',');
  verb->add_option("--clients", options->clients, "repeat the pattern's columns to so many clients")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--steps", options->steps, "only the first steps of the pattern")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--samples", options->samples, "samples of each client and step")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--preset", options->preset, "smoke, fast or paper")->capture_default_str();
  verb->add_option("--rounds", options->rounds, "communication rounds a step (default: the preset's)")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--local-steps", options->local_steps, "optimizer steps a round (default: the preset's)")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--batch", options->batch, "samples of one optimizer step (default: 50)")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--delta", options->delta, "drift threshold on the error (default: by data set)");
  verb->add_flag("--auto-delta", options->auto_delta, "threshold from the standard errors of the scores");
  verb->add_option("--linkage", options->linkage, "complete, average or single")->capture_default_str();
  verb->add_option("--folder", options->folder,
                   "mnist: its IDX files; folder: client_0_iter_0.csv and so on");
  verb->add_option("--label", options->label, "folder: the label column (default: the last)");
  verb->add_option("--classes", options->classes, "folder: number of labels")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--model", options->model,
                   "what clients train: mlp (fused), torch_mlp, lr or cnn (libtorch)")
      ->capture_default_str();
  verb->add_flag("--secure", options->extra.secure, "secure aggregation: the server sees sums only");
  verb->add_option("--local-noise", options->extra.privacy.local_noise,
                   "local differential privacy: each client's own noise over clipping norm");
  verb->add_option("--models", options->models, "models of ifca, softcluster, gmm and kue")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--engine", options->engine, "threads, or mpi (start with mpirun)")->capture_default_str();
  verb->add_option("--fraction", options->extra.fraction, "chance of a client to be in a round");
  verb->add_option("--aggregate", options->aggregate,
                   "mean, median, trimmed:0.1, krum:F, multi_krum:F or clipped")
      ->capture_default_str();
  verb->add_option("--compress", options->compress, "none, fp16, int8 or topk:FRACTION")
      ->capture_default_str();
  verb->add_option("--server-optimizer", options->optimizer,
                   "none, fedavgm, fedadagrad, fedadam, fedyogi, flash")
      ->capture_default_str();
  verb->add_option("--prox", options->extra.optimizer.prox, "FedProx: pull towards the round's start");
  verb->add_option("--clip", options->extra.privacy.clip, "largest L2 norm of an update");
  verb->add_option("--noise", options->extra.privacy.noise, "differential privacy: noise over clipping norm");
  verb->add_flag("--adaptive-clip", options->extra.privacy.adaptive, "the clipping norm follows the median");
  verb->add_option("--epsilon-budget", options->extra.privacy.epsilon_budget,
                   "training stops before it is passed");
  verb->add_option("--churn", options->extra.faults.churn, "chance of a client to miss a round");
  verb->add_option("--stragglers", options->extra.faults.stragglers, "chance of an update to come too late");
  verb->add_option("--sign-flip", options->extra.faults.sign_flip,
                   "fraction of clients that send the opposite");
  verb->add_flag("--no-local-slots", options->shared_slots,
                 "models with one contributor travel every round too");
  verb->add_option("--isolation", options->drift.isolation_steps,
                   "W: steps that a drifted client trains alone")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--merge-delta", options->drift.merge_delta, "merge threshold (default: delta)");
  verb->add_option("--distance", options->distance, "A: one model on two data; B: two models on one");
  verb->add_option("--metric", options->metric, "error or loss")->capture_default_str();
  verb->add_option("--max-models", options->drift.max_models, "size of the pool (default: clients + 8)")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--init", options->drift.init, "one or per_client")->capture_default_str();
  verb->add_option("--init-new", options->drift.init_new, "warm, random or reinit_seed")
      ->capture_default_str();
  verb->add_option("--baseline", options->drift.baseline, "pre, reference, now or holdout")
      ->capture_default_str();
  verb->add_option("--detector", options->drift.detector, "score_delta, none, or one of `detect`")
      ->capture_default_str();
  verb->add_option("--history", options->drift.history, "train on so many newest steps of a cluster")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_flag("--merge-first", options->drift.merge_first, "merge before clients choose");
  verb->add_flag("--merge-batches", options->drift.merge_batches,
                 "merge weights: batches in place of samples");
  verb->add_flag("--keep-data", options->drift.keep_data, "feddrift_c: keep the isolated step's data");
  verb->add_option("--threads", options->threads, "worker threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option(
      "--out", options->out,
      "folder for assignment.csv, comm.csv, events.jsonl, run.json and models/, a strategy each");
  verb.run([options](const cli::Common& common) { simulate(*options, common); });
}

}  // namespace ballast::federate
