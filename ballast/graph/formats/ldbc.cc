#include "ballast/graph/formats/ldbc.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::graph {
namespace {

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

std::string stem_of(const std::string& path) {
  std::string stem = path;
  for (const char* packed : {".gz", ".zst", ".properties", ".v", ".e"}) {
    if (stem.ends_with(packed)) stem.resize(stem.size() - std::string_view(packed).size());
  }
  return stem;
}

std::string existing(const std::string& path) {
  for (const char* packed : {"", ".zst", ".gz"}) {
    if (std::filesystem::exists(path + packed)) return path + packed;
  }
  return path;
}

}  // namespace

double LdbcProperties::number(const std::string& key) const {
  const auto found = values.find(key);
  if (found == values.end()) throw InvalidInput(fmt::format("{}: 'graph.{}.{}' is missing", file, name, key));
  double value = 0;
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw InvalidInput(
        fmt::format("{}: 'graph.{}.{}' is '{}'; a number was expected", file, name, key, text));
  return value;
}

LdbcProperties read_ldbc_properties(const std::string& path) {
  TextReader in(open_source(path));
  LdbcProperties result;
  result.file = path;
  while (in.next_line("#!")) {
    const auto equals = in.line().find('=');
    if (equals == std::string_view::npos) in.fail("no '=' in the line", "graph.NAME.KEY = VALUE");
    const std::string key = trimmed(in.line().substr(0, equals)),
                      value = trimmed(in.line().substr(equals + 1));
    if (!key.starts_with("graph.")) continue;
    const auto dot = key.find('.', 6);
    if (dot == std::string::npos) continue;
    const std::string name = key.substr(6, dot - 6);
    if (result.name.empty()) result.name = name;
    if (name != result.name) in.fail(fmt::format("key of graph '{}' in the file of '{}'", name, result.name));
    result.values[key.substr(dot + 1)] = value;
    if (key.substr(dot + 1) == "directed") {
      if (value != "true" && value != "false") in.fail(fmt::format("directed '{}'", value), "true, false");
      result.directed = value == "true";
    }
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  auto beside = [&](const std::string& key) {
    const auto found = result.values.find(key);
    if (found == result.values.end()) throw InvalidInput(fmt::format("{}: '{}' is missing", path, key));
    return existing((std::filesystem::path(folder) / found->second).string());
  };
  result.vertex_file = beside("vertex-file");
  result.edge_file = beside("edge-file");
  std::string algorithms = result.values["algorithms"];
  std::replace(algorithms.begin(), algorithms.end(), ',', ' ');
  std::size_t at = 0;
  while ((at = algorithms.find_first_not_of(' ', at)) != std::string::npos) {
    const auto end = std::min(algorithms.size(), algorithms.find(' ', at));
    result.algorithms.push_back(algorithms.substr(at, end - at));
    at = end;
  }
  return result;
}

EdgeList parse_ldbc(std::unique_ptr<ByteSource> vertices, std::unique_ptr<ByteSource> edges, bool directed) {
  EdgeList list;
  list.directed = directed;
  TextReader in(std::move(vertices));
  while (in.next_line("#")) {
    const std::uint64_t name = in.integer("vertex");
    if (!list.names.empty() && name <= list.names.back())
      in.fail(fmt::format("vertex {} follows {}", name, list.names.back()), "ids in rising order, each once");
    list.names.push_back(name);
    if (list.names.size() > kMaxVertices) in.fail("more vertices than 32 bits can number");
  }
  list.vertices = list.names.size();
  const bool plain =
      list.names.empty() || (list.names.front() == 0 && list.names.back() == list.vertices - 1);
  TextReader text(std::move(edges));
  auto id = [&](const char* what) {
    const std::uint64_t name = text.integer(what);
    if (plain && name < list.vertices) return static_cast<VertexId>(name);
    const auto found = std::lower_bound(list.names.begin(), list.names.end(), name);
    if (found == list.names.end() || *found != name)
      text.fail(fmt::format("{} {} is not in the vertex file {}", what, name, in.file()));
    return static_cast<VertexId>(found - list.names.begin());
  };
  std::optional<bool> weighted;
  while (text.next_line("#")) {
    const VertexId source = id("source"), target = id("target");
    list.edges.push_back({source, target});
    const bool more = !text.at_end_of_line();
    if (!weighted) weighted = more;
    if (*weighted != more)
      text.fail(more ? "a weight, but the lines before have none" : "the weight is missing");
    if (more) list.weights.push_back(text.real("weight"));
    text.end_of_line();
  }
  if (plain) list.names.clear();
  return list;
}

LdbcGraph read_ldbc(const std::string& path, const ReadOptions& options) {
  LdbcGraph result;
  const std::string stem = stem_of(path);
  if (std::filesystem::exists(stem + ".properties")) {
    result.properties = read_ldbc_properties(stem + ".properties");
  } else {
    result.properties.file = path;
    result.properties.directed = !options.undirected;
    result.properties.vertex_file = existing(stem + ".v");
    result.properties.edge_file = existing(stem + ".e");
  }
  const LdbcProperties& p = result.properties;
  result.graph = parse_ldbc(open_source(p.vertex_file), open_source(p.edge_file), p.directed);
  return result;
}

void write_ldbc(const EdgeList& list, const std::string& path) {
  const std::string stem = stem_of(path), name = std::filesystem::path(stem).filename().string();
  AtomicFile vertices(stem + ".v"), edges(stem + ".e"), properties(stem + ".properties");
  for (std::uint64_t v = 0; v < list.vertices; ++v)
    vertices.write(fmt::format("{}\n", list.name(static_cast<VertexId>(v))));
  for (std::size_t i = 0; i < list.edges.size(); ++i) {
    std::uint64_t u = list.name(list.edges[i].source), v = list.name(list.edges[i].target);
    if (!list.directed && u > v) std::swap(u, v);
    edges.write(list.weighted() ? fmt::format("{} {} {}\n", u, v, list.weights[i])
                                : fmt::format("{} {}\n", u, v));
  }
  auto put = [&](const std::string& key, const auto& value) {
    properties.write(fmt::format("graph.{}.{} = {}\n", name, key, value));
  };
  put("vertex-file", name + ".v");
  put("edge-file", name + ".e");
  put("meta.vertices", list.vertices);
  put("meta.edges", list.edges.size());
  put("directed", list.directed ? "true" : "false");
  if (list.weighted()) {
    put("edge-properties.names", "weight");
    put("edge-properties.types", "real");
  }
  vertices.commit();
  edges.commit();
  properties.commit();
}

}  // namespace ballast::graph
