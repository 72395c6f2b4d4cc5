// First light: bfs, cc and pr as orchestration stages, on a real graph and a Kronecker graph, by every
// method, over 1, 4 and 16 machines and two MPI ranks; the answers are checked against an independent library
// (networkx).
#include "ballast/graph/algorithms/staged.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/json.h"
#include "ballast/graph/formats/format.h"
#include "ballast/graph/generate.h"
#include "ballast/graph/run.h"
#include "ballast/graph/test_support.h"

namespace ballast::graph {
namespace {

constexpr std::uint64_t kSeed = 5;

// networkx's answer in the form of our result files. Its pagerank needs scipy, so ranks come from its plain
// Python twin; sinks and parallel edges are as in ours.
const char* const kNetworkx = R"(
import sys, networkx as nx
kind, algorithm, edges, vertices, source, out = sys.argv[1:]
g = nx.MultiDiGraph() if kind == 'directed' else nx.MultiGraph()
g.add_nodes_from(range(int(vertices)))
g.add_edges_from(tuple(map(int, line.split()[:2])) for line in open(edges) if line[0] != '#')
if algorithm == 'bfs':
    levels = nx.single_source_shortest_path_length(g, int(source))
    value = lambda v: levels.get(v, 9223372036854775807)
elif algorithm == 'cc':
    parts = nx.weakly_connected_components(g) if kind == 'directed' else nx.connected_components(g)
    label = {v: min(part) for part in parts for v in part}
    value = lambda v: label[v]
else:
    from networkx.algorithms.link_analysis.pagerank_alg import _pagerank_python
    # Every loop of an undirected graph is one way out, as in ours.
    d = g if kind == 'directed' else nx.MultiDiGraph([(u, v) for u, v in g.edges()] + [(v, u) for u, v in g.edges() if u != v])
    d.add_nodes_from(range(int(vertices)))
    simple = nx.DiGraph()
    simple.add_nodes_from(range(int(vertices)))
    for u, v in d.edges():
        simple.add_edge(u, v, weight=simple.get_edge_data(u, v, {'weight': 0})['weight'] + 1)
    ranks = _pagerank_python(simple, alpha=0.85, tol=1e-13, max_iter=500)
    value = lambda v: '%.15e' % ranks[v]
with open(out, 'w') as f:
    for v in range(int(vertices)):
        f.write('%d %s\n' % (v, value(v)))
)";

class Networkx {
 public:
  static bool installed() { return testing::run("/usr/bin/python3 -c 'import networkx'").code == 0; }

  NamedValues answer(const std::string& algorithm, const EdgeList& list, VertexId source) const {
    write_graph(list, scratch_.file("g.el"));
    const std::string script = scratch_.put("answer.py", kNetworkx), out = scratch_.file("answer");
    const auto ran = testing::run(fmt::format("/usr/bin/python3 {} {} {} {} {} {} {}", script,
                                              list.directed ? "directed" : "undirected", algorithm,
                                              scratch_.file("g.el"), list.vertices, source, out));
    EXPECT_EQ(ran.code, 0) << ran.error;
    return read_result(out);
  }

 private:
  testing::Scratch scratch_;
};

AlgorithmOptions converged(VertexId source) {
  return {.source = source, .rank = {.iterations = 200, .tolerance = 1e-12}};
}

TEST(FirstLight, StagesAgreeWithNetworkxOnARealGraph) {
  const std::string path = testing::collection_graph("polblogs");
  if (path.empty()) GTEST_SKIP() << "the graph collection is not installed (setup/setup.sh --only graph)";
  if (!Networkx::installed()) GTEST_SKIP() << "networkx is not installed (setup/setup.sh --only graph)";
  const EdgeList list = read_graph(path);
  const Networkx networkx;
  for (const std::string algorithm : {"bfs", "cc", "pr"}) {
    const NamedValues expected = networkx.answer(algorithm, list, 7);
    Job job{.algorithm = algorithm, .cluster = {.machines = 4}, .parameters = converged(7)};
    if (algorithm == "pr") job.parameters.rank = {.iterations = 60};
    const auto agree = [&](const char* how) {
      const Verdict verdict =
          compare(algorithm, expected, named(run_job(*source_of(list), job).result, list));
      EXPECT_TRUE(verdict.same) << algorithm << " " << how << ": " << verdict.first;
      EXPECT_EQ(verdict.compared, list.vertices);
    };
    agree("by replayed routes");
    job.stages = orch::Options{.method = orch::Method::td_orch};
    agree("by stages");
  }
}

TEST(FirstLight, StagesAgreeWithNetworkxOnAKroneckerGraph) {
  if (!Networkx::installed()) GTEST_SKIP() << "networkx is not installed (setup/setup.sh --only graph)";
  const EdgeList list = Generator({.kind = "kron", .scale = 9, .degree = 8, .seed = kSeed}).all();
  const Networkx networkx;
  for (const std::string algorithm : {"bfs", "cc", "pr"}) {
    const NamedValues expected = networkx.answer(algorithm, list, 3);
    for (const std::string method : {"td-orch", "push", "pull", "pull-dedup"}) {
      for (const int machines : {1, 4, 16}) {
        const Job job{.algorithm = algorithm,
                      .cluster = {.machines = machines},
                      .parameters = {.source = 3, .rank = {.iterations = 60}},
                      .stages = orch::Options{.method = orch::method_from_string(method)}};
        const JobReport report = run_job(*source_of(list), job);
        const Verdict verdict = compare(algorithm, expected, named(report.result, list));
        EXPECT_TRUE(verdict.same) << algorithm << " " << method << " P = " << machines << ": "
                                  << verdict.first;
      }
    }
  }
}

TEST(FirstLight, StagesAndRoutesGiveTheSameAnswers) {
  for (const char* word : {"road:20", "star:300", "kron:8"}) {
    GenerateOptions options{.seed = kSeed};
    parse_generator(word, options);
    const EdgeList list = Generator(options).all();
    for (const std::string algorithm : {"bfs", "cc", "pr"}) {
      Job job{.algorithm = algorithm, .cluster = {.machines = 5}};
      const NamedValues expected = named(run_sequential(algorithm, list, {}), list);
      for (const std::string& method : orch::method_names()) {
        for (const std::string fanout : {"flat", "2"}) {
          job.stages = orch::Options{.method = orch::method_from_string(method), .fanout = fanout};
          const Verdict verdict =
              compare(algorithm, expected, named(run_job(*source_of(list), job).result, list));
          EXPECT_TRUE(verdict.same) << algorithm << " " << word << " " << method << ": " << verdict.first;
        }
      }
    }
  }
}

TEST(FirstLight, HubsDrownPushButNotTdOrch) {
  // Every edge begins at one of two hubs: push sends all tasks to their owners, td-orch leaves them where
  // they are.
  const EdgeList list =
      Generator({.kind = "zipf", .scale = 10, .degree = 20, .skew = 2.0, .seed = kSeed, .directed = true})
          .all();
  Job job{.algorithm = "pr", .cluster = {.machines = 16}, .parameters = {.rank = {.iterations = 2}}};
  const auto report_of = [&](orch::Method method) {
    job.stages = orch::Options{.method = method};
    return run_job(*source_of(list), job);
  };
  const JobReport push = report_of(orch::Method::push), td = report_of(orch::Method::td_orch);
  EXPECT_GT(push.stage_imbalance, 4);
  EXPECT_LT(td.stage_imbalance, 1.3);
  EXPECT_LT(td.busiest_bytes * 2, push.busiest_bytes);
}

TEST(FirstLight, TwoMpiRanksCountTheSameBytesAsThreads) {
  if (testing::run("mpirun --version").code != 0) GTEST_SKIP() << "mpirun is not installed";
  const std::string arguments = " pr kron:9 --seed 3 --iterations 5 --json ";
  for (const std::string engine : {"", "--stages td-orch "}) {
    const auto threads = testing::run_graph("run" + arguments + engine + "--machines 4");
    const auto mpi = testing::run(
        "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n 2 " +
        std::string(BALLAST_BINARY_DIR) + "/bin/ballast-graph run" + arguments + engine +
        "--transport mpi --machines 4 --machines-per-rank 2 --verify");
    ASSERT_EQ(threads.code, 0) << threads.error;
    if (mpi.code == 3 && mpi.error.find("without MPI") != std::string::npos)
      GTEST_SKIP() << "built without MPI";
    ASSERT_EQ(mpi.code, 0) << mpi.error;
    const Json a = Json::parse(threads.output), b = Json::parse(mpi.output);
    EXPECT_EQ(b["verified"], true);
    EXPECT_EQ(a["busiest_machine_bytes_counted"], b["busiest_machine_bytes_counted"]);
    EXPECT_EQ(a["total_bytes_counted"], b["total_bytes_counted"]);
    EXPECT_EQ(a["supersteps"], b["supersteps"]);
  }
}

}  // namespace
}  // namespace ballast::graph
