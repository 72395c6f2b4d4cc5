// The edges of a graph as machines read them: machine i of P takes part i of P. Parts come from a list in
// memory (one a process), from a generator (each machine makes its own) or from the shards of a mapped .bgr.
#pragma once

#include <memory>
#include <string>

#include "ballast/graph/generate.h"
#include "ballast/graph/graph.h"

namespace ballast::graph {

class EdgeSource {
 public:
  virtual ~EdgeSource() = default;
  virtual std::uint64_t vertices() const = 0;
  virtual bool directed() const = 0;
  virtual bool weighted() const = 0;
  /// The edges of this part. Parts are disjoint and together are the graph.
  virtual EdgeList part(int index, int parts) const = 0;
};

/// The list is kept by reference and must outlive the source.
std::unique_ptr<EdgeSource> source_of(const EdgeList& list);
std::unique_ptr<EdgeSource> source_of(const Generator& generator, const GenerateOptions& options);
std::unique_ptr<EdgeSource> source_of_bgr(const std::string& path);

}  // namespace ballast::graph
