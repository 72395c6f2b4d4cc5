#include "ballast/graph/formats/bgr.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/graph/formats/format.h"

namespace ballast::graph {
namespace {

constexpr std::string_view kMagic = "BALGRPH1";
constexpr std::uint32_t kByteOrder = 0x01020304;
constexpr std::uint32_t kDirected = 1, kWeighted = 2, kNamed = 4;
constexpr std::size_t kHeaderBytes = 64, kEntryWords = 6, kEntryBytes = 8 * kEntryWords;
constexpr std::uint64_t kShardEdges = std::uint64_t{1} << 20;

std::uint64_t aligned(std::uint64_t offset) {
  return (offset + 63) / 64 * 64;
}

std::uint64_t shard_bytes(std::uint64_t vertices, std::uint64_t edges, bool weighted) {
  return 8 * (vertices + 1) + (4 * edges + 7) / 8 * 8 + (weighted ? 8 * edges : 0);
}

struct Header {
  std::array<char, 8> magic;
  std::uint32_t byte_order, flags;
  std::uint64_t vertices, edges, shards, names, zero, checksum;
};
static_assert(sizeof(Header) == kHeaderBytes);

std::uint64_t checksum_of(Header header, std::string_view manifest) {
  header.checksum = 0;
  return checksum64(std::string(reinterpret_cast<const char*>(&header), sizeof header) +
                    std::string(manifest));
}

}  // namespace

void write_bgr(const EdgeList& list, const std::string& path) {
  // The edges by source, in the order of the list.
  std::vector<std::uint64_t> offsets(list.vertices + 1, 0);
  for (const Edge& e : list.edges) ++offsets[e.source + 1];
  std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
  std::vector<std::uint64_t> order(list.edges.size()), next(offsets.begin(), offsets.end() - 1);
  for (std::size_t i = 0; i < list.edges.size(); ++i) order[next[list.edges[i].source]++] = i;

  std::vector<std::array<std::uint64_t, kEntryWords>> entries;
  for (std::uint64_t first = 0; first < list.vertices;) {
    std::uint64_t last = first + 1;
    while (last < list.vertices && offsets[last + 1] - offsets[first] <= kShardEdges &&
           last - first < kShardEdges)
      ++last;
    const std::uint64_t edges = offsets[last] - offsets[first];
    entries.push_back({first, last - first, edges, 0, shard_bytes(last - first, edges, list.weighted()), 0});
    first = last;
  }
  std::uint64_t end = aligned(kHeaderBytes + entries.size() * kEntryBytes);
  for (auto& entry : entries) {
    entry[3] = end;
    end = aligned(end + entry[4]);
  }
  auto shard_of = [&](const std::array<std::uint64_t, kEntryWords>& entry) {
    std::string bytes;
    bytes.reserve(entry[4]);
    auto put = [&](auto value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof value); };
    const std::uint64_t first = entry[0], last = first + entry[1];
    for (std::uint64_t v = first; v <= last; ++v) put(offsets[v] - offsets[first]);
    for (std::uint64_t i = offsets[first]; i < offsets[last]; ++i) put(list.edges[order[i]].target);
    if (entry[2] % 2 == 1) put(std::uint32_t{0});
    for (std::uint64_t i = offsets[first]; list.weighted() && i < offsets[last]; ++i)
      put(list.weights[order[i]]);
    return bytes;
  };
  // Checksums stand before the data: shards are made twice rather than kept.
  for (auto& entry : entries) entry[5] = checksum64(shard_of(entry));
  Header header{};
  std::copy(kMagic.begin(), kMagic.end(), header.magic.begin());
  header.byte_order = kByteOrder;
  header.flags =
      (list.directed ? kDirected : 0) | (list.weighted() ? kWeighted : 0) | (list.names.empty() ? 0 : kNamed);
  header.vertices = list.vertices;
  header.edges = list.edges.size();
  header.shards = entries.size();
  header.names = list.names.empty() ? 0 : end;
  const std::string_view manifest(reinterpret_cast<const char*>(entries.data()),
                                  entries.size() * kEntryBytes);
  header.checksum = checksum_of(header, manifest);

  AtomicFile out(path);
  std::uint64_t written = 0;
  auto put = [&](std::string_view bytes) {
    out.write(bytes);
    written += bytes.size();
  };
  auto pad = [&] { put(std::string(aligned(written) - written, '\0')); };
  put({reinterpret_cast<const char*>(&header), sizeof header});
  put(manifest);
  for (const auto& entry : entries) {
    pad();
    put(shard_of(entry));
  }
  if (!list.names.empty()) {
    pad();
    const std::string_view names(reinterpret_cast<const char*>(list.names.data()), 8 * list.names.size());
    const std::uint64_t checksum = checksum64(names);
    put(names);
    put({reinterpret_cast<const char*>(&checksum), sizeof checksum});
  }
  out.commit();
}

MappedGraph::MappedGraph(const std::string& path) : path_(path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw Unavailable::from_errno(path, "cannot be opened");
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0 || facts.st_size < 0) {
    ::close(descriptor);
    throw Unavailable::from_errno(path, "cannot be examined");
  }
  size_ = static_cast<std::size_t>(facts.st_size);
  if (size_ < kHeaderBytes) {
    ::close(descriptor);
    throw InvalidInput::at_byte(path, size_, "the file ends inside the header");
  }
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
  ::close(descriptor);
  if (mapped == MAP_FAILED) throw Unavailable::from_errno(path, "cannot be mapped");
  data_ = static_cast<const char*>(mapped);

  try {
    Header header;
    std::memcpy(&header, data_, sizeof header);
    if (std::string_view(header.magic.data(), 8) != kMagic)
      throw InvalidInput::at_byte(path, 0, "wrong magic bytes", "a Ballast graph (BALGRPH1)");
    if (header.byte_order != kByteOrder)
      throw InvalidInput::at_byte(path, 8, "the other byte order", "little-endian files");
    if (header.shards > (size_ - kHeaderBytes) / kEntryBytes)
      throw InvalidInput::at_byte(path, size_, "the file ends inside the manifest");
    const std::string_view manifest(data_ + kHeaderBytes, header.shards * kEntryBytes);
    if (checksum_of(header, manifest) != header.checksum)
      throw InvalidInput::at_byte(path, 56, "the checksum of header and manifest is wrong");
    directed_ = (header.flags & kDirected) != 0;
    weighted_ = (header.flags & kWeighted) != 0;
    vertices_ = header.vertices;
    edges_ = header.edges;
    names_ = header.names;
    if (vertices_ > kMaxVertices)
      throw InvalidInput::at_byte(path, 16, fmt::format("{} vertices", vertices_),
                                  fmt::format("at most {}", kMaxVertices));
    entries_.resize(header.shards);
    std::memcpy(entries_.data(), manifest.data(), manifest.size());
    std::uint64_t next = 0, edges = 0;
    for (const Entry& e : entries_) {
      const bool fits = e.first == next && e.vertices <= vertices_ - next && e.edges <= edges_ - edges &&
                        e.offset % 64 == 0 && e.bytes == shard_bytes(e.vertices, e.edges, weighted_) &&
                        e.offset <= size_ && e.bytes <= size_ - e.offset;
      if (!fits)
        throw InvalidInput::at_byte(path, std::min<std::uint64_t>(e.offset, size_),
                                    "a shard that does not fit the file");
      next += e.vertices;
      edges += e.edges;
    }
    if (next != vertices_ || edges != edges_)
      throw InvalidInput::at_byte(path, kHeaderBytes, "the shards do not add up to the header's counts");
    if (names_ != 0 && (names_ % 64 != 0 || names_ > size_ || size_ - names_ < 8 * (vertices_ + 1)))
      throw InvalidInput::at_byte(path, size_, "the file ends inside the names");
  } catch (...) {
    ::munmap(const_cast<char*>(data_), size_);
    throw;
  }
}

MappedGraph::~MappedGraph() {
  ::munmap(const_cast<char*>(data_), size_);
}

MappedGraph::Shard MappedGraph::shard(std::size_t i) const {
  const Entry& e = entries_[i];
  if (checksum64(std::string_view(data_ + e.offset, e.bytes)) != e.checksum)
    throw InvalidInput::at_byte(path_, e.offset, fmt::format("the checksum of shard {} is wrong", i));
  Shard shard;
  shard.first = static_cast<VertexId>(e.first);
  const char* place = data_ + e.offset;
  shard.offsets = {reinterpret_cast<const std::uint64_t*>(place), e.vertices + 1};
  place += 8 * (e.vertices + 1);
  shard.targets = {reinterpret_cast<const VertexId*>(place), e.edges};
  place += (4 * e.edges + 7) / 8 * 8;
  if (weighted_) shard.weights = {reinterpret_cast<const double*>(place), e.edges};
  bool sound = shard.offsets.front() == 0 && shard.offsets.back() == e.edges &&
               std::is_sorted(shard.offsets.begin(), shard.offsets.end());
  for (VertexId target : shard.targets) sound = sound && target < vertices_;
  if (!sound) throw InvalidInput::at_byte(path_, e.offset, fmt::format("shard {} holds impossible rows", i));
  return shard;
}

std::vector<std::uint64_t> MappedGraph::names() const {
  std::vector<std::uint64_t> names;
  if (names_ == 0) return names;
  names.resize(vertices_);
  std::memcpy(names.data(), data_ + names_, 8 * vertices_);
  std::uint64_t checksum;
  std::memcpy(&checksum, data_ + names_ + 8 * vertices_, sizeof checksum);
  if (checksum64(std::string_view(data_ + names_, 8 * vertices_)) != checksum)
    throw InvalidInput::at_byte(path_, names_, "the checksum of the names is wrong");
  return names;
}

EdgeList read_bgr(std::unique_ptr<ByteSource> source) {
  const MappedGraph mapped(source->file());
  EdgeList list;
  list.vertices = mapped.vertices();
  list.directed = mapped.directed();
  list.names = mapped.names();
  for (std::size_t i = 0; i < mapped.shards(); ++i) {
    const auto shard = mapped.shard(i);
    for (std::size_t row = 0; row + 1 < shard.offsets.size(); ++row) {
      for (std::uint64_t j = shard.offsets[row]; j < shard.offsets[row + 1]; ++j)
        list.edges.push_back({shard.first + static_cast<VertexId>(row), shard.targets[j]});
    }
    list.weights.insert(list.weights.end(), shard.weights.begin(), shard.weights.end());
  }
  return list;
}

}  // namespace ballast::graph
