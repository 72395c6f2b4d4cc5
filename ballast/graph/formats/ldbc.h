// LDBC Graphalytics' files: NAME.v (a vertex id a line, rising), NAME.e (`source target [weight]`; undirected
// edges once, smaller id first) and NAME.properties (directedness and each algorithm's parameters).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ballast/graph/formats/format.h"

namespace ballast::graph {

/// A .properties file, keys without their "graph.NAME." prefix.
struct LdbcProperties {
  std::string file, name, vertex_file, edge_file;
  bool directed = true;
  std::vector<std::string> algorithms;
  std::map<std::string, std::string> values;  ///< such as "bfs.source-vertex" -> "1"

  /// Throws InvalidInput naming the file when the key is missing or no number.
  double number(const std::string& key) const;
};
LdbcProperties read_ldbc_properties(const std::string& path);

struct LdbcGraph {
  EdgeList graph;
  LdbcProperties properties;
};

/// `path` is the .properties, or the .e or .v beside it; without .properties, `options.undirected` says the
/// direction.
LdbcGraph read_ldbc(const std::string& path, const ReadOptions& options = {});

/// Both texts from memory (for fuzzing).
EdgeList parse_ldbc(std::unique_ptr<ByteSource> vertices, std::unique_ptr<ByteSource> edges, bool directed);

/// Writes NAME.v, NAME.e and NAME.properties; `path` may name any of the three.
void write_ldbc(const EdgeList& list, const std::string& path);

}  // namespace ballast::graph
