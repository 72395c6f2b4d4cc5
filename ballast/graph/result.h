// What an algorithm says about each vertex, its file, and the rules by which two answers are the same (LDBC
// Graphalytics 1.0.5, section 4: exact, equivalence, epsilon).
//
//   Result result = {.algorithm = "pr", .reals = ranks};
//   write_result(result, list, "pr.out");                        // `vertex value`, doubles as %.15e
//   Verdict verdict = compare("pr", read_result("reference"), read_result("pr.out"));
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ballast/graph/graph.h"

namespace ballast::graph {

/// A level of an unreached vertex in LDBC's files.
inline constexpr std::int64_t kLdbcUnreached = 9223372036854775807;

/// One value a vertex: integers (bfs, cc, cdlp, kcore, mis) or reals (pr, sssp, bc, lcc); or one number for
/// the whole graph (tc).
struct Result {
  std::string algorithm;
  std::vector<std::int64_t> integers = {};
  std::vector<double> reals = {};

  std::size_t size() const { return integers.empty() ? reals.size() : integers.size(); }
};

enum class Rule { exact, equivalence, epsilon };
/// The rule of the algorithm; throws InvalidInput for an unknown one. wcc means cc.
Rule rule_of(const std::string& algorithm);
const std::vector<std::string>& algorithms();

/// Values by vertex name.
struct NamedValues {
  std::string file;
  std::map<std::uint64_t, std::string> values;
};
NamedValues read_result(const std::string& path);
NamedValues named(const Result& result, const EdgeList& list);
/// Text of one value as files hold it.
std::string value_text(const Result& result, std::size_t i);
void write_result(const Result& result, const EdgeList& list, const std::string& path);

struct Verdict {
  bool same = false;
  std::uint64_t compared = 0, different = 0;
  double worst_relative = 0;  ///< of the epsilon rule
  std::string first;          ///< the first difference in words
};
/// Epsilon: |r - s| <= 1e-4 |r| with r from the reference, infinities equal.
Verdict compare(const std::string& algorithm, const NamedValues& reference, const NamedValues& output);

// Checks that need no reference.

/// Graph500's rules: the source is its own parent; levels differ by at most one along every edge between
/// reached vertices, reached and unreached vertices share no out-edge, every parent is one level up along an
/// edge. Returns the first violation in words, or an empty string.
std::string check_bfs(const Graph& graph, VertexId source, const std::vector<VertexId>& parents,
                      const std::vector<std::uint32_t>& levels);
/// d(source) = 0, d(v) <= d(u) + w on every edge, and equality on some edge into every other reached vertex.
std::string check_distances(const Graph& graph, VertexId source, const std::vector<double>& distances);

}  // namespace ballast::graph
