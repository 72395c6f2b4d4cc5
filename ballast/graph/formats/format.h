// The graph files of the field, read and written by extension (see docs/graph.md for each format's detail).
//
//   EdgeList list = read_graph("soc.gt.gz");
//   write_graph(list, "soc.wel");
//
// Reading streams: memory is that of the edge list. A file is accepted as a whole or refused with one
// sentence that names the file and the line or byte; nothing is returned or written in part.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ballast/graph/formats/source.h"
#include "ballast/graph/graph.h"

namespace ballast::graph {

struct ReadOptions {
  std::string format = {};  ///< a name of formats(); empty: by extension
  bool undirected =
      false;  ///< edge lists: a line is an undirected edge; adjacency: both directions stand there
  bool sparse_ids = false;  ///< edge lists: ids are names (up to 2^64 - 1), numbered anew in rising order
  std::optional<std::uint64_t> vertices = {};  ///< edge lists and pairs: the count, else the largest id + 1
  std::string weight_type = "auto";  ///< Galois: what 4 bytes of edge data are: u32 (auto), i32, f32
};

/// One file format. A reader gets the bytes (unpacked) and the options; a writer the list and the path.
struct Format {
  std::string name;
  std::string extension;  ///< with the dot; empty: only by --format
  std::string summary;
  std::function<EdgeList(std::unique_ptr<ByteSource>, const ReadOptions&)> read;
  std::function<void(const EdgeList&, const std::string& path)> write;  ///< empty: reads only
};

const std::vector<Format>& formats();

/// By `name` if given, else by the extension of `path` (without .gz or .zst). Throws InvalidInput listing the
/// formats.
const Format& format_of(const std::string& path, const std::string& name);

EdgeList read_graph(const std::string& path, const ReadOptions& options = {});
void write_graph(const EdgeList& list, const std::string& path, const std::string& format = "");

// The formats, one file each.
EdgeList read_edges(std::unique_ptr<ByteSource> source, const ReadOptions& options, bool weighted);
void write_edges(const EdgeList& list, const std::string& path);
EdgeList read_pairs(std::unique_ptr<ByteSource> source, const ReadOptions& options,
                    const std::string& weight);
void write_pairs(const EdgeList& list, const std::string& path, const std::string& weight);
EdgeList read_ligra(std::unique_ptr<ByteSource> source, const ReadOptions& options);
void write_ligra(const EdgeList& list, const std::string& path);
EdgeList read_gr(std::unique_ptr<ByteSource> source, const ReadOptions& options);  // Galois or DIMACS 9
EdgeList read_galois(BinaryReader& in, std::uint64_t version, const ReadOptions& options);
void write_galois(const EdgeList& list, const std::string& path);
EdgeList read_gap(std::unique_ptr<ByteSource> source, bool weighted);
void write_gap(const EdgeList& list, const std::string& path, bool weighted);
EdgeList read_dimacs(std::unique_ptr<ByteSource> source);
EdgeList read_metis(std::unique_ptr<ByteSource> source);
EdgeList read_matrix_market(std::unique_ptr<ByteSource> source);
void write_matrix_market(const EdgeList& list, const std::string& path);
EdgeList read_graph_tool(std::unique_ptr<ByteSource> source);
EdgeList read_bgr(std::unique_ptr<ByteSource> source);
void write_bgr(const EdgeList& list, const std::string& path);

/// Checks that every id is below `vertices` (or sets it to the largest + 1 when empty).
void settle_vertices(EdgeList& list, const std::optional<std::uint64_t>& vertices, const std::string& file);
/// Keeps one of the two entries of each undirected edge of a symmetric adjacency; throws when it is not
/// symmetric.
void fold_symmetric(EdgeList& list, const std::string& file);

}  // namespace ballast::graph
