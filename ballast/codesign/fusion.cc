#include "ballast/codesign/fusion.h"

#include <algorithm>
#include <functional>
#include <set>

namespace ballast::codesign {
namespace {

/// The graph with quick look-ups; nodes that were absorbed are marked and swept at the end.
class Rewriter {
 public:
  explicit Rewriter(Graph& graph) : graph_(graph), gone_(graph.nodes.size(), false) { index(); }

  std::size_t size() const { return graph_.nodes.size(); }
  Node& node(int n) { return graph_.nodes[static_cast<std::size_t>(n)]; }
  bool gone(int n) const { return gone_[static_cast<std::size_t>(n)]; }
  bool constant(TensorId t) const { return graph_.tensors[static_cast<std::size_t>(t)].constant; }
  int producer(TensorId t) const { return producer_[static_cast<std::size_t>(t)]; }
  const std::vector<int>& readers(TensorId t) const { return readers_[static_cast<std::size_t>(t)]; }
  bool is_output(TensorId t) const {
    return std::find(graph_.outputs.begin(), graph_.outputs.end(), t) != graph_.outputs.end();
  }

  /// Inputs of a node that are not constant.
  std::vector<TensorId> varying(int n) {
    std::vector<TensorId> found;
    for (TensorId t : node(n).inputs) {
      if (!constant(t)) found.push_back(t);
    }
    return found;
  }

  /// The one node that may absorb the reader of `t`: its producer, if nobody else reads `t`.
  int sole_producer(TensorId t) { return readers(t).size() == 1 && !is_output(t) ? producer(t) : -1; }

  /// `absorbed` disappears; `host` now writes its output.
  void absorb(int host, int absorbed) {
    node(host).fused.push_back(node(absorbed).name);
    node(host).fused.insert(node(host).fused.end(), node(absorbed).fused.begin(), node(absorbed).fused.end());
    node(host).outputs = node(absorbed).outputs;
    gone_[static_cast<std::size_t>(absorbed)] = true;
    index();
  }

  void drop(int n) {
    gone_[static_cast<std::size_t>(n)] = true;
    index();
  }

  void sweep() {
    std::vector<Node> kept;
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (!gone_[n]) kept.push_back(std::move(graph_.nodes[n]));
    }
    graph_.nodes = std::move(kept);
    graph_.count();
    graph_.validate();
  }

 private:
  void index() {
    producer_.assign(graph_.tensors.size(), -1);
    readers_.assign(graph_.tensors.size(), {});
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (gone_[n]) continue;
      for (TensorId t : graph_.nodes[n].outputs) producer_[static_cast<std::size_t>(t)] = static_cast<int>(n);
      for (TensorId t : std::set<TensorId>(graph_.nodes[n].inputs.begin(), graph_.nodes[n].inputs.end())) {
        readers_[static_cast<std::size_t>(t)].push_back(static_cast<int>(n));
      }
    }
  }

  Graph& graph_;
  std::vector<bool> gone_;
  std::vector<int> producer_;
  std::vector<std::vector<int>> readers_;
};

bool computes(const Node& node) {
  return node.op == Op::conv || node.op == Op::depthwise_conv || node.op == Op::group_conv ||
         node.op == Op::conv_transpose || node.op == Op::linear || node.op == Op::matmul_dynamic;
}

bool cheap(const Node& node) {
  return node.op == Op::elementwise || node.op == Op::activation;
}

// LayerNorm: d = s / sqrt(mean(s^2) + eps) with s = x - mean(x); everything but d's node is dropped.
bool match_layer_norm(Rewriter& r, int divide) {
  Node& d = r.node(divide);
  if (d.source_op != "Div" || d.inputs.size() != 2) return false;
  const TensorId s = d.inputs[0];
  const int subtract = r.producer(s);
  if (subtract < 0 || r.node(subtract).source_op != "Sub") return false;
  const TensorId x = r.node(subtract).inputs[0];
  const int mean = r.producer(r.node(subtract).inputs.at(1));
  if (mean < 0 || r.node(mean).source_op != "ReduceMean" || r.node(mean).inputs[0] != x) return false;
  // From the divisor back to s, through operators with one varying input each.
  std::vector<int> chain;
  int at = r.producer(d.inputs[1]);
  while (at >= 0 && chain.size() < 6) {
    chain.push_back(at);
    const auto from = r.varying(at);
    if (std::set<TensorId>(from.begin(), from.end()).size() != 1) return false;
    if (from[0] == s) break;
    at = r.producer(from[0]);
  }
  if (chain.empty() || at < 0) return false;
  const bool has_root =
      std::any_of(chain.begin(), chain.end(), [&](int n) { return r.node(n).source_op == "Sqrt"; });
  if (!has_root) return false;
  d.op = Op::layer_norm;
  d.inputs = {x};
  for (int n : chain) d.fused.push_back(r.node(n).name);
  d.fused.push_back(r.node(subtract).name);
  d.fused.push_back(r.node(mean).name);
  for (int n : chain) r.drop(n);
  r.drop(subtract);
  r.drop(mean);
  return true;
}

// y = x * f(x) * constants..., f a chain of cheap operators that nobody else reads: one activation of x.
bool match_gate(Rewriter& r, int multiply) {
  Node& m = r.node(multiply);
  if (m.source_op != "Mul" || m.inputs.size() != 2 || r.constant(m.inputs[0]) || r.constant(m.inputs[1]))
    return false;
  for (int side : {0, 1}) {
    const TensorId x = m.inputs[static_cast<std::size_t>(side)];
    std::vector<int> chain;
    TensorId at = m.inputs[static_cast<std::size_t>(1 - side)];
    while (at != x && chain.size() < 6) {
      const int n = r.sole_producer(at);
      if (n < 0 || !cheap(r.node(n))) break;
      const auto from = r.varying(n);
      if (from.size() != 1) break;
      chain.push_back(n);
      at = from[0];
    }
    if (at != x || chain.empty()) continue;
    m.op = Op::activation;
    m.source_op = "Gate";
    m.inputs = {x};
    for (int n : chain) m.fused.push_back(r.node(n).name);
    for (int n : chain) r.drop(n);
    return true;
  }
  return false;
}

}  // namespace

FusionReport fuse(Graph& graph, const FusionRules& rules) {
  FusionReport report;
  report.before = static_cast<int>(graph.nodes.size());
  Rewriter r(graph);
  const auto for_each = [&](const std::function<void(int)>& visit) {
    for (int n = 0; n < static_cast<int>(r.size()); ++n) {
      if (!r.gone(n)) visit(n);
    }
  };
  if (rules.layer_norm) for_each([&](int n) { report.layer_norms += match_layer_norm(r, n) ? 1 : 0; });
  if (rules.gates) for_each([&](int n) { report.gates += match_gate(r, n) ? 1 : 0; });
  for_each([&](int n) {
    const Node& node = r.node(n);
    const auto from = r.varying(n);
    if (from.size() != 1) return;
    const int host = r.sole_producer(from[0]);
    if (host < 0) return;
    Node& before = r.node(host);
    if (node.op == Op::batch_norm) {
      if (!rules.batch_norm || !computes(before) || !before.activation.empty()) return;
      ++report.batch_norm;
      r.absorb(host, n);
    } else if (node.op == Op::elementwise && (node.source_op == "Add" || node.source_op == "Mul" ||
                                              node.source_op == "Sub" || node.source_op == "Div")) {
      // Bias and scale go into the weights; behind an activation or a norm they go into its table or gain.
      if (!rules.constants ||
          !(computes(before) || before.op == Op::layer_norm || before.op == Op::activation))
        return;
      ++report.constants;
      r.absorb(host, n);
    } else if (node.op == Op::activation) {
      if (!rules.activation || !before.activation.empty() || before.op == Op::activation ||
          before.op == Op::reshape)
        return;
      before.activation = node.source_op;
      ++report.activations;
      r.absorb(host, n);
    }
  });
  r.sweep();
  report.after = static_cast<int>(graph.nodes.size());
  return report;
}

}  // namespace ballast::codesign
