// GAP's serialised graphs, .sg and .wsg: a directed byte, i64 m (directed edges), i64 n, n + 1 offsets (i64),
// m neighbours (i32; with an i32 weight behind each in .wsg); for directed graphs the same again for incoming
// edges.
#include <fmt/format.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/graph/formats/format.h"

namespace ballast::graph {
namespace {

Csr read_rows(BinaryReader& in, std::uint64_t vertices, std::uint64_t edges, bool weighted) {
  Csr csr;
  csr.offsets = in.numbers<std::uint64_t>(vertices + 1, "the offsets");
  for (std::uint64_t v = 0; v <= vertices; ++v) {
    const std::uint64_t least = v == 0 ? 0 : csr.offsets[v - 1], most = v == 0 ? 0 : edges;
    if (csr.offsets[v] < least || csr.offsets[v] > most)
      in.fail(fmt::format("offset {} of vertex {}", csr.offsets[v], v), fmt::format("{} to {}", least, most),
              8 * (vertices + 1 - v));
  }
  if (csr.offsets[vertices] != edges)
    in.fail(fmt::format("the offsets end at {}, the header counts {} edges", csr.offsets[vertices], edges));
  for (std::uint64_t i = 0; i < edges; ++i) {
    const auto target = in.number<VertexId>("the neighbours");
    if (target >= vertices)
      in.fail(fmt::format("neighbour {}", target), fmt::format("ids below {}", vertices), 4);
    csr.targets.push_back(target);
    if (weighted) csr.weights.push_back(in.number<std::int32_t>("the weights"));
  }
  return csr;
}

}  // namespace

EdgeList read_gap(std::unique_ptr<ByteSource> source, bool weighted) {
  BinaryReader in(std::move(source));
  const auto directed = in.number<std::uint8_t>("the header");
  if (directed > 1) in.fail(fmt::format("directed flag {}", directed), "0, 1", 1);
  const auto edges = in.number<std::uint64_t>("the header");
  const auto vertices = in.number<std::uint64_t>("the header");
  if (vertices > kMaxVertices)
    in.fail(fmt::format("{} vertices", vertices), fmt::format("at most {}", kMaxVertices), 8);
  const Csr csr = read_rows(in, vertices, edges, weighted);
  if (directed == 1) {
    const Csr inverse = read_rows(in, vertices, edges, weighted);
    const Csr expected = transpose(csr);
    if (inverse.offsets != expected.offsets) in.fail("the incoming edges are not those of the outgoing ones");
  }
  in.expect_end("the neighbours");
  EdgeList list;
  list.vertices = vertices;
  list.weights = csr.weights;
  for (VertexId v = 0; v < vertices; ++v) {
    for (VertexId target : csr.neighbours(v)) list.edges.push_back({v, target});
  }
  if (directed == 0) fold_symmetric(list, in.file());
  return list;
}

void write_gap(const EdgeList& list, const std::string& path, bool weighted) {
  if (list.vertices > 0x7FFFFFFF) throw InvalidInput(fmt::format("{}: GAP's ids have 31 bits", path));
  const Graph graph = build(list);
  AtomicFile out(path);
  auto put = [&](auto value) { out.write(std::as_bytes(std::span(&value, 1))); };
  auto put_rows = [&](const Csr& csr) {
    for (std::uint64_t offset : csr.offsets) put(offset);
    for (std::uint64_t i = 0; i < csr.targets.size(); ++i) {
      put(csr.targets[i]);
      if (!weighted) continue;
      if (csr.weight(i) != std::rint(csr.weight(i)) || std::abs(csr.weight(i)) > 2147483647.0)
        throw InvalidInput(fmt::format("{}: weight {}; .wsg holds 32-bit integers", path, csr.weight(i)));
      put(static_cast<std::int32_t>(csr.weight(i)));
    }
  };
  put(static_cast<std::uint8_t>(list.directed));
  put(std::uint64_t{graph.out().targets.size()});
  put(graph.vertices());
  put_rows(graph.out());
  if (list.directed) put_rows(graph.in());
  out.commit();
}

}  // namespace ballast::graph
