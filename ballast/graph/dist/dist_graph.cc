#include "ballast/graph/dist/dist_graph.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <numeric>
#include <tuple>

#include "ballast/graph/dist/placement.h"

namespace ballast::graph {
namespace {

using cluster::Inbox;
using cluster::Machine;
using cluster::Outbox;

constexpr std::uint64_t kBlocksPerMachine = 64;

std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
  return a + b;
}

EdgeArrays directed_edges(const EdgeSource& source, int index, int parts, Orientation orientation) {
  const EdgeList part = source.part(index, parts);
  const bool both = orientation == Orientation::both || !source.directed();
  EdgeArrays edges;
  edges.weighted = source.weighted();
  auto put = [&](VertexId u, VertexId v, std::size_t i) {
    edges.sources.push_back(u);
    edges.targets.push_back(v);
    if (edges.weighted) edges.weights.push_back(part.weights[i]);
  };
  for (std::size_t i = 0; i < part.edges.size(); ++i) {
    const auto [u, v] = part.edges[i];
    if (both || orientation == Orientation::as_is) put(u, v, i);
    // A directed loop is met from both its ends; an undirected one is one entry.
    const bool loop_once = !source.directed() && u == v;
    if ((both && !loop_once) || (!both && orientation == Orientation::reversed)) put(v, u, i);
  }
  return edges;
}

// Sends (vertex, count) of this part's sources to the vertices' owners and adds up.
std::vector<std::uint32_t> gather_degrees(Machine& me, const Owners& owners, const EdgeArrays& edges) {
  absl::flat_hash_map<VertexId, std::uint32_t> counts;
  for (VertexId u : edges.sources) ++counts[u];
  std::vector<std::pair<VertexId, std::uint32_t>> sorted(counts.begin(), counts.end());
  std::sort(sorted.begin(), sorted.end());
  Outbox out = me.outbox();
  for (const auto& [v, count] : sorted) {
    auto& buffer = out.to(owners.owner(v));
    buffer.put(owners.index(v));
    buffer.put(count);
  }
  const Inbox in = me.exchange(std::move(out));
  std::vector<std::uint32_t> degrees(owners.count(me.id()), 0);
  for (int s = 0; s < in.machines(); ++s) {
    for (cluster::Reader reader = in.from(s); !reader.empty();) {
      const auto index = reader.get<VertexId>();
      degrees[index] += reader.get<std::uint32_t>();
    }
  }
  return degrees;
}

Owners even_chunks(std::uint64_t vertices, int machines) {
  std::vector<std::uint64_t> bounds;
  const auto p = static_cast<std::uint64_t>(machines);
  for (std::uint64_t m = 0; m <= p; ++m) bounds.push_back(vertices / p * m + std::min(m, vertices % p));
  return Owners::chunks(std::move(bounds));
}

}  // namespace

// Contiguous ranges of equal weight. For the engines of others the weight of a vertex is Gemini's, 8(P-1) +
// out-degree: edges lie with owners. `tdo` evens edges out by itself, so its owners even out traffic: a
// vertex costs about as many values as it has machines among its neighbours, at most P-1 each way. Ranges end
// at block boundaries, so that only block sums travel.
void DistGraph::choose_owners(const EdgeSource& source, const EdgeArrays& edges) {
  const std::uint64_t n = source.vertices();
  const int machines = me_.machines();
  if (options_.hashed_owners) {
    owners_ = Owners::hashed(n, machines, options_.seed);
    return;
  }
  owners_ = even_chunks(n, machines);
  if (machines == 1 || n == 0) return;
  const auto degrees = gather_degrees(me_, owners_, edges);
  const auto others = static_cast<std::uint64_t>(machines - 1);
  const bool even_traffic = options_.partition == Partition::tdo && options_.place_by_contention;
  const std::uint64_t alpha = even_traffic ? 1 : 8 * others;
  const std::uint64_t tau = even_traffic ? 2 * others : ~std::uint64_t{0};
  const std::uint64_t first = owners_.global(me_.id(), 0);
  struct Block {
    std::uint64_t end, weight;
  };
  std::vector<Block> blocks;
  const std::uint64_t mine = degrees.size(), per = std::max<std::uint64_t>(1, mine / kBlocksPerMachine);
  for (std::uint64_t v = 0; v < mine; ++v) {
    if (v % per == 0) blocks.push_back({0, 0});
    blocks.back().end = first + v + 1;
    blocks.back().weight += alpha + std::min<std::uint64_t>(degrees[v], tau);
  }
  const auto all = me_.allgather_bytes(std::as_bytes(std::span(blocks)));
  std::vector<Block> everywhere;
  for (const auto& bytes : all) {
    for (cluster::Reader reader(bytes); !reader.empty();) everywhere.push_back(reader.get<Block>());
  }
  std::uint64_t total = 0, before = 0;
  for (const Block& block : everywhere) total += block.weight;
  std::vector<std::uint64_t> bounds{0};
  for (const Block& block : everywhere) {
    before += block.weight;
    while (bounds.size() < static_cast<std::size_t>(machines) &&
           before * static_cast<std::uint64_t>(machines) >= total * bounds.size())
      bounds.push_back(block.end);
  }
  bounds.resize(static_cast<std::size_t>(machines), n);
  bounds.push_back(n);
  owners_ = Owners::chunks(std::move(bounds));
}

DistGraph::DistGraph(Machine& me, const EdgeSource& source, const DistOptions& options,
                     Orientation orientation, const DistGraph* like)
    : me_(me),
      options_(options),
      owners_(like != nullptr ? like->owners_ : even_chunks(source.vertices(), me.machines())),
      weighted_(source.weighted()),
      workers_(std::make_unique<Workers>(options.threads, options.first_touch)) {
  if (like == nullptr) me.begin_stage("ingest");
  EdgeArrays edges = directed_edges(source, me.id(), me.machines(), orientation);
  edges_ = me.allreduce(static_cast<std::uint64_t>(edges.size()), sum);
  if (like == nullptr) choose_owners(source, edges);
  owned_ = static_cast<LocalId>(owners_.count(me.id()));
  degrees_ = gather_degrees(me, owners_, edges);
  build(place_edges(me, owners_, options_, std::move(edges)), like);
}

void DistGraph::build(const EdgeArrays& edges, const DistGraph* like) {
  const int machines = me_.machines();
  // Mirrors: the foreign ends of local edges, with the roles that they play here.
  constexpr std::uint8_t kSource = 1, kTarget = 2;
  struct Presence {
    std::uint8_t role = 0;
    std::uint32_t edges = 0;
  };
  absl::flat_hash_map<VertexId, Presence> present;
  std::uint64_t without_owner = 0;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    int foreign = 0;
    for (const auto& [v, role] :
         {std::pair(edges.sources[i], kSource), std::pair(edges.targets[i], kTarget)}) {
      if (owns(v)) continue;
      Presence& here = present[v];
      here.role |= role;
      ++here.edges;
      ++foreign;
    }
    without_owner += foreign == 2;
  }
  without_owner = me_.allreduce(without_owner, sum);
  struct Mirror {
    int owner, back;  // distance back to the owner in the ring
    VertexId index, global;
    std::uint8_t role;
    std::uint32_t edges;
  };
  std::vector<Mirror> mirrors;
  mirrors.reserve(present.size());
  for (const auto& [v, here] : present) {
    const int owner = owners_.owner(v);
    mirrors.push_back({owner, (me_.id() - owner + machines) % machines, owners_.index(v), v, here.role,
                       options_.by_degree ? here.edges : 0});
  }
  std::sort(mirrors.begin(), mirrors.end(), [](const Mirror& a, const Mirror& b) {
    return std::tuple(a.back, b.edges, a.index) < std::tuple(b.back, a.edges, b.index);
  });
  ring_end_.assign(static_cast<std::size_t>(machines), owned_);
  for (std::size_t i = 0; i < mirrors.size(); ++i)
    ring_end_[static_cast<std::size_t>(mirrors[i].back)] = owned_ + static_cast<LocalId>(i) + 1;
  for (std::size_t d = 1; d < ring_end_.size(); ++d) ring_end_[d] = std::max(ring_end_[d], ring_end_[d - 1]);
  number_owned(like);
  globals_.reserve(owned_ + mirrors.size());
  absl::flat_hash_map<VertexId, LocalId> mirror_id;
  mirror_id.reserve(mirrors.size());
  Outbox out = me_.outbox();
  for (const Mirror& mirror : mirrors) {
    mirror_id.emplace(mirror.global, static_cast<LocalId>(globals_.size()));
    globals_.push_back(mirror.global);
    auto& buffer = out.to(mirror.owner);
    buffer.put(mirror.index);
    buffer.put(mirror.role);
  }
  const Inbox in = me_.exchange(std::move(out));

  // Owners learn who mirrors what, and lay the trees.
  auto lists = [&](std::uint8_t role) {
    MirrorLists result;
    result.first.assign(owned_ + 1, 0);
    for (int pass = 0; pass < 2; ++pass) {
      std::vector<std::uint32_t> next(result.first.begin(), result.first.end() - 1);
      for (int s = 0; s < machines; ++s) {
        for (cluster::Reader reader = in.from(s); !reader.empty();) {
          const auto index = reader.get<VertexId>();
          if ((reader.get<std::uint8_t>() & role) == 0) continue;
          if (pass == 0) {
            ++result.first[index + 1];
          } else {
            result.machines[next[index]++] = s;
          }
        }
      }
      if (pass == 0) {
        std::partial_sum(result.first.begin(), result.first.end(), result.first.begin());
        result.machines.resize(result.first.back());
      }
    }
    return result;
  };
  auto local_of = [&](int owner, VertexId index) {
    return owner == me_.id() ? at(index) : mirror_id.at(owners_.global(owner, index));
  };
  const TreeOptions trees{options_.fanout, options_.trim_trees};
  const MirrorLists sources = lists(kSource), targets = lists(kTarget);
  source_routes_ = build_routes(me_, sources, locals(), owned_, trees, local_of);
  target_routes_ = build_routes(me_, targets, locals(), owned_, trees, local_of);
  one_hop_ = without_owner == 0 && source_routes_.hops.size() <= 1 && target_routes_.hops.size() <= 1;
  if (one_hop_ && !target_routes_.hops.empty()) {
    const Hop& hop = target_routes_.hops[0];
    silent_targets_.assign(hop.stops.size(), false);
    for (VertexId index = 0; index < owned_; ++index) {
      const LocalId v = at(index);
      for (std::uint32_t i = hop.first[v]; i < hop.first[v + 1]; ++i) {
        const auto begin = sources.machines.begin() + sources.first[index],
                   end = sources.machines.begin() + sources.first[index + 1];
        silent_targets_[i] = std::find(begin, end, hop.stops[i].machine) == end;
      }
    }
  }

  // Rows: by target first, then a transposition each way sorts both.
  auto local = [&](VertexId v) { return owns(v) ? this->local(v) : mirror_id.at(v); };
  Csr rows;
  rows.offsets.assign(locals() + 1, 0);
  std::vector<LocalId> source_ids(edges.size());
  for (std::size_t i = 0; i < edges.size(); ++i)
    ++rows.offsets[(source_ids[i] = local(edges.sources[i])) + 1];
  std::partial_sum(rows.offsets.begin(), rows.offsets.end(), rows.offsets.begin());
  rows.targets.resize(edges.size());
  if (weighted_) rows.weights.resize(edges.size());
  std::vector<std::uint64_t> next(rows.offsets.begin(), rows.offsets.end() - 1);
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const std::uint64_t place = next[source_ids[i]]++;
    rows.targets[place] = local(edges.targets[i]);
    if (weighted_) rows.weights[place] = edges.weights[i];
  }
  const Rows::Options kept{options_.compress, options_.first_touch};
  Csr by_target = transpose(rows);
  rows = Csr();
  out_ = Rows(transpose(by_target), owned_, kept, *workers_);
  in_ = Rows(std::move(by_target), owned_, kept, *workers_);
}

// Owned vertices by their number at the owner or, with L5, by falling degree: hubs, which most edges meet,
// then lie together. With `like`, as there.
void DistGraph::number_owned(const DistGraph* like) {
  if (!options_.by_degree) {
    for (LocalId v = 0; v < owned_; ++v) globals_.push_back(owners_.global(me_.id(), v));
    return;
  }
  std::vector<VertexId> index(owned_);
  std::iota(index.begin(), index.end(), VertexId{0});
  const auto earlier = [&](VertexId a, VertexId b) {
    return like != nullptr ? like->at(a) < like->at(b) : degrees_[a] > degrees_[b];
  };
  std::stable_sort(index.begin(), index.end(), earlier);
  order_.resize(owned_);
  std::vector<std::uint32_t> degrees(owned_);
  for (LocalId v = 0; v < owned_; ++v) {
    order_[index[v]] = v;
    degrees[v] = degrees_[index[v]];
    globals_.push_back(owners_.global(me_.id(), index[v]));
  }
  degrees_ = std::move(degrees);
}

DistGraph::Layout DistGraph::layout() const {
  struct Share {
    std::uint64_t edges, vertices, source_links, target_links, bytes;
  };
  std::uint64_t bytes =
      out_.bytes() + in_.bytes() + 4 * globals_.size() + 4 * degrees_.size() + 4 * order_.size();
  for (const Routes* routes : {&source_routes_, &target_routes_}) {
    for (const Hop& hop : routes->hops) {
      bytes += 4 * hop.first.size() + 8 * hop.stops.size();
      for (std::size_t m = 0; m < hop.down.size(); ++m) bytes += 4 * (hop.down[m].size() + hop.up[m].size());
    }
    bytes += 12 * routes->parent.size();
  }
  const auto shares =
      me_.allgather(Share{out_.entries(), locals(), source_routes_.links, target_routes_.links, bytes});
  Layout layout;
  std::uint64_t most = 0, total = 0, local_vertices = 0;
  for (const Share& share : shares) {
    most = std::max(most, share.edges);
    total += share.edges;
    local_vertices += share.vertices;
    layout.source_links += share.source_links;
    layout.target_links += share.target_links;
    layout.bytes = std::max(layout.bytes, share.bytes);
  }
  if (total > 0)
    layout.edge_balance =
        static_cast<double>(most) * static_cast<double>(shares.size()) / static_cast<double>(total);
  if (vertices() > 0)
    layout.replication = static_cast<double>(local_vertices) / static_cast<double>(vertices());
  return layout;
}

}  // namespace ballast::graph
