#include "ballast/federate/bench_suites.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/federate/accountant.h"
#include "ballast/federate/secagg.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

Federation data_of(const std::string& name, int seed, const std::string& pattern = "A") {
  return make_federation({.name = name, .samples = 500, .seed = static_cast<std::uint64_t>(seed)},
                         ConceptPattern::named(pattern));
}

// Megabytes of the steps in which somebody is isolated.
double isolated_megabytes(const RunLog& log) {
  std::set<int> steps;
  for (const Event& event : log.events) {
    if (event.kind == "drift") steps.insert(event.step);
  }
  std::uint64_t bytes = 0;
  for (const int step : steps) {
    for (const Ledger& client : log.traffic.at(static_cast<std::size_t>(step))) bytes += client.total();
  }
  return static_cast<double>(bytes) / 1e6;
}

RunLog run_named(const std::string& name, const Federation& federation, RunConfig config, int seed) {
  config.seed = static_cast<std::uint64_t>(seed);
  StrategySpec spec{.name = name, .data = federation.name(), .seed = config.seed};
  spec.drift.delta = default_delta(federation.name());
  const auto strategy = make_strategy(spec, federation.pattern());
  return run(federation, *strategy, config);
}

void workers_suite(Bench& bench);

double megabytes(const RunLog& log) {
  return static_cast<double>(log.ledger.total()) / 1e6;
}

}  // namespace

void comm_suite(Bench& bench, const std::string& budget, int seeds) {
  std::vector<double> ours, plain, oracle, thinned, kept, shared;
  std::map<std::string, std::vector<double>> packed_bytes, packed_accuracy;
  std::vector<double> accuracy;
  for (int seed = 1; seed <= seeds; ++seed) {
    const auto federation = data_of("circle", seed);
    const RunConfig config = preset(budget, "circle");
    const RunLog log = run_named("feddrift", federation, config, seed);
    ours.push_back(megabytes(log));
    accuracy.push_back(100 * log.accuracy());
    plain.push_back(megabytes(run_named("oblivious", federation, config, seed)));
    oracle.push_back(megabytes(run_named("oracle", federation, config, seed)));
    thinned.push_back(megabytes(run_named("feddrift_c", federation, config, seed)));
    RunConfig all_travel = config;
    all_travel.local_slots = false;
    const auto busy = data_of("sea", seed, "C");  // six clients isolated at once
    const RunConfig sea = preset(budget, "sea");
    RunConfig sea_travel = sea;
    sea_travel.local_slots = false;
    kept.push_back(isolated_megabytes(run_named("feddrift", busy, sea, seed)));
    shared.push_back(isolated_megabytes(run_named("feddrift", busy, sea_travel, seed)));
    for (const char* kind : {"fp16", "int8", "topk:0.1"}) {
      RunConfig packed = all_travel;
      packed.compression = Compression::from_string(kind);
      const RunLog small = run_named("feddrift", federation, packed, seed);
      packed_bytes[kind].push_back(static_cast<double>(small.ledger.models_up) / 1e6);
      packed_accuracy[kind].push_back(100 * small.accuracy());
    }
  }
  const auto row = [&](const std::string& id, const std::string& what, double value,
                       std::optional<double> target, const std::string& note) {
    bench.add({.id = id,
               .what = what,
               .unit = "x",
               .ours = value,
               .better = Better::lower,
               .target = target,
               .basis = Basis::counted,
               .note = note});
  };
  row("comm.oblivious", "bytes of FedDrift over bytes of one model for all, pattern A",
      mean(ours) / mean(plain), 2.0, "models and statistics, without framing");
  row("comm.oracle", "bytes of FedDrift over bytes of the oracle", mean(ours) / mean(oracle), 1.25, "");
  row("comm.local_slots", "bytes with isolated models kept on their client over without",
      mean(kept) / mean(shared), 0.9, "SEA-4, pattern C, steps in which somebody is isolated");
  row("comm.feddrift_c", "bytes of FedDrift-C over FedDrift", mean(thinned) / mean(ours), {}, "");
  for (const auto& [kind, bytes] : packed_bytes) {
    bench.add({.id = "comm." + kind,
               .what = "MB sent up with this compression",
               .unit = "MB",
               .ours = mean(bytes),
               .better = Better::lower,
               .basis = Basis::counted,
               .note = fmt::format("accuracy {:+.2f} points against none",
                                   mean(packed_accuracy[kind]) - mean(accuracy))});
  }
}

void scale_suite(Bench& bench, const cli::Common& common, double seconds) {
  const auto federation = data_of("sine", static_cast<int>(common.seed));
  const ModelShape shape{2, 4, 2};
  DrawTable table;
  for (int step = 0; step < 4; ++step) table.add(federation.batch(0, step), 1.0);
  Params params = fresh_params(shape, common.seed, 0);
  OptimizerState state;
  Trainer trainer(shape);
  std::vector<double> rates;
  const int steps = 20'000;
  for (double spent = 0; spent < seconds || rates.size() < 5;) {
    const double took = time_of([&] { trainer.train(params, state, {}, table, steps, 50, rates.size()); });
    spent += took;
    rates.push_back(steps / took / 1000);
  }
  bench.add({.id = "scale.fused",
             .what = "optimizer steps of one core, SINE, batch 50, keyed draws counted",
             .unit = "k/s",
             .ours = median(rates),
             .better = Better::higher,
             .target = 800,
             .note = fmt::format("spread {:.0f}-{:.0f}", quantile(rates, 0.1), quantile(rates, 0.9))});
  // libtorch on the same network, batch and optimizer, interleaved with ours in a process of its own.
  const std::string peer =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().string() + "/ballast-federate-torch-peer";
  BenchRow torch{.id = "scale.libtorch",
                 .what = "the same steps by libtorch, one thread",
                 .unit = "k/s",
                 .better = Better::higher,
                 .target = 100};
  torch.peer = Peer{.name = "libtorch", .value = {}};
  if (std::filesystem::exists(peer)) {
    std::FILE* pipe = ::popen(("OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 '" + peer + "' speed").c_str(), "r");
    std::string text;
    for (int c; pipe != nullptr && (c = std::fgetc(pipe)) != EOF;) text.push_back(static_cast<char>(c));
    if (pipe == nullptr || ::pclose(pipe) != 0) throw Unavailable(peer + " cannot be run");
    const Json report = Json::parse(text);
    Comparison comparison;
    comparison.figures["fused"] = report.at("fused").get<std::vector<double>>();
    comparison.figures["libtorch"] = report.at("libtorch").get<std::vector<double>>();
    torch.comparison = comparison;
    torch.ours_name = "fused";
    torch.peer_name = "libtorch";
    torch.note = "rounds interleaved; " + report.at("version").get<std::string>();
  } else {
    torch.note = "libtorch is not installed";
  }
  bench.add(std::move(torch));
  // A round of many clients: the time of 11 rounds less that of one, over ten.
  for (int clients : {100, 1000, 10'000}) {
    const auto many =
        make_federation({.name = "sine", .samples = 50, .seed = 1}, ConceptPattern::stationary(clients, 1));
    RunConfig config;
    config.local_steps = 50;
    config.fraction = 0.1;
    config.reset_optimizer = true;
    std::vector<double> rounds;
    for (int repeat = 0; repeat < 5; ++repeat) {
      double took[2];
      for (int i = 0; i < 2; ++i) {
        config.rounds = i == 0 ? 1 : 11;
        took[i] = time_of([&] { run_named("oblivious", many, config, 1); });
      }
      rounds.push_back((took[1] - took[0]) / 10);
    }
    bench.add({.id = fmt::format("scale.round.{}", clients),
               .what = "one round, a tenth of the clients, 50 local steps each",
               .unit = "s",
               .ours = median(rounds),
               .better = Better::lower,
               .target = clients == 10'000 ? std::optional<double>(0.5) : std::nullopt,
               .note = fmt::format("{} clients, two threads; spread {:.3f}-{:.3f}", clients,
                                   quantile(rounds, 0.1), quantile(rounds, 0.9))});
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  bench.add({.id = "scale.memory.10000",
             .what = "peak memory of this process after 10 000 clients",
             .unit = "MB",
             .ours = static_cast<double>(usage.ru_maxrss) / 1024,
             .better = Better::lower,
             .note = "data of two steps, 50 samples each: 12 MB"});
  workers_suite(bench);
}

namespace {

// The same work by 1 and 2 threads and by 1, 2 and 4 ranks: what a second core gives. Each machine of MPI is
// a process that also makes its own data, so its time holds start-up.
void workers_suite(Bench& bench) {
  const auto many =
      make_federation({.name = "sine", .samples = 50, .seed = 1}, ConceptPattern::stationary(1000, 1));
  std::vector<double> took[2];
  for (int repeat = 0; repeat < 5; ++repeat) {
    for (int threads : {1, 2}) {
      RunConfig config;
      config.threads = threads;
      config.local_steps = 50;
      config.rounds = 10;
      took[threads - 1].push_back(time_of([&] { run_named("oblivious", many, config, 1); }));
    }
  }
  BenchRow row{.id = "scale.threads",
               .what = "ten rounds of 1000 clients: two threads against one",
               .unit = "s",
               .better = Better::lower};
  Comparison comparison;
  comparison.figures["two threads"] = took[1];
  comparison.figures["one thread"] = took[0];
  row.comparison = comparison;
  row.ours_name = "two threads";
  row.peer_name = "one thread";
  bench.add(std::move(row));
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  if (std::system("command -v mpirun >/dev/null 2>&1") != 0) return;
  for (const int ranks : {1, 2, 4}) {
    const std::string command = fmt::format(
        "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe --bind-to none "
        "--mca "
        "mpi_yield_when_idle 1 -n {} '{}' sim --engine mpi --threads 1 --data sine --pattern A --steps 2 "
        "--clients "
        "1000 --samples 50 --rounds 20 --local-steps 50 --strategy oblivious >/dev/null 2>&1",
        ranks, self);
    int code = -1;
    const double seconds = time_of([&] { code = std::system(command.c_str()); });
    BenchRow rank_row{.id = fmt::format("scale.mpi.{}", ranks),
                      .what = "a simulation of 1000 clients by ranks of one thread, start-up included",
                      .unit = "s",
                      .better = Better::lower};
    if (code == 0) rank_row.ours = seconds;
    rank_row.note = code == 0 ? "on two cores" : "mpirun could not start it";
    bench.add(std::move(rank_row));
  }
}

}  // namespace

void fault_suite(Bench& bench, const std::string& budget, int seeds) {
  const auto accuracy_of = [&](const FaultConfig& faults, const std::string& aggregate) {
    std::vector<double> values;
    for (int seed = 1; seed <= seeds; ++seed) {
      RunConfig config = preset(budget, "sine");
      config.faults = faults;
      config.aggregator = Aggregator::from_string(aggregate);
      // Twenty clients, all data of one concept: what is measured is the mean, not the clustering.
      const auto federation =
          make_federation({.name = "circle", .samples = 500, .seed = static_cast<std::uint64_t>(seed)},
                          ConceptPattern::stationary(20, 4));
      values.push_back(100 * run_named("oblivious", federation, config, seed).accuracy());
    }
    return mean(values);
  };
  const double calm = accuracy_of({}, "mean");
  const auto row = [&](const std::string& id, const std::string& what, double value,
                       std::optional<double> target) {
    bench.add({.id = id,
               .what = what,
               .unit = "points",
               .ours = calm - value,
               .better = Better::lower,
               .target = target,
               .note = fmt::format("{:.2f} % against {:.2f} %", value, calm)});
  };
  row("fault.churn", "lost under 20 % churn a round", accuracy_of({.churn = 0.2}, "mean"), 1.0);
  row("fault.stragglers", "lost with 10 % of updates too late", accuracy_of({.stragglers = 0.1}, "mean"),
      1.0);
  row("fault.flip.mean", "lost with about 10 % sign-flipping clients, plain mean",
      accuracy_of({.sign_flip = 0.1}, "mean"), {});
  for (const char* kind : {"trimmed:0.2", "median", "multi_krum:4"})
    row(fmt::format("fault.flip.{}", kind), "the same with this aggregator",
        accuracy_of({.sign_flip = 0.1}, kind),
        std::string(kind) == "trimmed:0.2" ? std::optional<double>(3.0) : std::nullopt);
}

void privacy_suite(Bench& bench, const cli::Common& common, const std::string& budget) {
  const auto spent = gaussian_privacy_loss(256.0 / 60000, 1.1, 14062, 1e-5, Conversion::classic);
  bench.add({.id = "privacy.accountant",
             .what = "epsilon at q = 256/60000, z = 1.1, T = 14062, delta 1e-5 (published 3.009)",
             .unit = "1",
             .ours = spent.epsilon,
             .peer = Peer{.name = "published value", .value = 3.009},
             .better = Better::lower,
             .basis = Basis::counted,
             .note = fmt::format("order {}", spent.order)});
  const auto federation = make_federation({.name = "sine", .samples = 500, .seed = common.seed},
                                          ConceptPattern::stationary(100, 3));
  RunConfig config = preset(budget, "sine");
  const double plain = 100 * run_named("oblivious", federation, config, 1).accuracy();
  for (double noise : {0.5, 1.0, 4.0}) {
    config.privacy = {.clip = 1, .noise = noise};
    const RunLog log = run_named("oblivious", federation, config, 1);
    bench.add({.id = fmt::format("privacy.accuracy.z{}", noise),
               .what = "accuracy under differential privacy, 100 clients",
               .unit = "%",
               .ours = 100 * log.accuracy(),
               .peer = Peer{.name = "without", .value = plain},
               .better = Better::higher,
               .note = fmt::format("epsilon {:.2f} at delta 1e-5 for all rounds", log.epsilon)});
  }
  // Secure aggregation of 20 clients with two dropouts: exact, and what it costs.
  const int clients = 20, threshold = 11;
  const std::size_t size = ModelShape::of(ModelKind::cnn, 28 * 28, 64, 10).size();
  std::vector<int> cohort(clients);
  for (int c = 0; c < clients; ++c) cohort[static_cast<std::size_t>(c)] = c;
  SecureServer server(cohort, threshold);
  std::vector<SecureClient> all;
  for (int c : cohort) all.emplace_back(c, cohort, threshold);
  std::map<int, std::map<int, std::string>> post;
  std::size_t up = 0;
  MaskedVector expected(size + 1, 0);
  bool exact = false;
  const double took = time_of([&] {
    for (int c : cohort) server.take_keys(c, all[static_cast<std::size_t>(c)].advertise());
    for (int c : cohort) {
      for (auto& [to, box] : all[static_cast<std::size_t>(c)].share(server.keys())) {
        up += box.size();
        post[to][c] = box;
      }
      up += sizeof(PublicKeys);
    }
    for (int c : cohort) {
      Random random(common.seed, static_cast<std::uint64_t>(c));
      Params params(size);
      for (float& p : params) p = static_cast<float>(random.uniform(-1, 1));
      const MaskedVector values = quantise(params, 500, 1000),
                         masked = all[static_cast<std::size_t>(c)].mask(values, post[c]);
      if (c < 2) continue;
      up += masked.size() * 4;
      server.take_masked(c, masked);
      for (std::size_t i = 0; i < values.size(); ++i) expected[i] += values[i];
    }
    for (int c = 2; c < clients; ++c) {
      const auto opened = all[static_cast<std::size_t>(c)].unmask(server.survived(), server.dropped());
      up += (opened.seeds.size() + opened.keys.size()) * 36;
      server.take_opened(c, opened);
    }
    exact = server.sum() == expected;
  });
  bench.add({.id = "privacy.secagg.exact",
             .what = "secure sum equals the plain quantised sum, 2 of 20 clients dropped",
             .unit = "1",
             .ours = exact ? 1.0 : 0.0,
             .better = Better::higher,
             .target = 1.0,
             .basis = Basis::counted,
             .note = {}});
  bench.add({.id = "privacy.secagg.bytes",
             .what = "bytes sent up over plain parameters, the CNN of 28 x 28 pictures",
             .unit = "x",
             .ours = static_cast<double>(up) / static_cast<double>((clients - 2) * size * 4),
             .better = Better::lower,
             .target = 1.3,
             .basis = Basis::counted,
             .note = {}});
  bench.add({.id = "privacy.secagg.time",
             .what = "the whole protocol, all clients on one core",
             .unit = "s",
             .ours = took,
             .better = Better::lower,
             .note = "generating and quantising the vectors included"});
}

}  // namespace ballast::federate
