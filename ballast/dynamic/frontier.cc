#include "ballast/dynamic/frontier.h"

#include <algorithm>

#include "ballast/base/errors.h"

namespace ballast::dynamic {

Structure::Structure(const Graph& g, bool own_frontiers)
    : graph(g),
      consumers(g.consumers()),
      depth(g.depths()),
      next_same_type(g.size()),
      nearest_same_type(g.size(), 0),
      lower_bound(own_frontiers ? dynamic::lower_bound(g) : 0) {
  if (!own_frontiers) return;
  // Backwards from every node, stopping at nodes of its type. `seen` holds the last start that met a node.
  std::vector<NodeId> seen(g.size(), static_cast<NodeId>(-1)), open;
  // A type that never meets itself needs no search.
  std::vector<NodeId> first_of_type(g.types().size(), static_cast<NodeId>(-1));
  for (NodeId node = 0; node < g.size(); ++node) {
    const TypeId type = g.type(node);
    if (first_of_type[type] == static_cast<NodeId>(-1)) {
      first_of_type[type] = node;
      continue;
    }
    open.assign(g.arguments(node).begin(), g.arguments(node).end());
    while (!open.empty()) {
      const NodeId at = open.back();
      open.pop_back();
      if (seen[at] == node || at < first_of_type[type]) continue;
      seen[at] = node;
      if (g.type(at) == type) {
        next_same_type[at].push_back(node);
        ++nearest_same_type[node];
      } else {
        open.insert(open.end(), g.arguments(at).begin(), g.arguments(at).end());
      }
    }
  }
}

Frontier::Frontier(const Structure& structure)
    : structure_(structure),
      missing_(structure.graph.size()),
      own_missing_(structure.nearest_same_type),
      ready_(structure.graph.types().size()),
      own_ready_(ready_.size(), 0),
      remaining_(ready_.size(), 0),
      depth_sum_(ready_.size(), 0),
      left_(structure.graph.size()) {
  const Graph& graph = structure.graph;
  for (NodeId node = 0; node < graph.size(); ++node) {
    const TypeId type = graph.type(node);
    missing_[node] = static_cast<std::uint32_t>(graph.arguments(node).size());
    if (missing_[node] == 0) ready_[type].push_back(node);
    if (own_missing_[node] == 0) ++own_ready_[type];
    ++remaining_[type];
    depth_sum_[type] += structure.depth[node];
  }
}

void Frontier::finish(NodeId node) {
  const Graph& graph = structure_.graph;
  const TypeId type = graph.type(node);
  --left_;
  --remaining_[type];
  --own_ready_[type];
  depth_sum_[type] -= structure_.depth[node];
  for (NodeId reader : structure_.consumers[node]) {
    if (--missing_[reader] == 0) ready_[graph.type(reader)].push_back(reader);
  }
  for (NodeId next : structure_.next_same_type[node]) {
    if (--own_missing_[next] == 0) ++own_ready_[type];
  }
}

std::vector<NodeId> Frontier::run(TypeId type) {
  std::vector<NodeId> batch;
  batch.swap(ready_[type]);
  BALLAST_CHECK(!batch.empty());
  std::sort(batch.begin(), batch.end());
  for (NodeId node : batch) finish(node);
  return batch;
}

void Frontier::run(const std::vector<NodeId>& nodes) {
  for (NodeId node : nodes) {
    auto& ready = ready_[structure_.graph.type(node)];
    const auto at = std::find(ready.begin(), ready.end(), node);
    BALLAST_CHECK(at != ready.end(), "a node ran before its arguments");
    ready.erase(at);
    finish(node);
  }
}

}  // namespace ballast::dynamic
