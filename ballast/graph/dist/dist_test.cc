// The distributed engine: layouts hold every edge once, trees reach every mirror, every engine and every
// switch gives the sequential answer for every number of machines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/json.h"
#include "ballast/graph/dist/coding.h"
#include "ballast/graph/dist/placement.h"
#include "ballast/graph/run.h"
#include "ballast/graph/sequential/sequential.h"
#include "ballast/graph/test_support.h"

namespace ballast::graph {
namespace {

constexpr std::uint64_t kSeed = 31;

std::vector<EdgeList> graphs() {
  std::vector<EdgeList> all;
  Random random(kSeed);
  for (int i = 0; i < 6; ++i) {
    const std::uint64_t n = random.below(60);
    all.push_back(testing::random_graph(random, n, n == 0 ? 0 : random.below(5 * n), i % 2 == 0, i % 3 == 0));
  }
  all.push_back({});  // no vertices at all
  for (const char* word : {"kron:9", "road:24", "star:200", "path:90"}) {
    GenerateOptions options{.seed = kSeed};
    parse_generator(word, options);
    all.push_back(Generator(options).all());
  }
  return all;
}

std::vector<std::pair<std::string, DistOptions>> engines() {
  std::vector<std::pair<std::string, DistOptions>> all;
  for (const auto& name : partition_names()) all.emplace_back(name, engine_options(name));
  auto with = [&](const char* name, auto change) {
    DistOptions options = engine_options("tdo");
    change(options);
    all.emplace_back(name, options);
  };
  with("hashed owners", [](DistOptions& o) { o.hashed_owners = true; });
  with("fan-out 2", [](DistOptions& o) { o.fanout = 2; });
  with("fan-out 3, hashed", [](DistOptions& o) { o.fanout = 3, o.hashed_owners = true; });
  with("no contention", [](DistOptions& o) { o.place_by_contention = false; });
  with("no balance", [](DistOptions& o) { o.balance = 0; });
  with("no codes", [](DistOptions& o) { o.code_positions = o.code_values = false; });
  with("never dense", [](DistOptions& o) { o.dense_threshold = 0; });
  with("always dense", [](DistOptions& o) { o.always_dense = true; });
  with("no fused reduce", [](DistOptions& o) { o.fuse_reduce = false; });
  with("no local rounds", [](DistOptions& o) { o.local_rounds = 0; });
  with("two steps", [](DistOptions& o) { o.direct_rounds = false; });
  with("no settled bits", [](DistOptions& o) { o.finished_bits = false; });
  with("by degree", [](DistOptions& o) { o.by_degree = true; });
  with("by degree, hashed, fan-out 2",
       [](DistOptions& o) { o.by_degree = o.hashed_owners = true, o.fanout = 2; });
  with("byte-coded", [](DistOptions& o) { o.compress = o.by_degree = true; });
  with("in a ring of two parts", [](DistOptions& o) { o.ring_chunks = 2; });
  with("whole trees", [](DistOptions& o) { o.trim_trees = false, o.fanout = 2; });
  with("sorted lists", [](DistOptions& o) { o.bitmaps = o.unique_touches = false; });
  with("no early exit", [](DistOptions& o) { o.early_exit = o.skip_done = false; });
  return all;
}

TEST(Coding, EveryCodeGivesBackWhatWentIn) {
  Random random(kSeed);
  for (int round = 0; round < 2000; ++round) {
    const auto length = static_cast<std::uint32_t>(1 + random.below(300));
    const double share = round % 5 == 0 ? 1 : random.uniform();
    const std::uint32_t range = random.below(3) == 0 ? 1 : std::uint32_t{1} << random.below(32);
    std::vector<std::uint32_t> positions, values;
    for (std::uint32_t i = 0; i < length; ++i) {
      if (share < 1 && random.uniform() > share) continue;
      positions.push_back(i);
      values.push_back(static_cast<std::uint32_t>(random.below(range)));
    }
    const CodingOptions options{.positions = round % 3 != 0, .values = round % 7 != 0};
    cluster::Buffer buffer;
    encode<std::uint32_t>(buffer, length, positions, values, options);
    std::vector<std::uint32_t> got_positions, got_values;
    decode<std::uint32_t>(cluster::Reader(buffer.bytes()), length, [&](std::uint32_t p, std::uint32_t v) {
      got_positions.push_back(p);
      got_values.push_back(v);
    });
    ASSERT_EQ(got_positions, positions);
    ASSERT_EQ(got_values, values);
    if (options.positions && options.values && !positions.empty()) {
      EXPECT_LE(buffer.size(), 2 + 5 + 8 * positions.size());
    }
    cluster::Buffer empty;
    encode<Nothing>(empty, length, positions, std::span<const Nothing>(), options);
    std::vector<std::uint32_t> only;
    decode<Nothing>(cluster::Reader(empty.bytes()), length,
                    [&](std::uint32_t p, Nothing) { only.push_back(p); });
    ASSERT_EQ(only, positions);
    // A damaged message is refused or gives positions within the link; never anything else.
    if (buffer.size() > 0) {
      auto* bytes = reinterpret_cast<unsigned char*>(buffer.data());
      bytes[random.below(buffer.size())] ^= static_cast<unsigned char>(1 + random.below(255));
      try {
        decode<std::uint32_t>(cluster::Reader(buffer.bytes()), length,
                              [&](std::uint32_t p, std::uint32_t) { ASSERT_LT(p, length); });
      } catch (const InvalidInput&) {
      }
    }
  }
}

TEST(Owners, BothDirectionsAgree) {
  for (const std::uint64_t n : {1u, 7u, 64u, 1000u}) {
    for (const int machines : {1, 2, 3, 8}) {
      std::vector<std::uint64_t> bounds{0};
      for (int m = 1; m < machines; ++m)
        bounds.push_back(std::min<std::uint64_t>(n, bounds.back() + (m % 2 ? n / 3 : 0)));
      bounds.push_back(n);
      for (const Owners& owners : {Owners::hashed(n, machines, kSeed), Owners::chunks(bounds)}) {
        std::vector<std::uint64_t> count(static_cast<std::size_t>(machines));
        for (VertexId v = 0; v < n; ++v) {
          const int owner = owners.owner(v);
          ++count[static_cast<std::size_t>(owner)];
          ASSERT_LT(owners.index(v), owners.count(owner));
          ASSERT_EQ(owners.global(owner, owners.index(v)), v);
        }
        for (int m = 0; m < machines; ++m) EXPECT_EQ(owners.count(m), count[static_cast<std::size_t>(m)]);
      }
    }
  }
}

TEST(Placement, TheCoverServesEveryEdgeAndIsASmallestOne) {
  Random random(kSeed);
  for (int round = 0; round < 200; ++round) {
    const std::uint64_t n = 1 + random.below(30), m = 1 + random.below(60);
    std::set<std::pair<VertexId, VertexId>> block;
    for (std::uint64_t i = 0; i < m; ++i) {
      const double skew = random.uniform();
      block.emplace(static_cast<VertexId>(static_cast<double>(n) * skew * skew * skew),
                    static_cast<VertexId>(random.below(n)));
    }
    std::vector<VertexId> sources, targets;
    for (const auto& [u, v] : block) sources.push_back(u), targets.push_back(v);
    const auto sides = cover_block(sources, targets, n);
    std::set<VertexId> travelling_sources, travelling_targets;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (sides[i] == Side::target) travelling_sources.insert(sources[i]);
      if (sides[i] == Side::source) travelling_targets.insert(targets[i]);
    }
    // A free edge has both ends in the cover, whatever put them there.
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (sides[i] != Side::either) continue;
      travelling_sources.insert(sources[i]);
      travelling_targets.insert(targets[i]);
    }
    const std::size_t cover = travelling_sources.size() + travelling_targets.size();
    EXPECT_LE(cover, std::min(std::set(sources.begin(), sources.end()).size(),
                              std::set(targets.begin(), targets.end()).size()) +
                         2);
    // No cover is smaller than a largest matching (Koenig): ours must be as small.
    std::map<VertexId, VertexId> matched;  // target -> source
    std::size_t matching = 0;
    std::function<bool(VertexId, std::set<VertexId>&)> augment = [&](VertexId u, std::set<VertexId>& seen) {
      for (std::size_t i = 0; i < sources.size(); ++i) {
        if (sources[i] != u || !seen.insert(targets[i]).second) continue;
        const auto found = matched.find(targets[i]);
        if (found == matched.end() || augment(found->second, seen)) {
          matched[targets[i]] = u;
          return true;
        }
      }
      return false;
    };
    for (VertexId u : std::set(sources.begin(), sources.end())) {
      std::set<VertexId> seen;
      matching += augment(u, seen);
    }
    EXPECT_EQ(cover, matching);
  }
}

TEST(Placement, FreeEdgesEvenMachinesOutAsFarAsTheyGo) {
  // Machine 0 has 100 edges of its own; block (1, 0) has 60 free ones, which all belong on machine 1.
  const std::vector<std::uint64_t> blocks{0, 60, 0, 0};
  EXPECT_EQ(share_free_edges({100, 20}, blocks), (std::vector<std::uint64_t>{0, 60, 0, 0}));
  // With 20 and 20 they are halved.
  EXPECT_EQ(share_free_edges({20, 20}, blocks), (std::vector<std::uint64_t>{0, 30, 0, 0}));
}

TEST(DistGraph, EveryEdgeLivesOnceAndRoutesJoinMirrorsToOwners) {
  for (const EdgeList& list : graphs()) {
    const auto source = source_of(list);
    std::multiset<std::tuple<VertexId, VertexId, double>> expected;
    for (std::size_t i = 0; i < list.edges.size(); ++i) {
      const auto [u, v] = list.edges[i];
      const double w = list.weighted() ? list.weights[i] : 1;
      expected.emplace(u, v, w);
      if (!list.directed && u != v) expected.emplace(v, u, w);
    }
    for (const auto& [name, options] : engines()) {
      SCOPED_TRACE(name);
      std::mutex mutex;
      std::multiset<std::tuple<VertexId, VertexId, double>> by_source, by_target;
      cluster::Cluster::run(5, [&, &options = options](cluster::Machine& me) {
        const DistGraph g(me, *source, options);
        const auto layout = g.layout();
        const std::lock_guard lock(mutex);
        EXPECT_EQ(g.edges(), expected.size());
        for (LocalId u = 0; u < g.locals(); ++u) {
          g.out().for_each(u, [&](LocalId v, std::uint64_t i) {
            by_source.emplace(g.global(u), g.global(v), g.out().weight(i));
          });
          g.in().for_each(u, [&](LocalId v, std::uint64_t i) {
            by_target.emplace(g.global(v), g.global(u), g.in().weight(i));
          });
          const bool has_out = g.out().degree(u) > 0, has_in = g.in().degree(u) > 0;
          if (u < g.owned()) continue;
          EXPECT_EQ(has_out, g.source_routes().parent_hop[u - g.owned()] >= 0);
          EXPECT_EQ(has_in, g.target_routes().parent_hop[u - g.owned()] >= 0);
        }
        if (options.partition == Partition::tdo && options.balance > 0 && g.edges() > 500) {
          EXPECT_LE(layout.edge_balance, options.balance + 0.03);
        }
        if (options.partition == Partition::oec) {
          EXPECT_EQ(layout.source_links, 0u);
        }
        if (options.partition == Partition::iec) {
          EXPECT_EQ(layout.target_links, 0u);
        }
      });
      EXPECT_EQ(by_source, expected);
      EXPECT_EQ(by_target, expected);
    }
  }
}

// Machine counts for the full cross product are kept small; the last test takes one graph to 16.
TEST(DistGraph, EveryEngineAndSwitchGivesTheSequentialAnswer) {
  for (const EdgeList& list : graphs()) {
    const auto source = source_of(list);
    const Graph graph = build(list);
    for (const std::string& algorithm : algorithms()) {
      if (needs_source(algorithm) && list.vertices == 0) continue;
      // These use the owners of vertices only, and no round of the engine.
      const bool by_lists =
          algorithm == "tc" || algorithm == "lcc" || algorithm == "kcore" || algorithm == "mis";
      AlgorithmOptions parameters;
      parameters.source = list.vertices == 0 ? 0 : static_cast<VertexId>(list.vertices / 2);
      if (algorithm == "bc") parameters.sources = {parameters.source, 0};
      const auto expected = named(run_sequential(algorithm, list, parameters), list);
      for (const auto& [name, options] : engines()) {
        if (by_lists && name != "tdo" && name != "hashed owners") continue;
        for (const int machines : {1, 2, 5}) {
          SCOPED_TRACE(::testing::Message()
                       << algorithm << ", " << name << ", P = " << machines << ", n = " << list.vertices);
          const JobReport report = run_job(*source, {.algorithm = algorithm,
                                                     .engine = options,
                                                     .cluster = {.machines = machines},
                                                     .parameters = parameters});
          const Verdict verdict = compare(algorithm, expected, named(report.result, list));
          EXPECT_TRUE(verdict.same) << verdict.first;
          if (rule_of(algorithm) == Rule::epsilon) {
            EXPECT_LE(verdict.worst_relative, 1e-11);
          }
          if (algorithm == "bfs") {
            std::vector<std::uint32_t> levels;
            for (std::int64_t level : report.result.integers)
              levels.push_back(level == kLdbcUnreached ? kUnreached : static_cast<std::uint32_t>(level));
            EXPECT_EQ(check_bfs(graph, parameters.source, report.parents, levels), "");
          }
          if (algorithm == "sssp") {
            EXPECT_EQ(check_distances(graph, parameters.source, report.result.reals), "");
          }
        }
      }
    }
  }
}

TEST(DistGraph, DeltaSteppingFindsTheSameDistances) {
  GenerateOptions options{.kind = "road", .size = 20, .seed = kSeed, .weighted = true};
  const EdgeList list = Generator(options).all();
  const auto expected = run_sequential("sssp", list, {});
  for (const double delta : {20.0, 150.0, 1e9}) {
    Job job{.algorithm = "sssp", .cluster = {.machines = 4}, .parameters = {.delta = delta}};
    EXPECT_EQ(run_job(*source_of(list), job).result.reals, expected.reals) << delta;
  }
}

TEST(DistGraph, LocalRoundsCutExchangesOnARoad) {
  GenerateOptions options{.kind = "road", .size = 48, .seed = kSeed, .weighted = true};
  const EdgeList list = Generator(options).all();
  Job job{.algorithm = "sssp", .cluster = {.machines = 4}};
  const auto with = run_job(*source_of(list), job);
  job.engine.local_rounds = 0;
  const auto without = run_job(*source_of(list), job);
  EXPECT_EQ(with.result.reals, without.result.reals);
  EXPECT_LT(with.counts.rounds * 3, without.counts.rounds * 2);
}

TEST(DistGraph, SixteenMachinesAndEqualBitsForEqualSettings) {
  GenerateOptions options{.kind = "kron", .scale = 10, .seed = kSeed};
  const Generator generator(options);
  const auto source = source_of(generator, options);
  const EdgeList list = generator.all();
  for (const int fanout : {0, 4}) {
    Job job{.algorithm = "pr", .cluster = {.machines = 16}};
    job.engine.fanout = fanout;
    const JobReport first = run_job(*source, job), second = run_job(*source, job);
    EXPECT_EQ(first.result.reals, second.result.reals) << "the same bits";
    EXPECT_EQ(first.busiest_bytes, second.busiest_bytes);
    const auto expected = run_sequential("pr", list, {});
    for (std::size_t v = 0; v < list.vertices; ++v)
      ASSERT_NEAR(first.result.reals[v], expected.reals[v], 1e-12 * expected.reals[v] + 1e-18);
    std::uint64_t out = 0, in = 0;
    for (const auto& account : first.accounts) {
      out += account.total().bytes_out;
      in += account.total().bytes_in;
    }
    EXPECT_EQ(out, in);
  }
}

// Large enough for threads and for a part beside the exchange.
TEST(DistGraph, TheSameBitsOnAnyNumberOfThreads) {
  const EdgeList list = [] {
    GenerateOptions options{
        .kind = "kron",
        .scale = 14,
        .seed = kSeed,
        .weighted = true,
    };
    options.permute = false;
    return Generator(options).all();
  }();
  const auto source = source_of(list);
  for (const bool coded : {false, true}) {
    for (const std::string algorithm : {"bfs", "sssp", "bc", "pr"}) {
      Job job{.algorithm = algorithm, .cluster = {.machines = 2}, .parameters = {.rank = {.iterations = 3}}};
      job.engine.compress = coded;
      job.engine.own_part_first = false;
      const Result expected = run_job(*source, job).result;
      for (const int threads : {3}) {
        for (const bool balanced : {false, true}) {
          for (const bool sparse : {false, true}) {
            if (sparse && algorithm == "pr") continue;
            SCOPED_TRACE(fmt::format("{}, {} threads, balanced {}, sparse {}, coded {}", algorithm, threads,
                                     balanced, sparse, coded));
            Job other = job;
            other.engine.threads = threads;
            other.engine.balanced_blocks = other.engine.first_touch = balanced;
            other.engine.own_part_first = true;
            if (sparse) other.engine.dense_threshold = 0;
            const Result result = run_job(*source, other).result;
            EXPECT_EQ(result.integers, expected.integers);
            if (!sparse || algorithm != "bc") {
              EXPECT_EQ(result.reals, expected.reals) << "the same bits";
            } else {
              for (std::size_t v = 0; v < result.reals.size(); ++v)
                ASSERT_NEAR(result.reals[v], expected.reals[v], 1e-9 * (1 + expected.reals[v]));
            }
          }
        }
      }
    }
  }
}

TEST(DistGraph, ADirectRoundIsOneExchangeAndMovesWhatTwoStepsMove) {
  for (const char* word : {"kron:10", "road:32"}) {
    GenerateOptions options{.seed = kSeed};
    parse_generator(word, options);
    const EdgeList list = Generator(options).all();
    Job job{.algorithm = "pr", .cluster = {.machines = 8}, .parameters = {.rank = {.iterations = 6}}};
    job.engine.balance = 0;
    const JobReport one = run_job(*source_of(list), job);
    EXPECT_EQ(one.supersteps, 6u) << word;
    job.engine.direct_rounds = false;
    const JobReport two = run_job(*source_of(list), job);
    EXPECT_EQ(two.supersteps, 12u) << word;
    if (std::string(word) == "kron:10") {
      EXPECT_EQ(one.counts.values_spread + one.counts.values_collected,
                two.counts.values_spread + two.counts.values_collected);
    }
  }
}

TEST(DistGraph, SettledBitsSpareContributionsOfSearches) {
  const EdgeList list = Generator({.kind = "kron", .scale = 11, .seed = kSeed}).all();
  Job job{.algorithm = "bc", .cluster = {.machines = 8}, .parameters = {.source = 5}};
  const JobReport with = run_job(*source_of(list), job);
  job.engine.finished_bits = false;
  const JobReport without = run_job(*source_of(list), job);
  EXPECT_LT(with.counts.values_collected, without.counts.values_collected);
  EXPECT_LT(with.counts.edges_visited, without.counts.edges_visited);
}

TEST(Rows, CodedRowsHoldTheSameEdgesInFewerBytes) {
  Random random(kSeed);
  Workers workers(2, true);
  for (const bool wide : {false, true}) {
    Csr csr;
    const LocalId n = wide ? 2'000'000'000u : 500u, owned = n / 2;
    for (int v = 0; v < 300; ++v) {
      std::vector<LocalId> row(random.below(60));
      for (LocalId& end : row) end = static_cast<LocalId>(random.below(n));
      std::sort(row.begin(), row.end());
      csr.targets.insert(csr.targets.end(), row.begin(), row.end());
      csr.offsets.push_back(csr.targets.size());
    }
    const Rows plain(csr, owned, {}, workers), coded(csr, owned, {true, true}, workers);
    EXPECT_EQ(plain.outer_entries(), coded.outer_entries());
    for (LocalId v = 0; v < 300; ++v) {
      for (const Part part : {Part::inner, Part::outer, Part::both}) {
        std::vector<LocalId> a, b;
        const auto begin = plain.begin(v, part), end = plain.end(v, part);
        const std::uint64_t from = begin + random.below(end - begin + 1);
        plain.scan(v, from, end, [&](LocalId u, std::uint64_t) { return a.push_back(u), true; });
        coded.scan(v, from, end, [&](LocalId u, std::uint64_t) { return b.push_back(u), true; });
        ASSERT_EQ(a, b);
        for (LocalId u : a) {
          ASSERT_TRUE(part == Part::both || (u < owned) == (part == Part::inner));
        }
      }
    }
    if (!wide) {
      EXPECT_LT(coded.bytes(), plain.bytes());
    }
  }
}

TEST(DistGraph, SparseBfsLooksAtEachOutEdgeOfAReachedVertexOnce) {
  for (const EdgeList& list : graphs()) {
    if (list.vertices == 0) continue;
    const Graph graph = build(list);
    const auto levels = sequential::bfs(graph, 0).levels;
    std::uint64_t degrees = 0;
    for (VertexId v = 0; v < graph.vertices(); ++v)
      degrees += levels[v] == kUnreached ? 0 : graph.out().degree(v);
    for (const auto& name : {"tdo", "oec", "cvc"}) {
      Job job{.engine = engine_options(name), .cluster = {.machines = 4}};
      job.engine.dense_threshold = 0;
      EXPECT_EQ(run_job(*source_of(list), job).counts.edges_visited, degrees) << name;
    }
  }
}

TEST(Components, RoundsOnAPathWithRandomIdsGrowWithTheLogarithm) {
  for (const std::uint64_t n : {64u, 1024u, 16384u}) {
    EdgeList path;
    path.vertices = n;
    path.directed = false;
    const data::Permutation shuffled(n, kSeed);
    for (std::uint64_t i = 0; i + 1 < n; ++i)
      path.edges.push_back({static_cast<VertexId>(shuffled(i)), static_cast<VertexId>(shuffled(i + 1))});
    const JobReport report = run_job(*source_of(path), {.algorithm = "cc", .cluster = {.machines = 3}});
    EXPECT_LE(report.counts.rounds,
              4 * static_cast<std::uint64_t>(std::ceil(std::log2(static_cast<double>(n)))));
    EXPECT_EQ(*std::max_element(report.result.integers.begin(), report.result.integers.end()), 0);
  }
}

TEST(Faults, ALostMachineEndsTheRunInASentence) {
  const EdgeList list = Generator({.kind = "kron", .scale = 8}).all();
  Job job{.algorithm = "pr", .cluster = {.machines = 4}};
  job.cluster.faults = cluster::FaultScript::parse("kill 2 stage=pr superstep=3");
  try {
    run_job(*source_of(list), job);
    FAIL() << "the fault did not strike";
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("2"));
  }
  job.cluster.faults = {};
  EXPECT_EQ(run_job(*source_of(list), job).result.reals.size(), 256u);
}

TEST(RunVerb, RunsVerifiesAndRefuses) {
  testing::Scratch scratch;
  const std::string out = scratch.file("levels");
  const auto ran = testing::run_graph("run bfs kron:8 --machines 3 --verify --json -o " + out);
  ASSERT_EQ(ran.code, 0) << ran.error;
  EXPECT_EQ(Json::parse(ran.output)["verified"], true);
  EXPECT_EQ(read_result(out).values.size(), 256u);
  const std::string sparse = scratch.put("s.el", "10 20\n20 4000000000000\n");
  const auto named_source =
      testing::run_graph("run bfs " + sparse + " --sparse-ids --source 20 --machines 2 -o " + out);
  ASSERT_EQ(named_source.code, 0) << named_source.error;
  EXPECT_EQ(read_file(out), "10 9223372036854775807\n20 0\n4000000000000 1\n");
  EXPECT_EQ(testing::run_graph("run bfs kron:8 --source 256").code, 2);
  EXPECT_EQ(testing::run_graph("run bfs kron:8 --partition tod").code, 2);
  EXPECT_EQ(testing::run_graph("run bfs kron:8 --machines 0").code, 2);
  EXPECT_EQ(testing::run_graph("run bfs kron:8 --fanout 1").code, 2);
  EXPECT_EQ(testing::run_graph("run nothing kron:8").code, 2);
}

}  // namespace
}  // namespace ballast::graph
