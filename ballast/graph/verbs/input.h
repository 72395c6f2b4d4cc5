// The graph that a verb is given: a file of any format, `kron:16` and its like (generate.h), or
// `collection:NAME` from the distribution's collection of real graphs.
#pragma once

#include <memory>
#include <string>

#include "ballast/base/cli.h"
#include "ballast/graph/dist/edge_source.h"
#include "ballast/graph/formats/format.h"

namespace ballast::graph {

struct InputOptions {
  std::string graph;
  ReadOptions read;
  std::uint64_t vertices = 0;  ///< of the flag --vertices; 0: not given
  bool dedup = false, no_loops = false;
  bool weights = false;  ///< give an unweighted graph integer weights 1..255
};

/// Adds GRAPH and the flags that say how to read it.
void add_input(CLI::App& app, InputOptions& options);

/// Throws InvalidInput or Unavailable with one sentence.
EdgeList open_graph(const InputOptions& options, std::uint64_t seed);

/// The same graph without holding it: a machine takes its slice from the shards of a mapped .bgr, or makes
/// it. Throws InvalidInput for what cannot be taken by slices: other formats, and flags that need the whole
/// graph.
std::unique_ptr<EdgeSource> open_slices(const InputOptions& options, std::uint64_t seed);

}  // namespace ballast::graph
