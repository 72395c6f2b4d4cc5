#include "ballast/graph/algorithms/adjacency.h"

#include <algorithm>

namespace ballast::graph {

Csr gather_adjacency(const DistGraph& g) {
  cluster::Machine& me = g.machine();
  cluster::Outbox out = me.outbox();
  for (LocalId u = 0; u < g.locals(); ++u) {
    if (g.out().degree(u) == 0) continue;
    const VertexId id = g.global(u);
    auto& buffer = out.to(g.owners().owner(id));
    buffer.put(g.owners().index(id));
    buffer.put(static_cast<std::uint32_t>(g.out().degree(u)));
    g.out().for_each(u, [&](LocalId v, std::uint64_t) { buffer.put(g.global(v)); });
  }
  const cluster::Inbox in = me.exchange(std::move(out));
  std::vector<std::vector<VertexId>> rows(g.owned());
  for (int m = 0; m < me.machines(); ++m) {
    for (cluster::Reader reader = in.from(m); !reader.empty();) {
      const LocalId v = g.at(reader.get<VertexId>());
      for (auto count = reader.get<std::uint32_t>(); count > 0; --count)
        rows[v].push_back(reader.get<VertexId>());
    }
  }
  Csr result;
  for (LocalId v = 0; v < g.owned(); ++v) {
    auto& row = rows[v];
    std::sort(row.begin(), row.end());
    row.erase(std::unique(row.begin(), row.end()), row.end());
    row.erase(std::remove(row.begin(), row.end(), g.global(v)), row.end());
    result.targets.insert(result.targets.end(), row.begin(), row.end());
    result.offsets.push_back(result.targets.size());
  }
  return result;
}

RemoteRows::RemoteRows(const DistGraph& g, const Csr& rows, const std::vector<VertexId>& ids)
    : g_(g), own_(rows) {
  cluster::Machine& me = g.machine();
  std::vector<VertexId> wanted = ids;
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  cluster::Outbox out = me.outbox();
  for (VertexId v : wanted) {
    if (!g.owns(v)) out.to(g.owners().owner(v)).put(v);
  }
  const cluster::Inbox asked = me.exchange(std::move(out));
  out = me.outbox();
  for (int m = 0; m < me.machines(); ++m) {
    for (cluster::Reader reader = asked.from(m); !reader.empty();) {
      const auto v = reader.get<VertexId>();
      const auto row = rows.neighbours(g.local(v));
      auto& buffer = out.to(m);
      buffer.put(v);
      buffer.put_varint(row.size());
      VertexId before = 0;
      for (VertexId u : row) {
        buffer.put_varint(u - before);
        before = u;
      }
    }
  }
  const cluster::Inbox in = me.exchange(std::move(out));
  for (int m = 0; m < me.machines(); ++m) {
    for (cluster::Reader reader = in.from(m); !reader.empty();) {
      const auto v = reader.get<VertexId>();
      const std::uint64_t count = reader.get_varint();
      place_[v] = {targets_.size(), targets_.size() + count};
      VertexId u = 0;
      for (std::uint64_t i = 0; i < count; ++i)
        targets_.push_back(u += static_cast<VertexId>(reader.get_varint()));
    }
  }
}

std::span<const VertexId> RemoteRows::row(VertexId v) const {
  if (g_.owns(v)) return own_.neighbours(g_.local(v));
  const auto [begin, end] = place_.at(v);
  return {targets_.data() + begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace ballast::graph
