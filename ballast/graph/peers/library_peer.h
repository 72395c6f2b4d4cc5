// igraph (C library), one thread, as a competitor of the sequential algorithms: timed in the same process on
// the same edges, its answers compared before its time counts.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ballast/graph/graph.h"

namespace ballast::graph {

class IgraphPeer {
 public:
  /// nullptr when igraph was not there at configure time.
  static std::unique_ptr<IgraphPeer> make(const EdgeList& list);
  virtual ~IgraphPeer() = default;
  virtual std::string version() const = 0;

  // Each runs the algorithm once and returns a figure by which answers are compared.
  virtual double reached_by_bfs(VertexId source) = 0;        ///< vertices reached
  virtual double components() = 0;                           ///< how many
  virtual std::vector<double> pagerank(double damping) = 0;  ///< converged (PRPACK)
};

}  // namespace ballast::graph
