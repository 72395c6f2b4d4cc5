#include "ballast/dynamic/plan/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/dynamic/plan/pq_tree.h"
#include "ballast/dynamic/policy.h"

namespace ballast::dynamic {
namespace {

using Node = PqTree::Node;
using Kind = Node::Kind;
using Lanes = std::map<int, int>;  // variable: lane

struct List {
  std::vector<int> variables;
  std::size_t batch;
  std::int64_t bytes = 0;
  bool result = false, kept = true;
};

/// Lists that take part: distinct variables, two lanes or more. Results first in each batch.
std::vector<List> lists_of(const BlockBatches& block) {
  std::vector<List> lists;
  const auto add = [&](const std::vector<int>& variables, std::size_t batch, bool result) {
    List list{variables, batch, 0, result, true};
    if (variables.size() < 2 || std::set<int>(variables.begin(), variables.end()).size() != variables.size())
      return;
    for (const int v : variables)
      list.bytes += block.bytes.empty() ? 1 : block.bytes[static_cast<std::size_t>(v)];
    lists.push_back(std::move(list));
  };
  for (std::size_t b = 0; b < block.batches.size(); ++b) {
    add(block.batches[b].results, b, true);
    for (const auto& operand : block.batches[b].operands) add(operand, b, false);
  }
  return lists;
}

Lanes lanes_of(const List& list) {
  Lanes lanes;
  for (std::size_t l = 0; l < list.variables.size(); ++l) lanes[list.variables[l]] = static_cast<int>(l);
  return lanes;
}

/// Lanes of the leaves below a node, sorted; those that are not in the list are left out.
std::vector<int> lane_set(const Node& node, const Lanes& lanes) {
  std::vector<int> set;
  for (const int leaf : leaves_of(node)) {
    const auto found = lanes.find(leaf);
    if (found != lanes.end()) set.push_back(found->second);
  }
  std::sort(set.begin(), set.end());
  return set;
}

/// Children of a node that lie in the list.
std::vector<Node*> inside(Node& node, const Lanes& lanes) {
  std::vector<Node*> part;
  for (Node& child : node.children)
    if (!lane_set(child, lanes).empty()) part.push_back(&child);
  return part;
}

/// What the tree demands of the list's lanes: sets that must be consecutive.
void constraints(const Node& node, const Lanes& lanes, std::vector<std::vector<int>>& sets) {
  if (node.kind == Kind::leaf) return;
  if (node.kind == Kind::p) {
    sets.push_back(lane_set(node, lanes));
  } else {
    std::vector<std::vector<int>> parts;
    for (const Node& child : node.children) {
      auto part = lane_set(child, lanes);
      if (!part.empty()) parts.push_back(std::move(part));
    }
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      std::vector<int> both = parts[i];
      both.insert(both.end(), parts[i + 1].begin(), parts[i + 1].end());
      sets.push_back(std::move(both));
    }
  }
  for (const Node& child : node.children) constraints(child, lanes, sets);
}

/// Orientations that must be equal or opposite, and orders that must correspond.
class Alignment {
 public:
  /// Whether the subtrees of both lists can be brought to one lane order, with all that was agreed before.
  /// Commits.
  bool align(Node& a, const Lanes& la, Node& b, const Lanes& lb) {
    const auto parent = parent_;
    const auto parity = parity_;
    const auto orders = orders_;
    if (match(a, la, b, lb)) return true;
    parent_ = parent;
    parity_ = parity;
    orders_ = orders;
    return false;
  }

  void apply(Node& node) {
    for (Node& child : node.children) apply(child);
    if (node.kind == Kind::q && find(&node).second) std::reverse(node.children.begin(), node.children.end());
    if (node.kind == Kind::p && orders_.contains(&node)) {
      std::vector<Node> sorted;
      for (const Node* child : orders_[&node]) sorted.push_back(*child);
      node.children = std::move(sorted);
    }
  }

 private:
  std::pair<const Node*, bool> find(const Node* node) {
    bool flip = false;
    while (parent_.contains(node)) {
      flip ^= parity_[node];
      node = parent_[node];
    }
    return {node, flip};
  }
  bool unite(const Node* a, const Node* b, bool opposite) {
    const auto [ra, fa] = find(a);
    const auto [rb, fb] = find(b);
    if (ra == rb) return (fa != fb) == opposite;
    parent_[rb] = ra;
    parity_[rb] = (fa != fb) != opposite;
    return true;
  }

  bool match(Node& a, const Lanes& la, Node& b, const Lanes& lb) {
    if (lane_set(a, la) != lane_set(b, lb)) return false;
    if (a.kind == Kind::leaf && b.kind == Kind::leaf) return true;
    std::vector<Node*> ca = inside(a, la), cb = inside(b, lb);
    if (ca.size() == 1) return match(*ca[0], la, b, lb);
    if (cb.size() == 1) return match(a, la, *cb[0], lb);
    if (a.kind != b.kind || ca.size() != cb.size()) return false;
    const auto sets = [](const std::vector<Node*>& nodes, const Lanes& lanes) {
      std::vector<std::vector<int>> all;
      for (const Node* node : nodes) all.push_back(lane_set(*node, lanes));
      return all;
    };
    const auto sa = sets(ca, la);
    auto sb = sets(cb, lb);
    if (a.kind == Kind::q) {
      bool opposite = false;
      if (sa != sb) {
        std::reverse(sb.begin(), sb.end());
        std::reverse(cb.begin(), cb.end());
        opposite = true;
        if (sa != sb) return false;
      }
      if (!unite(&a, &b, opposite)) return false;
    } else {
      // One order for both: the first that was chosen holds.
      if (!orders_.contains(&a) && orders_.contains(&b)) return match(b, lb, a, la);
      if (!orders_.contains(&a)) orders_[&a] = {ca.begin(), ca.end()};
      std::vector<const Node*> wanted;
      for (const Node* child : orders_[&a]) {
        const auto found = std::find(sb.begin(), sb.end(), lane_set(*child, la));
        if (found == sb.end()) return false;
        wanted.push_back(cb[static_cast<std::size_t>(found - sb.begin())]);
      }
      if (orders_.contains(&b) && orders_[&b] != wanted) return false;
      orders_[&b] = wanted;
      std::vector<Node*> sorted;
      for (Node* child : ca) {
        const auto found = std::find(sb.begin(), sb.end(), lane_set(*child, la));
        if (found == sb.end()) return false;
        sorted.push_back(cb[static_cast<std::size_t>(found - sb.begin())]);
      }
      cb = std::move(sorted);
    }
    for (std::size_t i = 0; i < ca.size(); ++i)
      if (!match(*ca[i], la, *cb[i], lb)) return false;
    return true;
  }

  std::map<const Node*, const Node*> parent_;
  std::map<const Node*, bool> parity_;
  std::map<const Node*, std::vector<const Node*>> orders_;
};

void pairs_have_a_side(Node& node) {
  if (node.kind == Kind::p && node.children.size() == 2) node.kind = Kind::q;
  for (Node& child : node.children) pairs_have_a_side(child);
}

/// Adjacency of all kept lists, then what each list of a batch demands of the others, until nothing changes.
void restrict_tree(PqTree& tree, std::vector<List>& lists) {
  for (bool changed = true; changed;) {
    changed = false;
    for (const List& from : lists) {
      if (!from.kept) continue;
      std::vector<std::vector<int>> sets;
      constraints(tree.spanning(from.variables), lanes_of(from), sets);
      for (List& to : lists) {
        if (!to.kept || to.batch != from.batch || &to == &from) continue;
        for (const auto& set : sets) {
          std::vector<int> variables;
          for (const int lane : set) variables.push_back(to.variables[static_cast<std::size_t>(lane)]);
          const std::vector<int> before = tree.frontier();
          PqTree copy = tree;
          if (!tree.reduce(variables)) {
            to.kept = to.result;  // results stay; who cannot follow is copied
            changed = true;
            if (!to.result) break;
            continue;
          }
          changed |= !(tree.frontier() == before) || leaves_of(copy.root()).size() == 0;
        }
      }
    }
  }
}

}  // namespace

MemoryPlan count_copies(const BlockBatches& block, const std::vector<int>& order) {
  MemoryPlan plan;
  plan.order = order;
  std::vector<int> place(static_cast<std::size_t>(block.variables));
  for (std::size_t i = 0; i < order.size(); ++i)
    place[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
  const std::vector<List> lists = lists_of(block);
  for (std::size_t b = 0; b < block.batches.size(); ++b) {
    // Each list that is side by side asks for one lane order; the one worth most bytes is chosen.
    std::map<std::vector<int>, std::int64_t> worth;
    std::int64_t all = 0;
    int count = 0;
    std::map<std::vector<int>, int> votes;
    for (const List& list : lists) {
      if (list.batch != b) continue;
      ++plan.lists;
      ++count;
      all += list.bytes;
      std::vector<int> lane(list.variables.size());
      for (std::size_t l = 0; l < lane.size(); ++l) lane[l] = static_cast<int>(l);
      std::sort(lane.begin(), lane.end(), [&](int x, int y) {
        return place[static_cast<std::size_t>(list.variables[static_cast<std::size_t>(x)])] <
               place[static_cast<std::size_t>(list.variables[static_cast<std::size_t>(y)])];
      });
      bool beside = true;
      for (std::size_t l = 0; l + 1 < lane.size(); ++l)
        beside &= place[static_cast<std::size_t>(list.variables[static_cast<std::size_t>(lane[l + 1])])] ==
                  place[static_cast<std::size_t>(list.variables[static_cast<std::size_t>(lane[l])])] + 1;
      if (!beside) continue;
      worth[lane] += list.bytes;
      ++votes[lane];
    }
    const auto best = std::max_element(worth.begin(), worth.end(),
                                       [](const auto& x, const auto& y) { return x.second < y.second; });
    plan.copies += count - (best == worth.end() ? 0 : votes[best->first]);
    plan.copied_bytes += all - (best == worth.end() ? 0 : best->second);
  }
  return plan;
}

MemoryPlan declaration_plan(const BlockBatches& block) {
  std::vector<int> order(static_cast<std::size_t>(block.variables));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  return count_copies(block, order);
}

MemoryPlan plan_memory(const BlockBatches& block) {
  MemoryPlan best = declaration_plan(block);
  if (block.variables < 2) return best;
  PqTree tree(block.variables);
  std::vector<List> lists = lists_of(block);
  std::stable_sort(lists.begin(), lists.end(), [](const List& a, const List& b) {
    return a.result != b.result ? a.result : a.bytes > b.bytes;
  });
  for (List& list : lists) list.kept = tree.reduce(list.variables);
  restrict_tree(tree, lists);
  pairs_have_a_side(tree.root());
  Alignment alignment;
  for (List& first : lists) {
    if (!first.kept) continue;
    for (List& other : lists) {
      if (&other <= &first || !other.kept || other.batch != first.batch) continue;
      other.kept = alignment.align(const_cast<Node&>(tree.spanning(first.variables)), lanes_of(first),
                                   const_cast<Node&>(tree.spanning(other.variables)), lanes_of(other));
    }
  }
  alignment.apply(tree.root());
  const MemoryPlan planned = count_copies(block, tree.frontier());
  return planned.copied_bytes <= best.copied_bytes ? planned : best;
}

BlockBatches BlockBatches::from_json(const Json& json, const std::string& where) {
  const auto fail = [&](const std::string& problem) {
    return InvalidInput(fmt::format(
        R"({}: {}; accepted: {{"variables": n, "batches": [{{"results": [..], "operands": [[..], ..]}}], "bytes": [..] (optional)}})",
        where, problem));
  };
  BlockBatches block;
  try {
    block.variables = json.at("variables").get<int>();
    if (block.variables < 1 || block.variables > 100000)
      throw fail(fmt::format("{} variables", block.variables));
    std::vector<bool> made(static_cast<std::size_t>(block.variables), false);
    for (const Json& entry : json.at("batches")) {
      Batch batch{entry.at("results").get<std::vector<int>>(),
                  entry.value("operands", std::vector<std::vector<int>>())};
      const std::size_t number = block.batches.size();
      if (batch.results.empty()) throw fail(fmt::format("batch {} has no results", number));
      const auto check = [&](int v) {
        if (v < 0 || v >= block.variables) throw fail(fmt::format("batch {}: variable {}", number, v));
      };
      for (const int v : batch.results) {
        check(v);
        if (made[static_cast<std::size_t>(v)])
          throw fail(fmt::format("batch {}: variable {} is a result twice", number, v));
        made[static_cast<std::size_t>(v)] = true;
      }
      for (const auto& operand : batch.operands) {
        if (operand.size() != batch.results.size())
          throw fail(fmt::format("batch {}: an operand of {} lanes for {} results", number, operand.size(),
                                 batch.results.size()));
        for (const int v : operand) check(v);
      }
      block.batches.push_back(std::move(batch));
    }
    block.bytes = json.value("bytes", std::vector<std::int64_t>());
    if (!block.bytes.empty() && block.bytes.size() != static_cast<std::size_t>(block.variables))
      throw fail("bytes must name every variable");
  } catch (const Json::exception&) {
    throw fail("no layout problem");
  }
  return block;
}

BlockBatches batches_of(const Cell& cell, const std::string& policy) {
  // Views take no batch: who reads one reads what it shows, which is a variable only if the view is the
  // whole.
  std::vector<int> variable(cell.nodes.size(), -1);
  std::vector<std::string> types;
  std::vector<std::size_t> nodes;
  std::map<std::string, TypeId> type_ids;
  std::vector<TypeId> type_of;
  for (std::size_t i = 0; i < cell.nodes.size(); ++i) {
    const Cell::Node& node = cell.nodes[i];
    if (is_view(node.op.kind)) continue;
    std::string key = to_string(node.op) + to_string(node.shape);
    for (const int arg : node.args) key += to_string(cell.shape_of_arg(arg));
    const auto [at, fresh] = type_ids.try_emplace(key, static_cast<TypeId>(types.size()));
    if (fresh) types.push_back(key);
    variable[i] = static_cast<int>(nodes.size());
    nodes.push_back(i);
    type_of.push_back(at->second);
  }
  BlockBatches block;
  block.variables = static_cast<int>(nodes.size());
  if (nodes.empty()) return block;
  Graph graph(types);
  std::vector<NodeId> reads;
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    reads.clear();
    std::vector<int> open = cell.nodes[nodes[n]].args;
    while (!open.empty()) {
      const int arg = open.back();
      open.pop_back();
      if (arg < 0) continue;
      const auto a = static_cast<std::size_t>(arg);
      if (variable[a] >= 0)
        reads.push_back(static_cast<NodeId>(variable[a]));
      else
        open.insert(open.end(), cell.nodes[a].args.begin(), cell.nodes[a].args.end());
    }
    graph.add(type_of[n], reads);
    block.bytes.push_back(volume(cell.nodes[nodes[n]].shape) * 4);
  }
  const Structure structure(graph);
  for (const Batch& batch : schedule_by_name(structure, policy)) {
    BlockBatches::Batch out;
    for (const NodeId n : batch.nodes) out.results.push_back(static_cast<int>(n));
    const std::size_t operands = cell.nodes[nodes[batch.nodes[0]]].args.size();
    for (std::size_t o = 0; o < operands; ++o) {
      std::vector<int> list;
      for (const NodeId n : batch.nodes) {
        const int arg = o < cell.nodes[nodes[n]].args.size() ? cell.nodes[nodes[n]].args[o] : -1;
        if (arg >= 0 && variable[static_cast<std::size_t>(arg)] >= 0)
          list.push_back(variable[static_cast<std::size_t>(arg)]);
      }
      if (list.size() == batch.nodes.size()) out.operands.push_back(std::move(list));
    }
    block.batches.push_back(std::move(out));
  }
  return block;
}

}  // namespace ballast::dynamic
