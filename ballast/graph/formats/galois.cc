// Galois .gr: u64 version (1, 2), u64 bytes of data an edge, u64 n, u64 m, n end offsets (u64), m targets
// (u32 in version 1, padded to 8 bytes; u64 in version 2), m edge data of 0, 4 or 8 bytes.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/graph/formats/format.h"

namespace ballast::graph {
namespace {

double weight_of(std::uint64_t bits, std::uint64_t size, const std::string& type) {
  const auto low = static_cast<std::uint32_t>(bits);
  if (size == 8) {
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  if (type == "f32") {
    float value;
    std::memcpy(&value, &low, sizeof value);
    return value;
  }
  return type == "i32" ? static_cast<double>(static_cast<std::int32_t>(low)) : static_cast<double>(low);
}

}  // namespace

EdgeList read_galois(BinaryReader& in, std::uint64_t version, const ReadOptions& options) {
  cli::require_one_of("--weight-type", options.weight_type, {"auto", "u32", "i32", "f32"});
  if (version != 1 && version != 2) in.fail(fmt::format("version {} of a Galois graph", version), "1, 2", 8);
  const auto data_bytes = in.number<std::uint64_t>("the header");
  if (data_bytes != 0 && data_bytes != 4 && data_bytes != 8)
    in.fail(fmt::format("{} bytes of data an edge", data_bytes), "0, 4, 8", 8);
  EdgeList list;
  list.vertices = in.number<std::uint64_t>("the header");
  if (list.vertices > kMaxVertices)
    in.fail(fmt::format("{} vertices", list.vertices), fmt::format("at most {}", kMaxVertices), 8);
  const auto edges = in.number<std::uint64_t>("the header");
  const auto ends = in.numbers<std::uint64_t>(list.vertices, "the offsets");
  std::uint64_t before = 0;
  for (std::uint64_t v = 0; v < list.vertices; ++v) {
    if (ends[v] < before || ends[v] > edges)
      in.fail(fmt::format("end offset {} of vertex {}", ends[v], v), fmt::format("{} to {}", before, edges),
              8 * (list.vertices - v));
    before = ends[v];
  }
  if (before != edges)
    in.fail(fmt::format("the offsets end at {}, the header counts {} edges", before, edges));
  std::uint64_t v = 0;
  for (std::uint64_t i = 0; i < edges; ++i) {
    while (ends[v] <= i) ++v;
    const std::uint64_t target =
        version == 1 ? in.number<std::uint32_t>("the targets") : in.number<std::uint64_t>("the targets");
    if (target >= list.vertices)
      in.fail(fmt::format("target {}", target), fmt::format("ids below {}", list.vertices),
              version == 1 ? 4 : 8);
    list.edges.push_back({static_cast<VertexId>(v), static_cast<VertexId>(target)});
  }
  if (version == 1 && edges % 2 == 1 && (data_bytes > 0 || !in.at_end())) in.skip(4, "the padding");
  for (std::uint64_t i = 0; i < edges && data_bytes > 0; ++i) {
    std::uint64_t bits = 0;
    in.bytes(&bits, data_bytes, "the edge data");
    list.weights.push_back(weight_of(bits, data_bytes, options.weight_type));
    if (std::isnan(list.weights.back())) in.fail("weight 'nan'", "numbers", data_bytes);
  }
  in.expect_end("the edge data");
  if (options.undirected) fold_symmetric(list, in.file());
  return list;
}

EdgeList read_gr(std::unique_ptr<ByteSource> source, const ReadOptions& options) {
  // A Galois file begins with a small number in 8 bytes, a DIMACS file with a letter.
  const std::string file = source->file();
  char first[8];
  std::size_t got = 0;
  while (got < sizeof first) {
    const std::size_t now = source->read(first + got, sizeof first - got);
    if (now == 0) break;
    got += now;
  }
  class Rest : public ByteSource {
   public:
    Rest(std::string name, std::string head, std::unique_ptr<ByteSource> tail)
        : ByteSource(std::move(name)), head_(std::move(head)), tail_(std::move(tail)) {}
    std::size_t read(char* buffer, std::size_t size) override {
      if (head_.empty()) return tail_->read(buffer, size);
      const std::size_t now = std::min(size, head_.size());
      std::memcpy(buffer, head_.data(), now);
      head_.erase(0, now);
      return now;
    }

   private:
    std::string head_;
    std::unique_ptr<ByteSource> tail_;
  };
  auto whole = std::make_unique<Rest>(file, std::string(first, got), std::move(source));
  if (got > 0 && first[0] >= '\t') return read_dimacs(std::move(whole));
  BinaryReader in(std::move(whole));
  const auto version = in.number<std::uint64_t>("the header");
  return read_galois(in, version, options);
}

void write_galois(const EdgeList& list, const std::string& path) {
  const Graph graph = build(list);
  const Csr& csr = graph.out();
  AtomicFile out(path);
  auto put = [&](auto value) { out.write(std::as_bytes(std::span(&value, 1))); };
  bool integers = true;
  for (double w : csr.weights) integers = integers && w == std::rint(w) && w >= 0 && w <= 4294967295.0;
  const std::uint64_t data_bytes = csr.weights.empty() ? 0 : integers ? 4 : 8;
  put(std::uint64_t{1});
  put(data_bytes);
  put(csr.vertices());
  put(std::uint64_t{csr.targets.size()});
  for (std::uint64_t v = 0; v < csr.vertices(); ++v) put(csr.offsets[v + 1]);
  for (VertexId target : csr.targets) put(target);
  if (csr.targets.size() % 2 == 1) put(std::uint32_t{0});
  for (double w : csr.weights) {
    if (integers)
      put(static_cast<std::uint32_t>(w));
    else
      put(w);
  }
  out.commit();
}

}  // namespace ballast::graph
