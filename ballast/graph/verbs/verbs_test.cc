// The verbs as a user runs them, and LDBC's own validation cases on the distributed engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "ballast/base/json.h"
#include "ballast/cluster/transport.h"
#include "ballast/graph/formats/format.h"
#include "ballast/graph/run.h"
#include "ballast/graph/test_support.h"

namespace ballast::graph {
namespace {

using ::testing::HasSubstr;

TEST(Gen, TakesAGraphsSizeAsRunDoes) {
  testing::Scratch scratch;
  ASSERT_EQ(testing::run_graph("gen kron:8 -o " + scratch.file("a.bgr")).code, 0);
  ASSERT_EQ(testing::run_graph("gen kron --scale 8 -o " + scratch.file("b.bgr")).code, 0);
  EXPECT_EQ(read_file(scratch.file("a.bgr")), read_file(scratch.file("b.bgr")));
  const auto ran = testing::run_graph("gen kro:8 -o " + scratch.file("c.bgr"));
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.error, HasSubstr("kind of graph is 'kro:8'"));
}

TEST(Graphalytics, TheExampleGraphsComeOutRight) {
  const std::string data = testing::shared_data();
  if (data.empty()) GTEST_SKIP() << "LDBC's graphs are not here (BALLAST_SHARED_DATA)";
  for (const std::string engine : {"tdo", "cvc"}) {
    testing::Scratch scratch;
    const auto ran =
        testing::run_graph("graphalytics " + data + "/graphalytics/example --machines 3 --json --partition " +
                           engine + " -o " + scratch.file(""));
    ASSERT_EQ(ran.code, 0) << ran.output << ran.error;
    const Json json = Json::parse(ran.output);
    EXPECT_EQ(json["rows"].size(), 12u);
    for (const Json& row : json["rows"])
      EXPECT_EQ(row["result"], "right") << row["graph"] << row["algorithm"];
    EXPECT_TRUE(std::filesystem::exists(scratch.file("example-directed-CDLP")));
  }
}

// LDBC's unit cases: `vertex neighbour neighbour ...` a line; undirected edges stand on both lines.
EdgeList read_case(const std::string& path, bool directed) {
  EdgeList list;
  list.directed = directed;
  std::istringstream text(read_file(path));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> edges;
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    std::uint64_t vertex = 0, neighbour = 0;
    if (!(words >> vertex)) continue;
    list.names.push_back(vertex);
    while (words >> neighbour) {
      list.names.push_back(neighbour);  // some stand on no line of their own
      if (directed || vertex <= neighbour) edges.emplace_back(vertex, neighbour);
    }
  }
  std::sort(list.names.begin(), list.names.end());
  list.names.erase(std::unique(list.names.begin(), list.names.end()), list.names.end());
  auto id = [&](std::uint64_t name) {
    return static_cast<VertexId>(std::lower_bound(list.names.begin(), list.names.end(), name) -
                                 list.names.begin());
  };
  for (const auto& [u, v] : edges) list.edges.push_back({id(u), id(v)});
  list.vertices = list.names.size();
  return list;
}

TEST(Graphalytics, LdbcUnitCasesComeOutRight) {
  const std::string data = testing::shared_data();
  if (data.empty()) GTEST_SKIP() << "LDBC's graphs are not here (BALLAST_SHARED_DATA)";
  for (const std::string name : {"bfs", "wcc", "pr", "cdlp", "lcc"}) {
    for (const bool directed : {true, false}) {
      const std::string stem = data + "/graphalytics/" + name + (directed ? "/dir-" : "/undir-");
      const EdgeList list = read_case(stem + "input", directed);
      Job job{.algorithm = name == "wcc" ? "cc" : name, .cluster = {.machines = 3}};
      const auto first = std::lower_bound(list.names.begin(), list.names.end(), 1u);
      job.parameters.source = static_cast<VertexId>(first - list.names.begin());
      job.parameters.rank.iterations = directed ? 14 : 26;  // as LDBC's own tests have it
      job.parameters.iterations = 5;
      JobReport report = run_job(*source_of(list), job);
      use_names(report.result, list);
      const Verdict verdict = compare(name, read_result(stem + "output"), named(report.result, list));
      EXPECT_TRUE(verdict.same) << stem << ": " << verdict.first;
      EXPECT_EQ(verdict.compared, list.vertices);
    }
  }
}

TEST(Verbs, SayWhatIsWrongInOneSentence) {
  testing::Scratch scratch;
  const std::string negative = scratch.put("n.wel", "0 1 2\n1 2 -3\n");
  const auto weights = testing::run_graph("run sssp " + negative + " --source 0");
  EXPECT_EQ(weights.code, 2);
  EXPECT_THAT(weights.error, HasSubstr("edge 1 -> 2 has weight -3"));
  const auto empty = testing::run_graph("run bfs " + scratch.put("e.el", ""));
  EXPECT_EQ(empty.code, 2);
  EXPECT_THAT(empty.error, HasSubstr("no vertex to start from"));
  EXPECT_EQ(testing::run_graph("run pr " + scratch.file("e.el")).code, 0)
      << "an empty graph has an empty answer";
  const auto stages = testing::run_graph("run sssp kron:6 --stages push");
  EXPECT_EQ(stages.code, 2);
  EXPECT_EQ(testing::run_graph("run bfs kron:6 --stages pusch").code, 2);
  EXPECT_EQ(testing::run_graph("graphalytics " + scratch.file("absent")).code, 3);
  EXPECT_EQ(testing::run_graph("run pr kron:6 -o " + scratch.file("no/where")).code, 3);
  EXPECT_FALSE(std::filesystem::exists(scratch.file("no")));
}

TEST(Verbs, EveryAlgorithmRunsAndVerifies) {
  for (const std::string& algorithm : algorithms()) {
    const auto ran = testing::run_graph("run " + algorithm +
                                        " kron:8 --weights --sources 3 --iterations 6 --machines 4 --verify");
    EXPECT_EQ(ran.code, 0) << algorithm << ran.output << ran.error;
    EXPECT_THAT(ran.output, HasSubstr("all right"));
  }
}

TEST(Run, UnderMpirunItTakesTheRanksThatItFinds) {
  if (std::system("mpirun --version >/dev/null 2>&1") != 0 || !cluster::built_with_mpi())
    GTEST_SKIP() << "no MPI here";
  const auto ran = testing::run(
      "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe --bind-to none "
      "-n 2 " +
      std::string(BALLAST_BINARY_DIR) + "/bin/ballast-graph run pr kron:8 --verify --json");
  ASSERT_EQ(ran.code, 0) << ran.error;
  const Json report = Json::parse(ran.output);
  EXPECT_EQ(report["machines"], 2);
  EXPECT_EQ(report["transport"], "mpi");
  EXPECT_EQ(report["verified"], true);
}

TEST(Run, RepeatsCountOneRun) {
  const std::string once = testing::run_graph("run pr kron:8 --machines 3 --json").output,
                    thrice = testing::run_graph("run pr kron:8 --machines 3 --repeats 3 --json").output;
  for (const char* figure : {"supersteps", "busiest_machine_bytes_counted", "total_bytes_counted"})
    EXPECT_EQ(Json::parse(once)[figure], Json::parse(thrice)[figure]) << figure;
  EXPECT_EQ(testing::run_graph("run pr kron:8 --repeats 0").code, 2);
}

TEST(Run, SlicesOfAMappedFileAreTheSameGraph) {
  testing::Scratch scratch;
  const std::string file = scratch.file("k.bgr"), whole = scratch.file("whole"),
                    slices = scratch.file("slices");
  ASSERT_EQ(testing::run_graph("gen kron --scale 9 --weights -o " + file).code, 0);
  for (const char* what : {"pr", "cc", "sssp --source 3"}) {
    const std::string words = std::string(what) + " --machines 5 -o ";
    const auto split = words.find(' ');
    const std::string rest = words.substr(split), name = words.substr(0, split);
    const auto a = testing::run_graph("run " + name + " " + file + rest + whole),
               b = testing::run_graph("run " + name + " " + file + " --stream" + rest + slices);
    ASSERT_EQ(a.code + b.code, 0) << a.error << b.error;
    std::istringstream first(read_file(whole)), second(read_file(slices));
    std::string v, w, x, y;
    while (first >> v >> x) {
      ASSERT_TRUE(second >> w >> y);
      EXPECT_EQ(v, w);
      EXPECT_TRUE(x == y || std::abs(std::stod(x) - std::stod(y)) <= 1e-12 * std::stod(x)) << what << v;
    }
  }
  const std::string text = scratch.put("e.el", "0 1\n");
  const std::vector<std::string> refused{"pr " + text + " --stream", "pr " + file + " --stream --verify",
                                         "bfs " + file + " --stream", "pr kron:8 --stream --dedup"};
  for (const std::string& wrong : refused) EXPECT_EQ(testing::run_graph("run " + wrong).code, 2) << wrong;
}

TEST(Run, TechniquesAreFlagsAndWrongOnesAreRefused) {
  const auto ran = testing::run_graph(
      "run bc kron:9 --machines 3 --threads 2 --reorder degree --compress --ring-chunks 2 --verify --off "
      "finished-bits,direct-rounds,own-part-first --json");
  ASSERT_EQ(ran.code, 0) << ran.error;
  EXPECT_EQ(Json::parse(ran.output)["verified"], true);
  for (const char* wrong : {"--threads 0", "--ring-chunks 3", "--reorder size", "--off finished"})
    EXPECT_EQ(testing::run_graph(std::string("run bfs kron:8 ") + wrong).code, 2) << wrong;
}

TEST(Plan, SaysItsErrorOnARunThatTheFitHasNotSeen) {
  const auto ran = testing::run_graph("plan pr --vertices 1e9 --machines 64,256 --json");
  ASSERT_EQ(ran.code, 0) << ran.error;
  const Json plan = Json::parse(ran.output);
  ASSERT_EQ(plan["plan"].size(), 2u);
  // What is counted grows by law: the bytes of a sixteenfold larger run are told within a third.
  EXPECT_LT(std::abs(plan["held_out"]["bytes on the wire (counted)"].get<double>()), 0.34);
  EXPECT_LT(std::abs(plan["held_out"]["memory (counted)"].get<double>()), 0.34);
  EXPECT_GT(plan["plan"][0]["memory_bytes"], plan["plan"][1]["memory_bytes"]);
  for (const char* wrong : {"--machines 0", "--vertices 1", "--degree 0", "--kind crown", "--memory-gib 0"})
    EXPECT_EQ(testing::run_graph(std::string("plan pr ") + wrong).code, 2) << wrong;
  EXPECT_EQ(testing::run_graph("plan cdlp").code, 2);
}

}  // namespace
}  // namespace ballast::graph
