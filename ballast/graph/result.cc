#include "ballast/graph/result.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/graph/formats/source.h"

namespace ballast::graph {
namespace {

constexpr double kEpsilon = 1e-4;

double real_of(const NamedValues& from, std::uint64_t vertex, const std::string& text) {
  if (text == "Infinity" || text == "inf") return std::numeric_limits<double>::infinity();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw InvalidInput(
        fmt::format("{}: value '{}' of vertex {}; a number was expected", from.file, text, vertex));
  return value;
}

}  // namespace

const std::vector<std::string>& algorithms() {
  static const std::vector<std::string> names{"bfs",  "sssp", "bc",  "cc",    "pr",
                                              "cdlp", "tc",   "lcc", "kcore", "mis"};
  return names;
}

Rule rule_of(const std::string& algorithm) {
  if (algorithm == "cc" || algorithm == "wcc") return Rule::equivalence;
  cli::require_one_of("algorithm", algorithm, algorithms());
  for (const char* name : {"pr", "sssp", "bc", "lcc"}) {
    if (algorithm == name) return Rule::epsilon;
  }
  return Rule::exact;
}

NamedValues read_result(const std::string& path) {
  NamedValues result;
  result.file = path;
  TextReader in(open_source(path));
  while (in.next_line("#")) {
    const std::uint64_t vertex = in.integer("vertex");
    const std::string value(in.word());
    if (value.empty()) in.fail("the value is missing");
    in.end_of_line();
    if (!result.values.emplace(vertex, value).second) in.fail(fmt::format("vertex {} a second time", vertex));
  }
  return result;
}

std::string value_text(const Result& result, std::size_t i) {
  if (!result.integers.empty()) return std::to_string(result.integers[i]);
  return std::isinf(result.reals[i]) ? "Infinity" : fmt::format("{:.15e}", result.reals[i]);
}

NamedValues named(const Result& result, const EdgeList& list) {
  NamedValues values;
  values.file = "(computed)";
  for (std::size_t i = 0; i < result.size(); ++i)
    values.values.emplace(list.name(static_cast<VertexId>(i)), value_text(result, i));
  return values;
}

void write_result(const Result& result, const EdgeList& list, const std::string& path) {
  AtomicFile out(path);
  for (std::size_t i = 0; i < result.size(); ++i)
    out.write(fmt::format("{} {}\n", list.name(static_cast<VertexId>(i)), value_text(result, i)));
  out.commit();
}

Verdict compare(const std::string& algorithm, const NamedValues& reference, const NamedValues& output) {
  const Rule rule = rule_of(algorithm);
  Verdict verdict;
  auto differ = [&](const std::string& sentence) {
    if (verdict.different++ == 0) verdict.first = sentence;
  };
  std::map<std::string, std::string> forward, backward;  // labels of the equivalence rule
  for (const auto& [vertex, expected] : reference.values) {
    ++verdict.compared;
    const auto found = output.values.find(vertex);
    if (found == output.values.end()) {
      differ(fmt::format("vertex {} is missing in {}", vertex, output.file));
      continue;
    }
    const std::string& given = found->second;
    bool same = true;
    if (rule == Rule::equivalence) {
      same = forward.emplace(expected, given).first->second == given &&
             backward.emplace(given, expected).first->second == expected;
    } else if (rule == Rule::exact) {
      same = given == expected;
    } else {
      const double r = real_of(reference, vertex, expected), s = real_of(output, vertex, given);
      if (std::isinf(r) || std::isinf(s)) {
        same = r == s;
      } else {
        if (r != 0) verdict.worst_relative = std::max(verdict.worst_relative, std::abs(r - s) / std::abs(r));
        same = std::abs(r - s) <= kEpsilon * std::abs(r);
      }
    }
    if (!same) differ(fmt::format("vertex {}: {} instead of {}", vertex, given, expected));
  }
  for (const auto& [vertex, given] : output.values) {
    if (!reference.values.contains(vertex))
      differ(fmt::format("vertex {} is not in {}", vertex, reference.file));
  }
  verdict.same = verdict.different == 0;
  return verdict;
}

std::string check_bfs(const Graph& graph, VertexId source, const std::vector<VertexId>& parents,
                      const std::vector<std::uint32_t>& levels) {
  constexpr auto kUnreached = std::numeric_limits<std::uint32_t>::max();
  if (parents[source] != source || levels[source] != 0) return "the source is not its own parent at level 0";
  for (VertexId u = 0; u < graph.vertices(); ++u) {
    if ((levels[u] == kUnreached) != (parents[u] == kNoVertex))
      return fmt::format("vertex {} has a parent or a level, but not both", u);
    if (levels[u] != kUnreached) {
      for (VertexId v : graph.out().neighbours(u)) {
        if (levels[v] == kUnreached || levels[v] > levels[u] + 1)
          return fmt::format("edge {} -> {} leads from level {} to {}", u, v, levels[u], levels[v]);
      }
      if (u == source) continue;
      const auto row = graph.out().neighbours(parents[u]);
      if (levels[parents[u]] + 1 != levels[u]) return fmt::format("the parent of {} is not one level up", u);
      if (!std::binary_search(row.begin(), row.end(), u))
        return fmt::format("there is no edge from {} to its child {}", parents[u], u);
    }
  }
  return "";
}

std::string check_distances(const Graph& graph, VertexId source, const std::vector<double>& distances) {
  if (distances[source] != 0) return "the distance of the source is not 0";
  const Csr& in = graph.in();
  for (VertexId v = 0; v < graph.vertices(); ++v) {
    double least = std::numeric_limits<double>::infinity();
    for (std::uint64_t i = in.offsets[v]; i < in.offsets[v + 1]; ++i)
      least = std::min(least, distances[in.targets[i]] + in.weight(i));
    if (v == source) continue;
    if (distances[v] != least && !(std::abs(distances[v] - least) <= 1e-12 * least))
      return fmt::format("vertex {} has distance {}, its in-edges say {}", v, distances[v], least);
  }
  return "";
}

}  // namespace ballast::graph
