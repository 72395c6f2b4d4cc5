#include "ballast/dynamic/plan/pq_tree.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "ballast/base/errors.h"

namespace ballast::dynamic {
namespace {

using Node = PqTree::Node;
using Kind = Node::Kind;
enum class Label : std::uint8_t { empty, partial, full };

int count_full(const Node& node, const std::vector<bool>& in) {
  if (node.kind == Kind::leaf) return in[static_cast<std::size_t>(node.leaf)] ? 1 : 0;
  int sum = 0;
  for (const Node& child : node.children) sum += count_full(child, in);
  return sum;
}
int count_leaves(const Node& node) {
  if (node.kind == Kind::leaf) return 1;
  int sum = 0;
  for (const Node& child : node.children) sum += count_leaves(child);
  return sum;
}
Label label(const Node& node, const std::vector<bool>& in) {
  const int full = count_full(node, in);
  return full == 0 ? Label::empty : full == count_leaves(node) ? Label::full : Label::partial;
}

/// One node over these; nothing for none.
std::vector<Node> grouped(std::vector<Node> nodes) {
  if (nodes.size() < 2) return nodes;
  return {Node{Kind::p, -1, std::move(nodes)}};
}
void append(std::vector<Node>& to, std::vector<Node> from) {
  for (Node& node : from) to.push_back(std::move(node));
}

class Reduction {
 public:
  explicit Reduction(const std::vector<bool>& in) : in_(in) {}

  /// A partial node as a row of nodes, the empty ones left of the full ones (templates P3, P5, Q2).
  std::optional<std::vector<Node>> linear(const Node& node) const {
    const Label own = label(node, in_);
    if (own != Label::partial) return std::vector<Node>{node};
    std::vector<Node> row;
    if (node.kind == Kind::p) {
      std::vector<Node> empty, full;
      const Node* partial = nullptr;
      if (!sort(node, empty, full, partial, nullptr)) return std::nullopt;
      append(row, grouped(std::move(empty)));
      if (partial != nullptr) {
        auto middle = linear(*partial);
        if (!middle) return std::nullopt;
        append(row, std::move(*middle));
      }
      append(row, grouped(std::move(full)));
      return row;
    }
    std::vector<Node> children = node.children;
    const auto rank = [&](const Node& n) { return static_cast<int>(label(n, in_)); };
    if (rank(children.front()) > rank(children.back())) std::reverse(children.begin(), children.end());
    int last = 0, partials = 0;
    for (const Node& child : children) {
      const int here = rank(child);
      partials += here == static_cast<int>(Label::partial) ? 1 : 0;
      if (here < last || partials > 1) return std::nullopt;
      last = here;
      auto part = linear(child);
      if (!part) return std::nullopt;
      append(row, std::move(*part));
    }
    return row;
  }

  /// The node that spans the set (templates P2, P4, P6, Q2, Q3), or one above it.
  bool root(Node& node) const {
    if (label(node, in_) == Label::full) return true;  // P1, Q1, L1
    for (Node& child : node.children) {
      if (count_full(child, in_) == total()) return root(child);
    }
    if (node.kind == Kind::p) {
      std::vector<Node> empty, full;
      const Node *first = nullptr, *second = nullptr;
      if (!sort(node, empty, full, first, &second)) return false;
      std::vector<Node> together = grouped(std::move(full));
      if (first != nullptr) {
        std::vector<Node> row;
        auto left = linear(*first);
        if (!left) return false;
        append(row, std::move(*left));
        append(row, std::move(together));
        if (second != nullptr) {
          auto right = linear(*second);
          if (!right) return false;
          std::reverse(right->begin(), right->end());
          append(row, std::move(*right));
        }
        together = {Node{Kind::q, -1, std::move(row)}};
        if (together[0].children.size() == 2) together[0].kind = Kind::p;
      }
      append(empty, std::move(together));
      if (empty.size() == 1) {
        Node only = std::move(empty[0]);
        node = std::move(only);
      } else {
        node = Node{Kind::p, -1, std::move(empty)};
      }
      return true;
    }
    // A Q-node: empty*, partial?, full*, partial?, empty*.
    std::vector<Node> row;
    int stage = 0;  // before, inside, behind
    for (const Node& child : node.children) {
      const Label own = label(child, in_);
      if (own == Label::empty) {
        if (stage == 1) stage = 2;
        row.push_back(child);
        continue;
      }
      if (stage == 2) return false;
      auto part = linear(child);
      if (!part) return false;
      if (own == Label::partial) {
        if (stage == 1) {
          std::reverse(part->begin(), part->end());
          stage = 2;
        } else {
          stage = 1;
        }
      } else {
        stage = 1;
      }
      append(row, std::move(*part));
    }
    node.children = std::move(row);
    return true;
  }

 private:
  int total() const { return static_cast<int>(std::count(in_.begin(), in_.end(), true)); }
  bool sort(const Node& node, std::vector<Node>& empty, std::vector<Node>& full, const Node*& first,
            const Node** second) const {
    for (const Node& child : node.children) {
      const Label own = label(child, in_);
      if (own == Label::empty)
        empty.push_back(child);
      else if (own == Label::full)
        full.push_back(child);
      else if (first == nullptr)
        first = &child;
      else if (second != nullptr && *second == nullptr)
        *second = &child;
      else
        return false;
    }
    return true;
  }
  const std::vector<bool>& in_;
};

}  // namespace

PqTree::PqTree(int count) : count_(count) {
  BALLAST_CHECK(count > 0);
  if (count == 1) {
    root_ = {Kind::leaf, 0, {}};
    return;
  }
  root_.kind = count == 1 ? Kind::leaf : Kind::p;
  for (int i = 0; i < count; ++i) root_.children.push_back({Kind::leaf, i, {}});
}

bool PqTree::reduce(const std::vector<int>& set) {
  std::vector<bool> in(static_cast<std::size_t>(count_), false);
  for (const int leaf : set) in[static_cast<std::size_t>(leaf)] = true;
  if (std::count(in.begin(), in.end(), true) < 2) return true;
  Node copy = root_;
  if (!Reduction(in).root(copy)) return false;
  root_ = std::move(copy);
  return true;
}

std::vector<int> leaves_of(const PqTree::Node& node) {
  if (node.kind == Kind::leaf) return {node.leaf};
  std::vector<int> all;
  for (const Node& child : node.children) {
    const std::vector<int> part = leaves_of(child);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::vector<int> PqTree::frontier() const {
  return leaves_of(root_);
}

const PqTree::Node& PqTree::spanning(const std::vector<int>& set) const {
  std::vector<bool> in(static_cast<std::size_t>(count_), false);
  for (const int leaf : set) in[static_cast<std::size_t>(leaf)] = true;
  const int total = static_cast<int>(std::count(in.begin(), in.end(), true));
  const Node* at = &root_;
  for (bool deeper = true; deeper;) {
    deeper = false;
    for (const Node& child : at->children) {
      if (count_full(child, in) != total) continue;
      at = &child;
      deeper = true;
      break;
    }
  }
  return *at;
}

std::vector<std::vector<int>> all_orders(const PqTree& tree) {
  BALLAST_CHECK(tree.size() <= 9);
  const std::function<std::set<std::vector<int>>(const Node&)> orders =
      [&](const Node& node) -> std::set<std::vector<int>> {
    if (node.kind == Kind::leaf) return {{node.leaf}};
    std::vector<std::set<std::vector<int>>> parts;
    for (const Node& child : node.children) parts.push_back(orders(child));
    std::vector<std::size_t> order(parts.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::set<std::vector<int>> all;
    const auto add = [&] {
      std::set<std::vector<int>> rows{{}};
      for (const std::size_t i : order) {
        std::set<std::vector<int>> longer;
        for (const auto& row : rows)
          for (const auto& part : parts[i]) {
            std::vector<int> both = row;
            both.insert(both.end(), part.begin(), part.end());
            longer.insert(both);
          }
        rows = std::move(longer);
      }
      all.insert(rows.begin(), rows.end());
    };
    if (node.kind == Kind::q) {
      add();
      std::reverse(order.begin(), order.end());
      add();
    } else {
      do add();
      while (std::next_permutation(order.begin(), order.end()));
    }
    return all;
  };
  const auto all = orders(tree.root());
  return {all.begin(), all.end()};
}

}  // namespace ballast::dynamic
