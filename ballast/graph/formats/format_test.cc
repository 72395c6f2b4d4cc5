// Every format: what is written reads back as the same graph; what is wrong is refused with file and place.
#include "ballast/graph/formats/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/base/json.h"
#include "ballast/graph/formats/bgr.h"
#include "ballast/graph/formats/ldbc.h"
#include "ballast/graph/test_support.h"

namespace ballast::graph {
namespace {

using ::testing::HasSubstr;
constexpr std::uint64_t kSeed = 7;

// The edges as a set with weights, so that formats which group by source compare equal.
std::vector<std::tuple<VertexId, VertexId, double>> canonical(const EdgeList& list, bool weights) {
  std::vector<std::tuple<VertexId, VertexId, double>> edges;
  for (std::size_t i = 0; i < list.edges.size(); ++i) {
    auto [u, v] = list.edges[i];
    if (!list.directed && u > v) std::swap(u, v);
    edges.emplace_back(u, v, weights && list.weighted() ? list.weights[i] : 0);
  }
  std::sort(edges.begin(), edges.end());
  return edges;
}

std::string sentence(const std::function<void()>& work) {
  try {
    work();
  } catch (const InvalidInput& error) {
    return error.what();
  } catch (const Unavailable& error) {
    return std::string("unavailable: ") + error.what();
  }
  return "accepted";
}

TEST(Formats, WhatIsWrittenReadsBack) {
  struct Way {
    const char *file, *format;
    bool weights, direction, vertices;  // what the format itself keeps
  };
  const Way ways[] = {{"g.el", "", false, false, false},        {"g.wel", "", true, false, false},
                      {"g.bin", "", false, false, false},       {"g.f", "pairs-f32", true, false, false},
                      {"g.i", "pairs-i32", true, false, false}, {"g.d", "pairs-f64", true, false, false},
                      {"g.adj", "", true, false, true},         {"g.gr", "", true, false, true},
                      {"g.sg", "", false, true, true},          {"g.wsg", "", true, true, true},
                      {"g.mtx", "", true, true, true},          {"g.bgr", "", true, true, true},
                      {"g.properties", "", true, true, true}};
  Random random(kSeed);
  testing::Scratch scratch;
  for (int round = 0; round < 12; ++round) {
    const std::uint64_t n = random.below(60), m = n == 0 ? 0 : random.below(200);
    const bool directed = round % 2 == 0;
    const EdgeList list = testing::random_graph(random, n, m, directed, true);
    for (const Way& way : ways) {
      SCOPED_TRACE(::testing::Message() << way.file << " round " << round);
      if (m == 0 && std::string(way.file) == "g.wel") continue;
      const std::string path = scratch.file(way.file);
      write_graph(list, path, way.format);
      ReadOptions options;
      options.format = way.format;
      if (!way.direction) options.undirected = !directed;
      if (!way.vertices) options.vertices = n;
      const EdgeList back = read_graph(path, options);
      EXPECT_EQ(back.vertices, n);
      EXPECT_EQ(back.directed, directed);
      EXPECT_EQ(canonical(back, way.weights), canonical(list, way.weights));
      EXPECT_EQ(back.weights.size(), way.weights ? m : 0);
    }
  }
}

TEST(Formats, LdbcKeepsSparseNames) {
  testing::Scratch scratch;
  EdgeList list;
  list.vertices = 3;
  list.directed = false;
  list.names = {7, 100, 9000000000000000000u};
  list.edges = {{2, 0}, {0, 1}};
  for (const char* file : {"g.properties", "g.bgr"}) {
    write_graph(list, scratch.file(file));
    const EdgeList back = read_graph(scratch.file(file));
    EXPECT_EQ(back.names, list.names);
    EXPECT_EQ(canonical(back, false), canonical(list, false));
  }
  EXPECT_EQ(read_file(scratch.file("g.e")), "7 9000000000000000000\n7 100\n")
      << "undirected edges: smaller id first";
  write_graph(list, scratch.file("g.el"));
  const EdgeList text = read_graph(scratch.file("g.el"), {.undirected = true, .sparse_ids = true});
  EXPECT_EQ(text.names, list.names);
  EXPECT_EQ(canonical(text, false), canonical(list, false));
}

TEST(Formats, PackedFilesAreUnpacked) {
  testing::Scratch scratch;
  std::string text;
  for (int i = 0; i < 200000; ++i) text += fmt::format("{} {}\n", i, i / 2);
  gzFile gz = gzopen(scratch.file("g.el.gz").c_str(), "wb");
  gzwrite(gz, text.data(), static_cast<unsigned>(text.size()));
  gzclose(gz);
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 1));
  scratch.put("g.el.zst", packed);
  EXPECT_EQ(read_graph(scratch.file("g.el.gz")).edges.size(), 200000u);
  EXPECT_EQ(read_graph(scratch.file("g.el.zst")).edges, read_graph(scratch.file("g.el.gz")).edges);
  for (const char* name : {"g.el.gz", "g.el.zst"}) {
    const std::string whole = read_file(scratch.file(name));
    const std::string cut = scratch.put(std::string("cut-") + name, whole.substr(0, whole.size() / 2));
    EXPECT_THAT(sentence([&] { read_graph(cut); }), HasSubstr(cut)) << name;
    EXPECT_NE(sentence([&] { read_graph(cut); }), "accepted") << name;
  }
}

std::string u64s(std::initializer_list<std::uint64_t> numbers) {
  std::string bytes;
  for (std::uint64_t n : numbers) bytes.append(reinterpret_cast<const char*>(&n), 8);
  return bytes;
}
std::string u32s(std::initializer_list<std::uint32_t> numbers) {
  std::string bytes;
  for (std::uint32_t n : numbers) bytes.append(reinterpret_cast<const char*>(&n), 4);
  return bytes;
}

TEST(Formats, ReadsHandMadeFiles) {
  testing::Scratch scratch;
  using Edges = std::vector<Edge>;
  const EdgeList snap =
      read_graph(scratch.put("s.txt", "# FromNodeId\tToNodeId\n0\t4\n\n% x\n 2 1 1082040961\r\n3,0"));
  EXPECT_EQ(snap.edges, (Edges{{0, 4}, {2, 1}, {3, 0}}));
  EXPECT_EQ(snap.vertices, 5u);
  const EdgeList dimacs = read_graph(scratch.put("d.gr", "c hi\np sp 3 2\na 1 2 5\na 3 1 7\n"));
  EXPECT_EQ(dimacs.edges, (Edges{{0, 1}, {2, 0}}));
  EXPECT_EQ(dimacs.weights, (std::vector<double>{5, 7}));
  // Galois version 2: 64-bit targets, and version 1 with an odd number of edges and u32 data.
  const EdgeList v2 = read_graph(scratch.put("v2.gr", u64s({2, 0, 2, 1, 1, 1, 1})));
  EXPECT_EQ(v2.edges, (Edges{{0, 1}}));
  const EdgeList v1 =
      read_graph(scratch.put("v1.gr", u64s({1, 4, 2, 3, 2, 3}) + u32s({0, 1, 1, 0, 9, 8, 4294967295u})));
  EXPECT_EQ(v1.edges, (Edges{{0, 0}, {0, 1}, {1, 1}}));
  EXPECT_EQ(v1.weights, (std::vector<double>{9, 8, 4294967295.0}));
  // METIS with vertex weights (one) and edge weights; vertex 3 has no neighbour.
  const EdgeList metis = read_graph(scratch.put("m.graph", "% c\n3 1 11\n4 2 9\n5 1 9\n6\n"));
  EXPECT_EQ(metis.edges, (Edges{{0, 1}}));
  EXPECT_EQ(metis.weights, (std::vector<double>{9}));
  EXPECT_FALSE(metis.directed);
  const EdgeList mtx = read_graph(scratch.put(
      "m.mtx", "%%MatrixMarket matrix coordinate Real Symmetric\n% c\n3 3 2\n2 1 0.5\n3 3 1e2\n"));
  EXPECT_EQ(mtx.edges, (Edges{{1, 0}, {2, 2}}));
  EXPECT_FALSE(mtx.directed);
  const EdgeList ligra = read_graph(scratch.put("l.adj", "AdjacencyGraph\n3 2\n0 1 1\n2\n0\n"));
  EXPECT_EQ(ligra.edges, (Edges{{0, 2}, {2, 0}}));
  // graph-tool, both byte orders, three widths of ids.
  const std::string magic = "\xE2\x9B\xBE gt\x01";
  const EdgeList gt = read_graph(
      scratch.put("g.gt", magic + '\0' + u64s({2}) + "hi" + '\x01' + u64s({2, 1}) + '\x01' + u64s({0})));
  EXPECT_EQ(gt.edges, (Edges{{0, 1}}));
  EXPECT_TRUE(gt.directed);
  std::string wide =
      magic + '\x01' + std::string(8, '\0') + '\0' + std::string(6, '\0') + "\x01\x2C";  // 300 vertices
  wide += std::string(7, '\0') + '\x01' + "\x01\x2B";                                    // 0 -> 299
  wide += std::string(8 * 299, '\0');
  const EdgeList big = read_graph(scratch.put("w.gt", wide));
  EXPECT_EQ(big.edges, (Edges{{0, 299}}));
  EXPECT_FALSE(big.directed);
}

TEST(Formats, EveryFaultIsOneSentenceWithItsPlace) {
  struct Fault {
    const char* file;
    std::string content;
    const char *place, *about;
  };
  const std::string magic = "\xE2\x9B\xBE gt\x01";
  const Fault faults[] = {
      {"a.el", "0 1\n# c\n1 x\n", "a.el:3", "'x'"},
      {"a.el", "0 1\n1\n", "a.el:2", "target is missing"},
      {"a.el", "0 -1\n", "a.el:1", "'-1'"},
      {"a.el", "4294967295 0\n", "a.el:1", "0 to 4294967294"},
      {"a.wel", "0 1 2\n1 2\n", "a.wel:2", "weight is missing"},
      {"a.wel", "0 1 nan\n", "a.wel:1", "a number"},
      {"a.wel", "0 1 2 3\n", "a.wel:1", "unexpected '3'"},
      {"a.bin", u32s({1, 2, 3}), "byte 12", "inside an edge"},
      {"a.bin", u32s({1, 4294967295u}), "byte 0", "4294967295"},
      {"a.adj", "AdjacencyGrph\n", "a.adj:1", "AdjacencyGraph"},
      {"a.adj", "AdjacencyGraph\n2\n1\n0\n2\n1\n", "a.adj:5", "0 to 1"},
      {"a.adj", "AdjacencyGraph\n2\n1\n0\n1\n", "a.adj:5", "ends where a target"},
      {"a.adj", "AdjacencyGraph\n2\n1\n0\n1\n2\n", "a.adj:6", "target '2'"},
      {"a.adj", "AdjacencyGraph\n2\n1\n0\n1\n1\n0\n", "a.adj:7", "more words"},
      {"a.gr", u64s({3, 0, 1, 0, 0}), "byte 0", "version 3"},
      {"a.gr", u64s({1, 3, 1, 0, 0}), "byte 8", "3 bytes of data"},
      {"a.gr", u64s({1, 0, std::uint64_t{1} << 40, 0}), "byte 16", "at most"},
      {"a.gr", u64s({1, 0, 4000000000, 0}), "byte 32", "inside the offsets"},
      {"a.gr", u64s({1, 0, 2, 1, 1, 0}) + u32s({0}), "byte 40", "end offset 0"},
      {"a.gr", u64s({1, 0, 1, 1, 1}) + u32s({1}), "byte 40", "target 1"},
      {"a.gr", u64s({1, 0, 1, 1, 1}) + u32s({0, 0, 0}), "byte 48", "more bytes"},
      {"a.gr", "p sp 2 1\na 1 3 1\n", "a.gr:2", "1 to 2"},
      {"a.gr", "p sp 2 2\na 1 2 1\n", "a.gr:2", "after 1 of 2"},
      {"a.gr", "p sp 2 0\na 1 2 1\n", "a.gr:2", "more arcs"},
      {"a.gr", "a 1 2 1\n", "a.gr:1", "before the 'p sp'"},
      {"a.sg", std::string("\x02") + u64s({0, 0, 0}), "byte 0", "flag 2"},
      {"a.sg", std::string("\x01") + u64s({1, 1, 0, 1}) + u32s({1}), "byte 33", "neighbour 1"},
      {"a.sg", std::string(1, '\0') + u64s({1, 2, 0, 1, 1}) + u32s({1}), "a.sg", "no counterpart"},
      {"a.wsg", std::string(1, '\0') + u64s({2, 2, 0, 1, 2}) + u32s({1, 5, 0}), "byte 53",
       "inside the weights"},
      {"a.graph", "2 1\n2\n", "a.graph:2", "after 1 of 2"},
      {"a.graph", "2 1\n2\n\n", "a.graph", "no counterpart"},
      {"a.graph", "2 2\n2\n1\n", "a.graph:3", "the header counts 2"},
      {"a.graph", "2 1 2\n2\n1\n", "a.graph:1", "fmt '2'"},
      {"a.graph", "2 1\n3\n1\n", "a.graph:2", "1 to 2"},
      {"a.mtx", "3 3 1\n", "a.mtx:1", "%%MatrixMarket"},
      {"a.mtx", "%%MatrixMarket matrix array real general\n", "a.mtx:1", "coordinate"},
      {"a.mtx", "%%MatrixMarket matrix coordinate complex general\n", "a.mtx:1", "pattern, integer, real"},
      {"a.mtx", "%%MatrixMarket matrix coordinate real general\n3 2 0\n", "a.mtx:2", "square"},
      {"a.mtx", "%%MatrixMarket matrix coordinate pattern general\n2 2 2\n1 1\n", "a.mtx:3", "after 1 of 2"},
      {"a.mtx", "%%MatrixMarket matrix coordinate pattern general\n2 2 1\n0 1\n", "a.mtx:3", "1 to 2"},
      {"a.gt", "\xE2\x9B\xBF gt\x01", "byte 0", "magic"},
      {"a.gt", magic + '\x02', "byte 7", "byte order 2"},
      {"a.gt", magic + '\0' + u64s({1000}) + "x", "byte 17", "inside the comment"},
      {"a.gt", magic + '\0' + u64s({0}) + '\x01' + u64s({2, 1}) + '\x02', "byte 33", "target 2"},
      {"a.gt", magic + '\0' + u64s({0}) + '\x01' + u64s({std::uint64_t{1} << 33}), "byte 17", "at most"},
      {"a.gt", magic + '\0' + u64s({0}) + '\x01' + u64s({4000000000, 0}), "byte 33", "inside the degrees"},
      {"a.bgr", "BALGRPH1", "byte 8", "inside the header"},
      {"a.bgr", std::string(64, 'x'), "byte 0", "magic"},
      {"a.xyz", "", "a.xyz", ".bgr"},
  };
  for (const Fault& fault : faults) {
    testing::Scratch scratch;
    const std::string said = sentence([&] { read_graph(scratch.put(fault.file, fault.content)); });
    EXPECT_THAT(said, HasSubstr(fault.place));
    EXPECT_THAT(said, HasSubstr(fault.about));
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
  }
  EXPECT_THAT(sentence([] { read_graph("/nowhere/g.el"); }), HasSubstr("unavailable: /nowhere/g.el"));
  EXPECT_THAT(sentence([] { write_graph({}, "/tmp/g.gt"); }), HasSubstr("bgr"));
  EXPECT_THAT(sentence([] { write_graph({}, "/nowhere/g.el"); }), HasSubstr("unavailable: /nowhere/g.el"));
}

TEST(Formats, LdbcFaults) {
  testing::Scratch scratch;
  auto said = [&](const char* vertices, const char* edges, const char* properties) {
    scratch.put("g.v", vertices);
    scratch.put("g.e", edges);
    if (*properties != 0) scratch.put("g.properties", properties);
    return sentence([&] { read_graph(scratch.file("g.e")); });
  };
  EXPECT_THAT(said("1\n3\n2\n", "", ""), HasSubstr("g.v:3: vertex 2 follows 3"));
  EXPECT_THAT(said("1\n1\n", "", ""), HasSubstr("g.v:2"));
  EXPECT_THAT(said("1\n2\n", "1 2\n2 3\n", ""), HasSubstr("g.e:2: target 3 is not in the vertex file"));
  EXPECT_THAT(said("1\n2\n", "1 2 0.5\n2 1\n", ""), HasSubstr("g.e:2: the weight is missing"));
  EXPECT_THAT(said("1\n2\n", "1 2\n2 1 4\n", ""), HasSubstr("g.e:2: a weight"));
  EXPECT_THAT(said("1\n2\n", "1 2\n", "graph.g.directed = maybe\n"),
              HasSubstr("g.properties:1: directed 'maybe'"));
  EXPECT_THAT(said("1\n2\n", "1 2\n", "graph.g.directed = true\n"), HasSubstr("'vertex-file' is missing"));
  EXPECT_EQ(
      said("1\n2\n", "1 2\n", "graph.g.vertex-file=g.v\ngraph.g.edge-file=g.e\ngraph.g.directed=false\n"),
      "accepted");
}

TEST(Bgr, EveryFlippedBitAndEveryTruncationIsFound) {
  Random random(kSeed);
  testing::Scratch scratch;
  EdgeList list = testing::random_graph(random, 50, 300, true, true);
  for (std::uint64_t v = 0; v < 50; ++v) list.names.push_back(v * 3 + 1);
  write_graph(list, scratch.file("g.bgr"));
  const std::string whole = read_file(scratch.file("g.bgr"));
  EXPECT_EQ(canonical(read_graph(scratch.file("g.bgr")), true), canonical(list, true));
  int accepted = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ (1 << random.below(8)));
    const std::string path = scratch.put("bad.bgr", bad);
    if (sentence([&] { read_graph(path); }) == "accepted") {
      ++accepted;  // only padding between parts may change unnoticed
      EXPECT_EQ(canonical(read_graph(path), true), canonical(list, true)) << "byte " << i;
    }
  }
  EXPECT_LT(accepted, 64 * 3);
  for (std::size_t size = 0; size < whole.size(); size += 1 + random.below(7)) {
    const std::string path = scratch.put("cut.bgr", whole.substr(0, size));
    EXPECT_NE(sentence([&] { read_graph(path); }), "accepted") << size;
  }
}

// Random damage to good files: any outcome but a crash, a hang or an unexplained exception.
TEST(Formats, DamagedFilesAreAcceptedOrRefusedInASentence) {
  Random random(kSeed);
  testing::Scratch scratch;
  const EdgeList list = testing::random_graph(random, 30, 90, true, true);
  std::map<std::string, std::string> good;
  for (const char* file : {"g.wel", "g.adj", "g.gr", "g.wsg", "g.mtx", "g.bgr", "g.bin"}) {
    write_graph(list, scratch.file(file));
    good[file] = read_file(scratch.file(file));
  }
  good["d.gr"] = "c x\np sp 4 3\na 1 2 5\na 3 1 7\na 4 4 1\n";
  good["m.graph"] = "3 2 1\n2 5 3 6\n1 5\n1 6\n";
  good["t.gt"] =
      std::string("\xE2\x9B\xBE gt\x01\0", 8) + u64s({2}) + "hi" + '\x01' + u64s({2, 1}) + '\x01' + u64s({0});
  for (const auto& [file, content] : good) {
    ASSERT_EQ(sentence([&] { read_graph(scratch.put(file, content)); }), "accepted") << file;
    for (int round = 0; round < 300; ++round) {
      std::string bad = content;
      for (std::uint64_t hit = 1 + random.below(4); hit > 0; --hit) {
        const std::size_t at = random.below(bad.size());
        switch (random.below(4)) {
          case 0:
            bad[at] = static_cast<char>(random.below(256));
            break;
          case 1:
            bad.erase(at, 1 + random.below(9));
            break;
          case 2:
            bad.insert(at, std::string(1 + random.below(9), static_cast<char>(random.below(256))));
            break;
          default:
            bad.resize(at + 1);
        }
      }
      const std::string path = scratch.put(file, bad);
      EXPECT_EQ(sentence([&] { read_graph(path); }).find('\n'), std::string::npos);
    }
  }
}

TEST(Formats, CollectionGraphsHaveTheirKnownSizes) {
  struct Known {
    const char* name;
    std::uint64_t vertices, edges;
    bool directed;
  };
  const Known graphs[] = {{"pgp-strong-2009", 39796, 301498, true},
                          {"email-Enron", 36692, 183831, false},
                          {"cond-mat-2005", 40421, 175693, false},
                          {"power", 4941, 6594, false},
                          {"polblogs", 1490, 19090, true}};
  for (const Known& known : graphs) {
    const std::string path = testing::collection_graph(known.name);
    if (path.empty()) GTEST_SKIP() << "the graph collection is not installed (setup/setup.sh --only graph)";
    const EdgeList list = read_graph(path);
    EXPECT_EQ(list.vertices, known.vertices) << known.name;
    EXPECT_EQ(list.edges.size(), known.edges) << known.name;
    EXPECT_EQ(list.directed, known.directed) << known.name;
  }
}

TEST(Program, GeneratesConvertsInspectsAndValidates) {
  testing::Scratch scratch;
  const std::string el = scratch.file("k.el"), bgr = scratch.file("k.bgr"), wsg = scratch.file("k.wsg");
  EXPECT_EQ(testing::run_graph("gen kron --scale 6 --degree 4 -o " + el).code, 0);
  EXPECT_EQ(testing::run_graph("convert " + el + " " + bgr + " --undirected --vertices 64").code, 0);
  EXPECT_EQ(testing::run_graph("convert " + bgr + " " + wsg + " --weights").code, 0);
  const auto info = testing::run_graph("info --json " + wsg);
  ASSERT_EQ(info.code, 0) << info.error;
  const Json facts = Json::parse(info.output);
  EXPECT_EQ(facts["vertices"], 64);
  EXPECT_EQ(facts["edges"], 256);
  EXPECT_EQ(facts["directed"], false);
  EXPECT_EQ(facts["weighted"], true);
  const std::string right = scratch.put("r", "0 1\n1 2\n"), wrong = scratch.put("w", "0 1\n1 3\n");
  EXPECT_EQ(testing::run_graph("validate --algo bfs --reference " + right + " " + right).code, 0);
  const auto differs = testing::run_graph("validate --algo bfs --reference " + right + " " + wrong);
  EXPECT_EQ(differs.code, 1);
  EXPECT_THAT(differs.output, HasSubstr("vertex 1: 3 instead of 2"));
  // Refusals: exit code and one sentence, nothing written.
  const auto bad = testing::run_graph("convert " + el + " " + scratch.file("k.metis"));
  EXPECT_EQ(bad.code, 2);
  EXPECT_FALSE(std::filesystem::exists(scratch.file("k.metis")));
  EXPECT_EQ(testing::run_graph("info " + scratch.file("absent.el")).code, 3);
  const auto typo = testing::run_graph("gen kronn -o " + scratch.file("x.el"));
  EXPECT_EQ(typo.code, 2);
  EXPECT_THAT(typo.error, HasSubstr("did you mean 'kron'"));
}

}  // namespace
}  // namespace ballast::graph
