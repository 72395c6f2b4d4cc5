#include "ballast/graph/dist/edge_source.h"

#include "ballast/graph/formats/bgr.h"

namespace ballast::graph {
namespace {

std::pair<std::uint64_t, std::uint64_t> range_of(std::uint64_t total, int index, int parts) {
  const auto i = static_cast<std::uint64_t>(index), p = static_cast<std::uint64_t>(parts);
  auto bound = [&](std::uint64_t k) { return total / p * k + std::min(k, total % p); };
  return {bound(i), bound(i + 1)};
}

class ListSource : public EdgeSource {
 public:
  explicit ListSource(const EdgeList& list) : list_(list) {}
  std::uint64_t vertices() const override { return list_.vertices; }
  bool directed() const override { return list_.directed; }
  bool weighted() const override { return list_.weighted(); }
  EdgeList part(int index, int parts) const override {
    const auto [begin, end] = range_of(list_.edges.size(), index, parts);
    EdgeList part;
    part.vertices = list_.vertices;
    part.directed = list_.directed;
    const auto first = static_cast<std::ptrdiff_t>(begin), last = static_cast<std::ptrdiff_t>(end);
    part.edges.assign(list_.edges.begin() + first, list_.edges.begin() + last);
    if (weighted()) part.weights.assign(list_.weights.begin() + first, list_.weights.begin() + last);
    return part;
  }

 private:
  const EdgeList& list_;
};

class GeneratedSource : public EdgeSource {
 public:
  GeneratedSource(const Generator& generator, const GenerateOptions& options)
      : generator_(generator), options_(options) {}
  std::uint64_t vertices() const override { return generator_.vertices(); }
  bool directed() const override { return options_.directed; }
  bool weighted() const override { return options_.weighted; }
  EdgeList part(int index, int parts) const override {
    const auto [begin, end] = range_of(generator_.candidates(), index, parts);
    return generator_.slice(begin, end);
  }

 private:
  Generator generator_;
  GenerateOptions options_;
};

class MappedSource : public EdgeSource {
 public:
  explicit MappedSource(const std::string& path) : mapped_(path) {}
  std::uint64_t vertices() const override { return mapped_.vertices(); }
  bool directed() const override { return mapped_.directed(); }
  bool weighted() const override { return mapped_.weighted(); }
  EdgeList part(int index, int parts) const override {
    EdgeList part;
    part.vertices = mapped_.vertices();
    part.directed = mapped_.directed();
    const auto [begin, end] = range_of(mapped_.shards(), index, parts);
    for (std::uint64_t i = begin; i < end; ++i) {
      const auto shard = mapped_.shard(i);
      for (std::size_t row = 0; row + 1 < shard.offsets.size(); ++row) {
        for (std::uint64_t j = shard.offsets[row]; j < shard.offsets[row + 1]; ++j)
          part.edges.push_back({shard.first + static_cast<VertexId>(row), shard.targets[j]});
      }
      part.weights.insert(part.weights.end(), shard.weights.begin(), shard.weights.end());
    }
    return part;
  }

 private:
  MappedGraph mapped_;
};

}  // namespace

std::unique_ptr<EdgeSource> source_of(const EdgeList& list) {
  return std::make_unique<ListSource>(list);
}
std::unique_ptr<EdgeSource> source_of(const Generator& generator, const GenerateOptions& options) {
  return std::make_unique<GeneratedSource>(generator, options);
}
std::unique_ptr<EdgeSource> source_of_bgr(const std::string& path) {
  return std::make_unique<MappedSource>(path);
}

}  // namespace ballast::graph
