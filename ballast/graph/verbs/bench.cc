// `ballast graph bench`: the figures of the chapter. Engines are values of the same settings and run the same
// algorithms over the same transport; what is counted is exact, what is modelled says so.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/statistics.h"
#include "ballast/cluster/cost_model.h"
#include "ballast/data/datasets.h"
#include "ballast/graph/formats/format.h"
#include "ballast/graph/generate.h"
#include "ballast/graph/peers/library_peer.h"
#include "ballast/graph/run.h"
#include "ballast/graph/sequential/sequential.h"
#include "ballast/graph/verbs/bench.h"
#include "ballast/graph/verbs/verbs.h"

namespace ballast::graph {
namespace {

struct Subject {
  std::string name;
  EdgeList list;
};

std::vector<Subject> subjects(const Settings& settings) {
  std::vector<Subject> all;
  all.push_back({fmt::format("kron-{}", settings.scale()),
                 made(fmt::format("kron:{}", settings.scale()), settings.seed)});
  all.push_back({fmt::format("road-{}", settings.side()),
                 made(fmt::format("road:{}", settings.side()), settings.seed)});
  const std::string folder = data::try_dataset("graph-collection");
  for (const char* name : {"pgp-strong-2009", "email-Enron"}) {
    if (folder.empty()) continue;
    all.push_back({name, read_graph(folder + "/" + name + ".gt.gz")});
    add_weights(all.back().list, settings.seed);
  }
  return all;
}

// The supersteps of the algorithm alone: without ingestion (the first stage) and gathering (the last).
std::vector<cluster::Account> algorithm_accounts(const JobReport& report) {
  std::vector<cluster::Account> result = report.accounts;
  for (cluster::Account& account : result) {
    const auto last = static_cast<std::uint32_t>(account.stages.size());
    std::erase_if(account.supersteps, [&](const auto& s) { return s.stage == 1 || s.stage == last; });
  }
  return result;
}

std::uint64_t links(const JobReport& report) {
  return report.layout.source_links + report.layout.target_links;
}

// Layouts: how even, how many copies, how many values a full round moves.
void bench_layouts(Bench& bench, const Settings& settings) {
  Table table("Layouts at P = 16 (counted)",
              {"graph", "engine", "edges, fullest / mean", "copies of a vertex", "values a full round"});
  for (const auto& [name, list] : subjects(settings)) {
    std::map<std::string, JobReport> reports;
    for (const std::string& engine : partition_names()) {
      cli::stop_if_interrupted();
      Job job = job_of("pr", engine, 16, list);
      job.parameters.rank.iterations = 1;
      reports[engine] = run_job(*source_of(list), job);
      const auto& layout = reports[engine].layout;
      table.row({name, engine, fmt::format("{:.3f}", layout.edge_balance),
                 fmt::format("{:.2f}", layout.replication), std::to_string(links(reports[engine]))});
    }
    const bool kron = name.starts_with("kron"), road = name.starts_with("road");
    if (kron) {
      bench.add({.id = "G2.balance",
                 .what = "edges of the fullest machine over the mean, tdo, " + name + ", P = 16",
                 .unit = "ratio",
                 .ours = reports["tdo"].layout.edge_balance,
                 .better = Better::lower,
                 .target = 1.05,
                 .basis = Basis::counted});
      bench.add({.id = "G2.balance.oec",
                 .what = "the same of oec",
                 .unit = "ratio",
                 .ours = reports["oec"].layout.edge_balance,
                 .better = Better::lower,
                 .basis = Basis::counted});
    }
    if (!kron && !road) continue;
    const std::string rival = kron ? "cvc" : "oec";
    bench.add(
        {.id = "G2.links." + name,
         .what = "values that a full round moves, P = 16",
         .unit = "values",
         .ours = static_cast<double>(links(reports["tdo"])),
         .peer =
             Peer{.name = rival, .value = static_cast<double>(links(reports[rival])), .version = "built in"},
         .better = Better::lower,
         .target = kron ? 1.0 : 0.9,
         .basis = Basis::counted});
  }
  bench.section().table(table);
}

// Engines side by side on an emulated network of 50 MB/s and 50 us a machine.
void bench_engines(Bench& bench, const Settings& settings) {
  const std::string net =
      (std::filesystem::temp_directory_path() / fmt::format("ballast-graph-net-{}.yaml", ::getpid()))
          .string();
  write_file(net, "name: emulated\nbytes_per_s: 5e7\nper_message_s: 0\nlatency_s: 5e-5\n");
  const cluster::Profile profile = cluster::find_profile(net);
  const std::vector<std::string> engines{"tdo", "oec", "cvc", "hash-vertex-cut", "spmv"};
  std::vector<double> best_measured, best_modelled, mean_measured;
  Table table("P = 8, 50 MB/s and 50 us a machine: time over that of tdo",
              {"graph", "algorithm", "basis", "oec", "cvc", "hash-vertex-cut", "spmv"});
  for (const auto& [name, list] : subjects(settings)) {
    const auto source = source_of(list);
    for (const std::string algorithm : {"bfs", "sssp", "bc", "cc", "pr"}) {
      const NamedValues expected =
          named(run_sequential(algorithm, list, job_of(algorithm, "tdo", 1, list).parameters), list);
      std::map<std::string, double> modelled;
      std::vector<Contestant> contestants;
      for (const std::string& engine : engines) {
        contestants.push_back({engine, [&, engine] {
                                 Job job = job_of(algorithm, engine, 8, list);
                                 job.cluster.transport = "shaped";
                                 job.cluster.net = net;
                                 const JobReport report = run_job(*source, job);
                                 if (!compare(algorithm, expected, named(report.result, list)).same)
                                   throw InvalidInput(
                                       fmt::format("{} gives a wrong {} of {}", engine, algorithm, name));
                                 const auto accounts = algorithm_accounts(report);
                                 modelled[engine] = cluster::model_time(accounts, profile, false).total();
                                 return report.run_s;
                               }});
      }
      const Comparison times =
          interleave(contestants, {.rounds = settings.rounds(), .warmup = 0, .seed = settings.seed});
      std::vector<std::string> measured_row{name, algorithm, "measured"},
          modelled_row{name, algorithm, "modelled, network only"};
      double least = std::numeric_limits<double>::infinity(), least_model = least, sum = 0;
      for (const std::string& engine : engines) {
        if (engine == "tdo") continue;
        const double ratio = times.ratio(engine, "tdo").median, model = modelled[engine] / modelled["tdo"];
        least = std::min(least, ratio);
        least_model = std::min(least_model, model);
        sum += ratio / static_cast<double>(engines.size() - 1);
        measured_row.push_back(fmt::format("{:.2f}", ratio));
        modelled_row.push_back(fmt::format("{:.2f}", model));
      }
      best_measured.push_back(least);
      best_modelled.push_back(least_model);
      mean_measured.push_back(sum);
      table.row(measured_row);
      table.row(modelled_row);
    }
  }
  std::filesystem::remove(net);
  const std::string what = "over the best built-in engine of each cell, P = 8, emulated 50 MB/s and 50 us";
  bench.add({.id = "G1.best",
             .what = "geometric mean " + what,
             .unit = "ratio",
             .ours = geometric_mean(best_measured),
             .better = Better::higher,
             .target = 1.5,
             .note = "network emulated by shaped threads"});
  bench.add({.id = "G1.worst",
             .what = "worst cell " + what,
             .unit = "ratio",
             .ours = *std::min_element(best_measured.begin(), best_measured.end()),
             .better = Better::higher,
             .target = 0.8});
  bench.add({.id = "G1.mean",
             .what = "geometric mean over the mean of the built-in engines",
             .unit = "ratio",
             .ours = geometric_mean(mean_measured),
             .better = Better::higher,
             .target = 4});
  bench.add({.id = "G1.best.network",
             .what = "geometric mean " + what + ", network time alone",
             .unit = "ratio",
             .ours = geometric_mean(best_modelled),
             .better = Better::higher,
             .target = 1.5,
             .basis = Basis::modelled});
  bench.section().table(table);
}

struct LibraryName {
  std::string name, rank_settings;
};

// The sequential algorithms against a library of one process. Answers first, then the time.
void bench_library(Bench& bench, const Settings& settings, const Graph& graph, VertexId source,
                   const LibraryName& library, std::unique_ptr<LibraryPeer> peer) {
  const sequential::PageRankOptions converged{.iterations = 100, .tolerance = 1e-10};
  for (const std::string algorithm : {"bfs", "cc", "pr"}) {
    BenchRow row{.id = "G3." + library.name + "." + algorithm,
                 .what = fmt::format("{} on kron-{}, one thread", algorithm, settings.scale()),
                 .unit = "s",
                 .target = 1};
    if (!peer) {
      row.peer = Peer{.name = library.name, .value = {}};
      bench.add(row);
      continue;
    }
    bool same = false;
    if (algorithm == "bfs") {
      const auto levels = sequential::bfs(graph, source).levels;
      const auto reached = std::count_if(levels.begin(), levels.end(),
                                         [](std::uint32_t l) { return l != sequential::kUnreached; });
      same = peer->reached_by_bfs(source) == static_cast<double>(reached);
    } else if (algorithm == "cc") {
      const auto theirs = peer->components();
      if (!theirs) continue;  // not among what the library has
      auto labels = sequential::connected_components(graph);
      std::sort(labels.begin(), labels.end());
      same = *theirs == static_cast<double>(std::unique(labels.begin(), labels.end()) - labels.begin());
    } else {
      const auto theirs = peer->pagerank(0.85);
      const auto ours = sequential::pagerank(graph, converged).ranks;
      double difference = 0;
      for (std::size_t v = 0; v < ours.size(); ++v) difference += std::abs(ours[v] - theirs->at(v));
      same = difference < 1e-4;
    }
    if (!same)
      throw InvalidInput(
          fmt::format("{} and ballast disagree on {} of kron-{}", library.name, algorithm, settings.scale()));
    row.comparison = interleave({{"ours",
                                  [&] {
                                    return time_of([&] {
                                      if (algorithm == "bfs") sequential::bfs(graph, source);
                                      if (algorithm == "cc") sequential::connected_components(graph);
                                      if (algorithm == "pr") sequential::pagerank(graph, converged);
                                    });
                                  }},
                                 {library.name,
                                  [&] {
                                    return time_of([&] {
                                      if (algorithm == "bfs") peer->reached_by_bfs(source);
                                      if (algorithm == "cc") peer->components();
                                      if (algorithm == "pr") peer->pagerank(0.85);
                                    });
                                  }}},
                                {.rounds = settings.rounds() + 1, .seed = settings.seed});
    row.peer = Peer{.name = library.name,
                    .value = {},
                    .version = peer->version(),
                    .settings = algorithm == "pr" ? library.rank_settings + "; ours to 1e-10" : ""};
    row.ours_name = "ours";
    row.peer_name = library.name;
    bench.add(row);
  }
}

// One core: the engine with P = 1 against the sequential yardstick, and the yardstick against libraries.
void bench_core(Bench& bench, const Settings& settings) {
  // Loops and parallel edges are read differently by different libraries: the common ground is the simple
  // graph.
  EdgeList list = made(fmt::format("kron:{}", settings.scale()), settings.seed);
  simplify(list, true, true);
  const Graph graph = build(list);
  const auto source = source_of(list);
  const AlgorithmOptions parameters = job_of("pr", "tdo", 1, list).parameters;
  auto sequential_time = [&](const std::string& algorithm) {
    return time_of([&] {
      if (algorithm == "bfs") sequential::bfs(graph, parameters.source);
      if (algorithm == "sssp") sequential::shortest_paths(graph, parameters.source);
      if (algorithm == "bc") sequential::betweenness(graph, std::vector{parameters.source});
      if (algorithm == "cc") sequential::connected_components(graph);
      if (algorithm == "pr") sequential::pagerank(graph, {.iterations = 10});
    });
  };
  for (const std::string algorithm : {"bfs", "sssp", "bc", "cc", "pr"}) {
    const Comparison times =
        interleave({{"engine", [&] { return run_job(*source, job_of(algorithm, "tdo", 1, list)).run_s; }},
                    {"one core", [&] { return sequential_time(algorithm); }}},
                   {.rounds = settings.rounds() + 1, .seed = settings.seed});
    bench.add({.id = "G3.core." + algorithm,
               .what = fmt::format("{} on kron-{}: engine with P = 1 against the sequential yardstick",
                                   algorithm, settings.scale()),
               .unit = "s",
               .target = 1 / 1.5,
               .note = "GAP's own code is not at hand: the yardstick is ours",
               .comparison = times,
               .ours_name = "engine",
               .peer_name = "one core"});
  }
  bench_library(bench, settings, graph, parameters.source, {"igraph", "PRPACK, converged"},
                make_igraph(list));
  bench_library(bench, settings, graph, parameters.source, {"GraphBLAS", "converged to 1e-10"},
                make_graphblas(list));
}

// What more machines would bring on a 10 Gbit/s network.
void bench_scaling(Bench& bench, const Settings& settings) {
  const EdgeList list = made(fmt::format("kron:{}", settings.quick ? 15 : 18), settings.seed);
  const cluster::Profile profile = cluster::find_profile("10gbe");
  Table table(
      "pr on a Kronecker graph by machines, 10 Gbit/s (modelled from counted bytes and measured CPU time)",
      {"P", "speed-up", "compute", "network"});
  double alone = 0, speed_up = 0;
  for (const int machines : {1, 2, 4, 8, 16}) {
    const JobReport report = run_job(*source_of(list), job_of("pr", "tdo", machines, list));
    // With one machine nothing is exchanged: its time is what it measured itself.
    const auto model = cluster::model_time(algorithm_accounts(report), profile, true);
    const double total = machines == 1 ? report.run_s : model.total();
    if (machines == 1) alone = total;
    speed_up = alone / total;
    table.row({std::to_string(machines), fmt::format("{:.2f}", speed_up),
               fmt::format("{:.0f} %", machines == 1 ? 100 : 100 * model.compute_s / total),
               fmt::format("{:.0f} %", machines == 1 ? 0 : 100 * (1 - model.compute_s / total))});
  }
  bench.add({.id = "G5.scaling",
             .what = "speed-up of pr from P = 1 to 16 on 10 Gbit/s",
             .unit = "ratio",
             .ours = speed_up,
             .better = Better::higher,
             .target = 8,
             .basis = Basis::modelled});
  bench.section().table(table);
}

}  // namespace

void add_bench(cli::Program& program) {
  struct Options {
    bool quick = false;
    std::vector<std::string> suites;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "bench", "the figures of the chapter: layouts, ablation, one core, peers, scaling, engines",
      {"ballast graph bench --quick", "ballast graph bench --suite engines,core --json bench.json"});
  verb->add_flag("--quick", options->quick, "small graphs, few rounds");
  verb->add_option("--suite", options->suites,
                   "layouts, ablation, core, peers, scaling, engines (default: all)")
      ->delimiter(',');
  verb.run([options](const cli::Common& common) {
    const std::vector<std::string> all{"layouts", "ablation", "core", "peers", "scaling", "engines"};
    for (const auto& suite : options->suites) cli::require_one_of("--suite", suite, all);
    const Settings settings{.quick = options->quick, .seed = common.seed};
    Bench bench("graph", options->quick ? "quick" : "full", common);
    auto wanted = [&](const char* name) {
      return options->suites.empty() ||
             std::find(options->suites.begin(), options->suites.end(), name) != options->suites.end();
    };
    if (wanted("layouts")) bench_layouts(bench, settings);
    if (wanted("ablation")) bench_ablation(bench, settings);
    if (wanted("core")) bench_core(bench, settings);
    if (wanted("peers")) bench_peers(bench, settings);
    if (wanted("scaling")) bench_scaling(bench, settings);
    if (wanted("engines")) bench_engines(bench, settings);
    bench.finish();
  });
}

}  // namespace ballast::graph
