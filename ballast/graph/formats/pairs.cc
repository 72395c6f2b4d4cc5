// Binary edge lists of Gemini, Graphite and LA3: little-endian u32 pairs, each with an optional weight (f32,
// i32, f64).
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/graph/formats/format.h"

namespace ballast::graph {

EdgeList read_pairs(std::unique_ptr<ByteSource> source, const ReadOptions& options,
                    const std::string& weight) {
  BinaryReader in(std::move(source));
  EdgeList list;
  list.directed = !options.undirected;
  while (!in.at_end()) {
    const auto u = in.number<VertexId>("an edge"), v = in.number<VertexId>("an edge");
    if (u == kNoVertex || v == kNoVertex) in.fail("vertex 4294967295", "ids from 0 to 4294967294", 8);
    list.edges.push_back({u, v});
    double value = 0;
    if (weight == "f32") value = in.number<float>("a weight");
    if (weight == "i32") value = in.number<std::int32_t>("a weight");
    if (weight == "f64") value = in.number<double>("a weight");
    if (std::isnan(value)) in.fail("weight 'nan'", "numbers", weight == "f64" ? 8 : 4);
    if (!weight.empty()) list.weights.push_back(value);
  }
  settle_vertices(list, options.vertices, in.file());
  return list;
}

void write_pairs(const EdgeList& list, const std::string& path, const std::string& weight) {
  AtomicFile out(path);
  auto put = [&](auto value) { out.write(std::as_bytes(std::span(&value, 1))); };
  for (std::size_t i = 0; i < list.edges.size(); ++i) {
    put(list.edges[i].source);
    put(list.edges[i].target);
    const double value = list.weighted() ? list.weights[i] : 1;
    if (weight == "f32") put(static_cast<float>(value));
    if (weight == "i32") {
      if (value != std::rint(value) || std::abs(value) > 2147483647.0)
        throw InvalidInput(fmt::format("{}: weight {} is no 32-bit integer; write pairs-f64", path, value));
      put(static_cast<std::int32_t>(value));
    }
    if (weight == "f64") put(value);
  }
  out.commit();
}

}  // namespace ballast::graph
