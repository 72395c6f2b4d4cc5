// Ballast's own graph file, .bgr: shards of compressed rows that can be mapped and are checked.
//
//   header    64 bytes: magic "BALGRPH1", u32 byte order 0x01020304, u32 flags (1 directed, 2 weighted, 4
//   named),
//             u64 vertices, u64 edges, u64 shards, u64 offset of the names (0: none), u64 0, u64 checksum of
//             the header (this word as 0) and the manifest
//   manifest  48 bytes a shard: u64 first vertex, u64 vertices, u64 edges, u64 offset in the file, u64 bytes,
//   u64 checksum shard     rows: u64 offsets (vertices + 1, from 0), u32 targets padded to 8 bytes, f64
//   weights names     u64 a vertex, then their checksum
// All numbers are little-endian, all parts begin at a multiple of 64 bytes. An undirected edge stands once.
// Edges of a vertex keep their order in the list, so that writing and reading give the list grouped by
// source.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ballast/graph/graph.h"

namespace ballast::graph {

/// A mapped .bgr: shards are checked when they are first asked for. Machines of a cluster take different
/// shards.
class MappedGraph {
 public:
  /// Throws Unavailable (cannot be opened or mapped) or InvalidInput (damaged header or manifest).
  explicit MappedGraph(const std::string& path);
  ~MappedGraph();
  MappedGraph(const MappedGraph&) = delete;
  MappedGraph& operator=(const MappedGraph&) = delete;

  struct Shard {
    VertexId first;                          ///< its first source
    std::span<const std::uint64_t> offsets;  ///< rows + 1
    std::span<const VertexId> targets;
    std::span<const double> weights;  ///< empty if unweighted
  };
  std::uint64_t vertices() const { return vertices_; }
  std::uint64_t edges() const { return edges_; }
  bool directed() const { return directed_; }
  bool weighted() const { return weighted_; }
  std::size_t shards() const { return entries_.size(); }
  /// Throws InvalidInput with the byte when the shard's checksum or ids are wrong.
  Shard shard(std::size_t i) const;
  std::vector<std::uint64_t> names() const;

 private:
  struct Entry {
    std::uint64_t first, vertices, edges, offset, bytes, checksum;
  };
  std::string path_;
  const char* data_ = nullptr;
  std::size_t size_ = 0;
  bool directed_ = true, weighted_ = false;
  std::uint64_t vertices_ = 0, edges_ = 0, names_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace ballast::graph
