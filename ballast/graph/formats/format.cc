#include "ballast/graph/formats/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/graph/formats/ldbc.h"

namespace ballast::graph {
namespace {

using Source = std::unique_ptr<ByteSource>;

std::vector<Format> make_formats() {
  auto pairs = [](const char* name, const char* extension, const char* summary, const char* weight) {
    return Format{
        name, extension, summary,
        [weight](Source s, const ReadOptions& o) { return read_pairs(std::move(s), o, weight); },
        [weight](const EdgeList& list, const std::string& path) { write_pairs(list, path, weight); }};
  };
  auto edges = [](const char* name, const char* extension, const char* summary, bool weighted) {
    return Format{
        name, extension, summary,
        [weighted](Source s, const ReadOptions& o) { return read_edges(std::move(s), o, weighted); },
        write_edges};
  };
  auto gap = [](const char* name, const char* extension, bool weighted) {
    return Format{name, extension,
                  weighted ? "GAP serialised graph with integer weights" : "GAP serialised graph",
                  [weighted](Source s, const ReadOptions&) { return read_gap(std::move(s), weighted); },
                  [weighted](const EdgeList& l, const std::string& path) { write_gap(l, path, weighted); }};
  };
  return {
      edges("el", ".el", "text, a line an edge: u v (SNAP, GAP; # and % are comments)", false),
      edges("wel", ".wel", "text, a line an edge: u v weight", true),
      edges("txt", ".txt", "as el", false),
      {"ldbc", ".properties", "LDBC Graphalytics: .v, .e and .properties", nullptr, write_ldbc},
      pairs("pairs", ".bin", "Gemini, Graphite, LA3: pairs of little-endian u32", ""),
      pairs("pairs-f32", "", "the same with an f32 weight (Gemini)", "f32"),
      pairs("pairs-i32", "", "the same with an i32 weight (LA3)", "i32"),
      pairs("pairs-f64", "", "the same with an f64 weight (LA3)", "f64"),
      {"ligra", ".adj", "Ligra AdjacencyGraph, WeightedAdjacencyGraph (GBBS)", read_ligra, write_ligra},
      {"galois", ".gr", "Galois v1, v2 (and DIMACS 9, told apart by the first bytes)", read_gr, write_galois},
      gap("sg", ".sg", false),
      gap("wsg", ".wsg", true),
      {"dimacs", "", "DIMACS 9 shortest paths",
       [](Source s, const ReadOptions&) { return read_dimacs(std::move(s)); }, nullptr},
      {"metis", ".graph", "METIS adjacency",
       [](Source s, const ReadOptions&) { return read_metis(std::move(s)); }, nullptr},
      {"mtx", ".mtx", "Matrix Market coordinate: pattern, integer, real; general, symmetric",
       [](Source s, const ReadOptions&) { return read_matrix_market(std::move(s)); }, write_matrix_market},
      {"gt", ".gt", "graph-tool binary v1",
       [](Source s, const ReadOptions&) { return read_graph_tool(std::move(s)); }, nullptr},
      {"bgr", ".bgr", "Ballast: checked CSR shards that can be mapped",
       [](Source s, const ReadOptions&) { return read_bgr(std::move(s)); }, write_bgr},
  };
}

std::string unpacked_name(std::string path) {
  for (const char* packed : {".gz", ".zst"}) {
    if (path.ends_with(packed)) path.resize(path.size() - std::string_view(packed).size());
  }
  return path;
}

}  // namespace

const std::vector<Format>& formats() {
  static const std::vector<Format> all = make_formats();
  return all;
}

const Format& format_of(const std::string& path, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& format : formats()) names.push_back(format.name);
  if (!name.empty()) {
    cli::require_one_of("--format", name, names);
    return *std::find_if(formats().begin(), formats().end(), [&](const Format& f) { return f.name == name; });
  }
  const std::string plain = unpacked_name(path);
  for (const auto& format : formats()) {
    if (!format.extension.empty() && plain.ends_with(format.extension)) return format;
  }
  if (plain.ends_with(".e") || plain.ends_with(".v")) return format_of(path, "ldbc");
  std::string list;
  for (const auto& format : formats()) {
    if (!format.extension.empty()) list += (list.empty() ? "" : ", ") + format.extension;
  }
  throw InvalidInput("ending of '" + path + "'",
                     plain.substr(std::min(plain.size(), plain.find_last_of('.'))),
                     list + ", .e, .v (each also .gz, .zst), or --format");
}

EdgeList read_graph(const std::string& path, const ReadOptions& options) {
  const Format& format = format_of(path, options.format);
  if (format.name == "ldbc") return read_ldbc(path, options).graph;
  return format.read(open_source(path), options);
}

void write_graph(const EdgeList& list, const std::string& path, const std::string& format_name) {
  if (path.ends_with(".gz") || path.ends_with(".zst"))
    throw InvalidInput("output file", path, "a name without .gz or .zst: graphs are written unpacked");
  const Format& format = format_of(path, format_name);
  if (!format.write) {
    std::string list_of_names;
    for (const auto& f : formats()) {
      if (f.write) list_of_names += (list_of_names.empty() ? "" : ", ") + f.name;
    }
    throw InvalidInput("format to write", format.name, list_of_names);
  }
  format.write(list, path);
}

void settle_vertices(EdgeList& list, const std::optional<std::uint64_t>& vertices, const std::string& file) {
  if (!vertices) {
    for (const Edge& e : list.edges)
      list.vertices = std::max<std::uint64_t>(list.vertices, std::uint64_t{std::max(e.source, e.target)} + 1);
    return;
  }
  if (*vertices > kMaxVertices)
    throw InvalidInput("--vertices", std::to_string(*vertices), fmt::format("at most {}", kMaxVertices));
  list.vertices = *vertices;
  for (std::size_t i = 0; i < list.edges.size(); ++i) {
    const VertexId largest = std::max(list.edges[i].source, list.edges[i].target);
    if (largest >= *vertices)
      throw InvalidInput(fmt::format("{}: edge {} has vertex {}, but --vertices says there are {}", file, i,
                                     largest, *vertices));
  }
}

void fold_symmetric(EdgeList& list, const std::string& file) {
  std::vector<std::size_t> order(list.edges.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  auto turned = [&](std::size_t i) {
    const Edge& e = list.edges[i];
    return e.source <= e.target ? e : Edge{e.target, e.source};
  };
  auto forward = [&](std::size_t i) { return list.edges[i].source <= list.edges[i].target; };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::tuple(turned(a), !forward(a), a) < std::tuple(turned(b), !forward(b), b);
  });
  EdgeList folded;
  for (std::size_t begin = 0, end; begin < order.size(); begin = end) {
    std::size_t forwards = 0;
    const Edge edge = turned(order[begin]);
    for (end = begin; end < order.size() && turned(order[end]) == edge; ++end)
      forwards += forward(order[end]);
    if (edge.source != edge.target && forwards * 2 != end - begin) {
      throw InvalidInput(fmt::format("{}: edge {} -> {} has no counterpart; a symmetric graph was expected",
                                     file, edge.source, edge.target));
    }
    for (std::size_t i = begin; i < begin + forwards; ++i) {
      folded.edges.push_back(edge);
      if (list.weighted()) folded.weights.push_back(list.weights[order[i]]);
    }
  }
  list.edges = std::move(folded.edges);
  list.weights = std::move(folded.weights);
  list.directed = false;
}

}  // namespace ballast::graph
