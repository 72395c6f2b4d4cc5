// graph-tool's binary format, version 1: magic, version, byte order, comment, directed flag, u64 n, then for
// each vertex a u64 degree and its targets in the smallest of 1, 2, 4, 8 bytes that hold n. Property maps
// follow and are not read.
#include <fmt/format.h>

#include <array>
#include <bit>

#include "ballast/graph/formats/format.h"

namespace ballast::graph {
namespace {

constexpr std::array<unsigned char, 6> kMagic{0xE2, 0x9B, 0xBE, 0x20, 0x67, 0x74};

}  // namespace

EdgeList read_graph_tool(std::unique_ptr<ByteSource> source) {
  BinaryReader in(std::move(source));
  std::array<unsigned char, 6> magic;
  in.bytes(magic.data(), magic.size(), "the magic bytes");
  if (magic != kMagic) in.fail("wrong magic bytes", "a graph-tool file (e2 9b be 20 67 74)", 6);
  const auto version = in.number<std::uint8_t>("the header");
  if (version != 1) in.fail(fmt::format("version {}", version), "1", 1);
  const auto big_endian = in.number<std::uint8_t>("the header");
  if (big_endian > 1) in.fail(fmt::format("byte order {}", big_endian), "0 (little), 1 (big)", 1);
  auto number = [&](std::uint64_t bytes, const char* what) {
    std::array<unsigned char, 8> raw{};
    in.bytes(raw.data(), bytes, what);
    std::uint64_t value = 0;
    for (std::uint64_t i = 0; i < bytes; ++i)
      value |= std::uint64_t{raw[i]} << 8 * (big_endian ? bytes - 1 - i : i);
    return value;
  };
  in.skip(number(8, "the header"), "the comment");
  EdgeList list;
  const auto directed = number(1, "the header");
  if (directed > 1) in.fail(fmt::format("directed flag {}", directed), "0, 1", 1);
  list.directed = directed == 1;
  list.vertices = number(8, "the header");
  if (list.vertices > kMaxVertices)
    in.fail(fmt::format("{} vertices", list.vertices), fmt::format("at most {}", kMaxVertices), 8);
  const std::uint64_t width = list.vertices <= 0xFF ? 1 : list.vertices <= 0xFFFF ? 2 : 4;
  for (std::uint64_t v = 0; v < list.vertices; ++v) {
    for (std::uint64_t degree = number(8, "the degrees"); degree > 0; --degree) {
      const std::uint64_t target = number(width, "the targets");
      if (target >= list.vertices)
        in.fail(fmt::format("target {} of vertex {}", target, v), fmt::format("ids below {}", list.vertices),
                width);
      list.edges.push_back({static_cast<VertexId>(v), static_cast<VertexId>(target)});
    }
  }
  return list;
}

}  // namespace ballast::graph
