// Graphs made by rule: each edge is a pure function of (settings, its index), so any split of the work over
// machines or threads gives the same graph.
//
//   Generator generator({.kind = "kron", .scale = 16, .degree = 16, .seed = 1});
//   EdgeList list = generator.all();
//   EdgeList part = generator.slice(begin, end);         // candidate edges [begin, end)
//
//   kron      R-MAT with Graph500's A, B, C = 0.57, 0.19, 0.19 and 2^scale vertices; ids permuted
//   uniform   both ends uniform over 2^scale vertices
//   road      a grid of side x side with moved crossings, 65 % of the streets kept (mean degree 2.6); weights
//   are
//             lengths
//   grid      a full grid, unit lengths
//   ba        preferential attachment (Barabasi-Albert) by retracing hashes (Sanders, Schulz, "Scalable
//   generation of
//             scale-free graphs", IPL 2016)
//   hub       `hubs` vertices are the source of half of the edges
//   zipf      sources by Zipf's law of exponent `skew` over scattered ids, targets uniform
//   star, path, complete
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ballast/data/permutation.h"
#include "ballast/data/zipf.h"
#include "ballast/graph/graph.h"

namespace ballast::graph {

struct GenerateOptions {
  std::string kind = "kron";
  std::uint64_t scale = 16;  ///< log2 of the vertices (kron, uniform, ba, hub)
  std::uint64_t size =
      0;  ///< vertices (star, path, complete) or side (road, grid); 0: 2^scale or 2^(scale/2)
  std::uint64_t degree = 16;  ///< edges a vertex (kron, uniform, ba, hub)
  std::uint64_t hubs = 16;
  double skew = 1.0;  ///< zipf: the exponent
  std::uint64_t seed = 1;
  bool permute = true;    ///< kron: hide that low ids are hubs
  bool weighted = false;  ///< integers 1..255, uniform (road: lengths)
  bool directed = false;
};

/// The accepted kinds.
const std::vector<std::string>& generator_kinds();

class Generator {
 public:
  /// Throws InvalidInput for an unknown kind or a size beyond 32-bit ids.
  explicit Generator(const GenerateOptions& options);

  std::uint64_t vertices() const { return vertices_; }
  /// Candidate edges: `road` leaves some out.
  std::uint64_t candidates() const { return candidates_; }
  /// Candidate i, or false if it is left out.
  bool edge(std::uint64_t i, Edge& edge, double& weight) const;

  EdgeList slice(std::uint64_t begin, std::uint64_t end) const;
  EdgeList all() const { return slice(0, candidates_); }

 private:
  Edge kron(std::uint64_t i) const;
  Edge preferential(std::uint64_t i) const;
  bool grid(std::uint64_t i, Edge& edge, double& weight) const;
  VertexId permuted(std::uint64_t v) const;

  enum class Kind { kron, uniform, road, grid, ba, hub, zipf, star, path, complete };
  GenerateOptions options_;
  data::Permutation permutation_;
  Kind kind_;
  std::uint64_t vertices_ = 0, candidates_ = 0, side_ = 0;
  std::optional<data::Zipf> zipf_;
};

/// Reads "kron:16", "kron:16:8" (degree), "road:512" (side), "star:1000": the short form that verbs accept in
/// place of a file. Returns false if `word` does not begin with a kind and a colon.
bool parse_generator(const std::string& word, GenerateOptions& options);

/// Gives every edge the integer weight 1..255 that a generated one at its place would have.
void add_weights(EdgeList& list, std::uint64_t seed);

}  // namespace ballast::graph
