// Reading and combining values of vertices anywhere, by global id: the single-item stages that pointer
// jumping needs. Requests for one vertex are made once a machine (pull without repetition), updates are
// combined before they leave.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ballast/graph/dist/dist_graph.h"

namespace ballast::graph {

/// values[owned vertex v] at v's owner, for every id asked; repeated ids are asked once. Two exchanges.
/// Collective.
template <typename T>
std::vector<T> remote_get(const DistGraph& g, const std::vector<VertexId>& ids,
                          const std::vector<T>& values) {
  cluster::Machine& me = g.machine();
  const auto machines = static_cast<std::size_t>(me.machines());
  absl::flat_hash_map<VertexId, std::uint32_t>
      place;  // of the foreign ids, in the order of their owner's message
  std::vector<std::uint32_t> asked(machines, 0);
  cluster::Outbox out = me.outbox();
  for (VertexId v : ids) {
    const int owner = g.owners().owner(v);
    if (owner == me.id()) continue;
    if (place.try_emplace(v, asked[static_cast<std::size_t>(owner)]).second) {
      out.to(owner).put(g.owners().index(v));
      ++asked[static_cast<std::size_t>(owner)];
    }
  }
  const cluster::Inbox in = me.exchange(std::move(out));
  out = me.outbox();
  for (int m = 0; m < me.machines(); ++m) {
    for (cluster::Reader reader = in.from(m); !reader.empty();)
      out.to(m).put(values[g.at(reader.get<VertexId>())]);
  }
  const cluster::Inbox answers = me.exchange(std::move(out));
  std::vector<T> result;
  result.reserve(ids.size());
  for (VertexId v : ids) {
    const int owner = g.owners().owner(v);
    if (owner == me.id()) {
      result.push_back(values[g.local(v)]);
    } else {
      T value;
      std::memcpy(&value, answers.bytes_from(owner).data() + place.at(v) * sizeof(T), sizeof(T));
      result.push_back(value);
    }
  }
  return result;
}

/// Merges updates[i] into ids[i] wherever it is owned: apply(owned vertex, merged update). One exchange.
/// Collective.
template <typename T, typename Merge, typename Apply>
void remote_merge(const DistGraph& g, const std::vector<VertexId>& ids, const std::vector<T>& updates,
                  Merge merge, Apply apply) {
  cluster::Machine& me = g.machine();
  absl::flat_hash_map<VertexId, T> combined;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto [found, fresh] = combined.try_emplace(ids[i], updates[i]);
    if (!fresh) found->second = merge(found->second, updates[i]);
  }
  std::vector<std::pair<VertexId, T>> sorted(combined.begin(), combined.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  cluster::Outbox out = me.outbox();
  for (const auto& [v, update] : sorted) {
    auto& buffer = out.to(g.owners().owner(v));
    buffer.put(g.owners().index(v));
    buffer.put(update);
  }
  const cluster::Inbox in = me.exchange(std::move(out));
  for (int m = 0; m < me.machines(); ++m) {
    for (cluster::Reader reader = in.from(m); !reader.empty();) {
      const LocalId v = g.at(reader.get<VertexId>());
      apply(v, reader.get<T>());
    }
  }
}

}  // namespace ballast::graph
