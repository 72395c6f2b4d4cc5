// Graph libraries of one process, on one thread, as competitors of the sequential algorithms: timed in the
// same process on the same edges, their answers compared before their time counts.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ballast/graph/graph.h"

namespace ballast::graph {

class LibraryPeer {
 public:
  virtual ~LibraryPeer() = default;
  virtual std::string version() const = 0;

  // Each runs the algorithm once and returns a figure by which answers are compared; nullopt: the library has
  // no such algorithm.
  virtual std::optional<double> reached_by_bfs(VertexId source) = 0;        ///< vertices reached
  virtual std::optional<double> components() = 0;                           ///< how many
  virtual std::optional<std::vector<double>> pagerank(double damping) = 0;  ///< converged
};

/// nullptr when the library was not there at configure time.
std::unique_ptr<LibraryPeer> make_igraph(const EdgeList& list);
/// SuiteSparse GraphBLAS, in the formulation of LAGraph: a level of bfs is a masked product over (any, pair),
/// an iteration of PageRank a product over (plus, second).
std::unique_ptr<LibraryPeer> make_graphblas(const EdgeList& list);

}  // namespace ballast::graph
