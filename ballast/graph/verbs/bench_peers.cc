// `ballast graph bench --suite peers`: competitors that are programs of their own, on the same edges, their
// answers checked before their time counts. Over MPI (Parallel BGL, CombBLAS) both sides run under mpirun
// with as many ranks; NetworKit, in Python on one thread, meets the sequential algorithms.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/graph/formats/format.h"
#include "ballast/graph/sequential/sequential.h"
#include "ballast/graph/verbs/bench.h"

namespace ballast::graph {
namespace {

// The simple graph without vertices of degree 0, on which all libraries mean the same by PageRank.
EdgeList common_ground(EdgeList list) {
  simplify(list, true, true);
  list.weights.clear();
  std::vector<VertexId> number(list.vertices, kNoVertex);
  VertexId next = 0;
  for (Edge& e : list.edges) {
    for (VertexId* v : {&e.source, &e.target}) {
      if (number[*v] == kNoVertex) number[*v] = next++;
      *v = number[*v];
    }
  }
  list.vertices = next;
  return list;
}

struct Answers {
  double reached = 0, components = 0, squares = 0, largest = 0;
};

class Field {
 public:
  explicit Field(const Settings& settings)
      : settings_(settings),
        list_(common_ground(made(fmt::format("kron:{}", settings.quick ? 13 : 18), settings.seed))),
        graph_(build(list_)),
        source_(busiest_vertex(list_)) {
    std::string one, both;
    const auto put = [](std::string& to, VertexId u, VertexId v) {
      for (VertexId id : {u, v}) to.append(reinterpret_cast<const char*>(&id), sizeof id);
    };
    for (const Edge& e : list_.edges) {
      put(one, e.source, e.target);
      put(both, e.source, e.target);
      put(both, e.target, e.source);
    }
    write_file(folder_.file("one.bin"), one);
    write_file(folder_.file("both.bin"), both);
    write_graph(list_, folder_.file("graph.bgr"));
    program_ = std::filesystem::read_symlink("/proc/self/exe").string();
  }

  const Settings& settings() const { return settings_; }
  const Graph& graph() const { return graph_; }
  VertexId source() const { return source_; }
  double vertices() const { return static_cast<double>(list_.vertices); }
  std::string what(const std::string& algorithm) const {
    return fmt::format("{} on kron-{} without isolated vertices", algorithm, settings_.quick ? 13 : 18);
  }
  std::string peer_program(const std::string& name) const {
    const auto path = std::filesystem::path(program_).parent_path() / ("ballast-graph-peer-" + name);
    return std::filesystem::exists(path) ? path.string() : "";
  }

  /// Ten rounds of PageRank from `start` at every vertex, of ranks that would sum to 1.
  std::vector<double> ranks_from(double start) const {
    constexpr double kDamping = 0.85;
    std::vector<double> degree(list_.vertices), rank(list_.vertices, start), next;
    for (const Edge& e : list_.edges) {
      ++degree[e.source];
      ++degree[e.target];
    }
    for (int round = 0; round < 10; ++round) {
      next.assign(list_.vertices, (1 - kDamping) / vertices());
      for (const Edge& e : list_.edges) {
        next[e.target] += kDamping * rank[e.source] / degree[e.source];
        next[e.source] += kDamping * rank[e.target] / degree[e.target];
      }
      rank.swap(next);
    }
    return rank;
  }

  /// A command's JSON. Throws Unavailable with the end of what it said.
  Json run(const std::string& command) const {
    const std::string out = folder_.file("out"), err = folder_.file("err");
    const int status = std::system(fmt::format("{} >{} 2>{} </dev/null", command, out, err).c_str());
    const std::string text = read_file(out);
    const auto begin = text.find('{');
    if (status != 0 || begin == std::string::npos) {
      const std::string said = read_file(err);
      throw Unavailable(fmt::format("a competitor failed: {}: {}", command.substr(0, 200),
                                    said.substr(said.size() > 300 ? said.size() - 300 : 0)));
    }
    return Json::parse(text.substr(begin));
  }
  std::string mpirun(int ranks, const std::string& rest) const {
    return fmt::format(
        "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1 mpirun "
        "--oversubscribe --bind-to none -n {} {}",
        ranks, rest);
  }
  /// Seconds of our engine.
  double ours(int ranks, const std::string& algorithm) const {
    const Json report = run(mpirun(
        ranks,
        fmt::format("'{}' run {} '{}' --source {} --iterations 10 --transport mpi --machines {} --repeats {} "
                    "--verify --json",
                    program_, algorithm, folder_.file("graph.bgr"), source_, ranks, kRepeats + 1)));
    if (!report.at("verified").get<bool>()) throw InvalidInput("our engine gives a wrong " + algorithm);
    return report.at("run_seconds_measured").get<double>();
  }
  Json theirs(const std::string& command, const std::string& edges) const {
    return run(
        fmt::format("{} '{}' {} {} {}", command, folder_.file(edges), list_.vertices, source_, kRepeats));
  }

  static constexpr int kRepeats = 3;

 private:
  Settings settings_;
  EdgeList list_;
  Graph graph_;
  VertexId source_;
  TemporaryFolder folder_;
  std::string program_;
};

double median_of(const Json& values) {
  auto all = values.get<std::vector<double>>();
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
  return all[all.size() / 2];
}

void require_same(const std::string& name, const std::string& what, double theirs, double ours) {
  if (std::abs(theirs - ours) > 1e-6 * std::abs(ours))
    throw InvalidInput(fmt::format("{} and ballast disagree on {}: {} and {}", name, what, theirs, ours));
}

struct MpiPeer {
  std::string name;
  std::vector<int> ranks;
  double bfs_target, pr_target;
  bool sums_to_vertices;  // its ranks sum to n, not to 1
};

void against_mpi(Bench& bench, const Field& field, const MpiPeer& peer, const Answers& right) {
  const std::string program = field.peer_program(peer.name);
  for (const int ranks : peer.ranks) {
    std::map<std::string, Comparison> times;
    std::string version, failure = program.empty() ? "not installed" : "";
    for (int round = 0; round < field.settings().rounds() && failure.empty(); ++round) {
      cli::stop_if_interrupted();
      try {
        const Json theirs = field.theirs(field.mpirun(ranks, program), "both.bin");
        const double scale = peer.sums_to_vertices ? field.vertices() : 1;
        require_same(peer.name, "reached vertices", theirs.at("reached"), right.reached);
        require_same(peer.name, "the largest rank", theirs.at("largest").get<double>() / scale,
                     right.largest);
        require_same(peer.name, "the ranks", theirs.at("squares").get<double>() / scale / scale,
                     right.squares);
        version = theirs.at("version");
        for (const std::string algorithm : {"bfs", "pr"}) {
          times[algorithm].figures["theirs"].push_back(median_of(theirs.at(algorithm)));
          times[algorithm].figures["ours"].push_back(field.ours(ranks, algorithm));
        }
      } catch (const Unavailable& error) {
        failure = error.what();
      }
    }
    for (const std::string algorithm : {"bfs", "pr"}) {
      BenchRow row{.id = fmt::format("G6.{}.{}.n{}", peer.name, algorithm, ranks),
                   .what = fmt::format("{}, {} MPI ranks", field.what(algorithm), ranks),
                   .unit = "s",
                   .peer = Peer{.name = peer.name, .value = {}, .version = version},
                   .target = algorithm == "bfs" ? peer.bfs_target : peer.pr_target,
                   .note = failure.substr(0, 100)};
      if (failure.empty()) {
        row.comparison = times[algorithm];
        row.ours_name = "ours";
        row.peer_name = "theirs";
      }
      bench.add(row);
    }
  }
}

void against_networkit(Bench& bench, const Field& field, const Answers& right) {
  const std::string script = std::string(BALLAST_GRAPH_PEERS) + "/networkit_peer.py";
  const char* cache = std::getenv("BALLAST_CACHE");
  const char* home = std::getenv("HOME");
  const std::string python =
      (cache != nullptr ? std::string(cache) : std::string(home == nullptr ? "" : home) + "/.cache/ballast") +
      "/venv/bin/python";
  const sequential::PageRankOptions converged{.iterations = 100, .tolerance = 1e-10};
  std::map<std::string, Comparison> times;
  std::string version, failure;
  for (int round = 0; round < field.settings().rounds() && failure.empty(); ++round) {
    cli::stop_if_interrupted();
    try {
      const Json theirs = field.theirs("OMP_NUM_THREADS=1 '" + python + "' '" + script + "'", "one.bin");
      require_same("networkit", "reached vertices", theirs.at("reached"), right.reached);
      require_same("networkit", "components", theirs.at("components"), right.components);
      version = theirs.at("version");
      for (const std::string algorithm : {"bfs", "cc", "pr"}) {
        times[algorithm].figures["theirs"].push_back(median_of(theirs.at(algorithm)));
        std::vector<double> mine;
        for (int i = 0; i < Field::kRepeats; ++i) {
          mine.push_back(time_of([&] {
            if (algorithm == "bfs") sequential::bfs(field.graph(), field.source());
            if (algorithm == "cc") sequential::connected_components(field.graph());
            if (algorithm == "pr") sequential::pagerank(field.graph(), converged);
          }));
        }
        times[algorithm].figures["ours"].push_back(median_of(mine));
      }
    } catch (const Unavailable& error) {
      failure = error.what();
    }
  }
  for (const std::string algorithm : {"bfs", "cc", "pr"}) {
    BenchRow row{.id = "G3.networkit." + algorithm,
                 .what = field.what(algorithm) + ", one thread",
                 .unit = "s",
                 .peer = Peer{.name = "networkit",
                              .value = {},
                              .version = version,
                              .settings = algorithm == "pr" ? "tolerance 1e-10; ours to 1e-10" : ""},
                 .target = 1,
                 .note = failure.empty() ? "" : "not run: " + failure.substr(0, 120)};
    if (failure.empty()) {
      row.comparison = times[algorithm];
      row.ours_name = "ours";
      row.peer_name = "theirs";
    }
    bench.add(row);
  }
}

}  // namespace

void bench_peers(Bench& bench, const Settings& settings) {
  const Field field(settings);
  Answers right;
  for (std::uint32_t level : sequential::bfs(field.graph(), field.source()).levels)
    right.reached += level != sequential::kUnreached;
  auto labels = sequential::connected_components(field.graph());
  std::sort(labels.begin(), labels.end());
  right.components = static_cast<double>(std::unique(labels.begin(), labels.end()) - labels.begin());
  for (double rank : sequential::pagerank(field.graph(), {.iterations = 10}).ranks) {
    right.squares += rank * rank;
    right.largest = std::max(right.largest, rank);
  }
  against_networkit(bench, field, right);
  if (std::system("mpirun --version >/dev/null 2>&1") != 0) return;
  // Boost's ranks sum to n but begin at 1/n: after ten rounds they are still on their way up.
  Answers boosts = right;
  boosts.squares = boosts.largest = 0;
  for (const double rank : field.ranks_from(1 / field.vertices() / field.vertices())) {
    boosts.squares += rank * rank;
    boosts.largest = std::max(boosts.largest, rank);
  }
  against_mpi(bench, field, {"parallel-bgl", {1, 2, 4}, 3, 8, true}, boosts);
  against_mpi(bench, field, {"combblas", {1, 4}, 6, 0.8, false}, right);
}

}  // namespace ballast::graph
