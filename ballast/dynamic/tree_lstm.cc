#include "ballast/dynamic/tree_lstm.h"

#include <array>
#include <chrono>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/loop/batched.h"

namespace ballast::dynamic {
namespace {

using loop::Access;
using loop::LaneProgram;

enum : TypeId { kLeaf, kInternal, kClassifier };

/// A weight matrix [rows][columns] and a bias [rows].
struct Layer {
  std::int64_t rows, columns;
  std::vector<float> weight, bias;

  Layer(std::int64_t r, std::int64_t c, std::uint64_t seed, std::uint64_t stream) : rows(r), columns(c) {
    Random random(seed, stream);
    const double bound = 1 / std::sqrt(static_cast<double>(c));
    for (std::int64_t i = 0; i < r * c; ++i)
      weight.push_back(static_cast<float>(random.uniform(-bound, bound)));
    for (std::int64_t i = 0; i < r; ++i) bias.push_back(static_cast<float>(random.uniform(-bound, bound)));
  }
};

// Adjacent results of one launch: lanes of one variable lie side by side, 64-byte aligned blocks that are
// reused run by run.
class Arena {
 public:
  float* take(std::size_t floats) {
    floats = (floats + 15) / 16 * 16;
    while (block_ < blocks_.size() && used_ + floats > blocks_[block_].size() - 16) {
      ++block_;
      used_ = 0;
    }
    if (block_ == blocks_.size())
      blocks_.emplace_back(std::max<std::size_t>(floats, std::size_t{1} << 20) + 16);
    auto& block = blocks_[block_];
    const auto base = reinterpret_cast<std::uintptr_t>(block.data());
    float* first = reinterpret_cast<float*>((base + 63) / 64 * 64) + used_;
    used_ += floats;
    return first;
  }
  void reset() { block_ = used_ = 0; }

 private:
  std::vector<std::vector<float>> blocks_;
  std::size_t block_ = 0, used_ = 0;
};

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

}  // namespace

TreeBatch::TreeBatch(const std::vector<Tree>& trees) : graph_({"leaf", "internal", "classifier"}) {
  std::vector<NodeId> ids;
  for (const Tree& tree : trees) {
    ids.clear();
    for (const auto& node : tree.nodes) {
      if (node.left < 0) {
        ids.push_back(graph_.add(kLeaf, {}));
        words_.push_back(node.word);
        continue;
      }
      ids.push_back(graph_.add(
          kInternal, {ids[static_cast<std::size_t>(node.left)], ids[static_cast<std::size_t>(node.right)]}));
      words_.push_back(-1);
      outputs_.push_back(graph_.add(kClassifier, {ids.back()}));
      words_.push_back(-1);
    }
  }
}

struct TreeLstm::State {
  State(const TreeLstmConfig& config, std::uint64_t seed)
      : leaf(3 * config.hidden, config.embedding, seed, 1),
        internal(5 * config.hidden, 2 * config.hidden, seed, 2),
        classifier(config.classes, config.hidden, seed, 3),
        launcher(config.threads) {
    Random random(seed, 4);
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(config.vocabulary) * config.embedding; ++i) {
      embedding.push_back(static_cast<float>(random.uniform(-0.5, 0.5)));
    }
    const std::int64_t h = config.hidden, e = config.embedding;
    const auto gate = [](LaneProgram& p, LaneProgram::Value all, std::int64_t from, std::int64_t to) {
      return p.slice(all, -1, from, to);
    };
    {
      LaneProgram p("tree_lstm_leaf");
      const auto x = p.input("x", {e}, Access::PtrTable);
      const auto w = p.input("w", {3 * h, e}, Access::Shared), b = p.input("b", {3 * h}, Access::Shared);
      const auto iou = p.affine(x, w, b);
      const auto c = p.map([](auto a) { return loop::sigmoid(a[0]) * loop::tanh(a[1]); },
                           {gate(p, iou, 0, h), gate(p, iou, 2 * h, 3 * h)});
      p.output("c", c);
      p.output("h", p.map([](auto a) { return loop::sigmoid(a[0]) * loop::tanh(a[1]); },
                          {gate(p, iou, h, 2 * h), c}));
      kernels[kLeaf] = registry.get(p.build());
    }
    {
      LaneProgram p("tree_lstm_internal");
      const auto hl = p.input("h_left", {h}, Access::PtrTable),
                 hr = p.input("h_right", {h}, Access::PtrTable);
      const auto cl = p.input("c_left", {h}, Access::PtrTable),
                 cr = p.input("c_right", {h}, Access::PtrTable);
      const auto w = p.input("w", {5 * h, 2 * h}, Access::Shared), b = p.input("b", {5 * h}, Access::Shared);
      const auto all = p.affine(p.concat({hl, hr}), w, b);
      const auto c = p.map(
          [](auto a) {
            return loop::sigmoid(a[0]) * loop::tanh(a[1]) + loop::sigmoid(a[2]) * a[3] +
                   loop::sigmoid(a[4]) * a[5];
          },
          {gate(p, all, 0, h), gate(p, all, 2 * h, 3 * h), gate(p, all, 3 * h, 4 * h), cl,
           gate(p, all, 4 * h, 5 * h), cr});
      p.output("c", c);
      p.output("h", p.map([](auto a) { return loop::sigmoid(a[0]) * loop::tanh(a[1]); },
                          {gate(p, all, h, 2 * h), c}));
      kernels[kInternal] = registry.get(p.build());
    }
    {
      LaneProgram p("tree_lstm_classifier");
      const auto x = p.input("h", {h}, Access::PtrTable);
      const auto w = p.input("w", {config.classes, h}, Access::Shared),
                 b = p.input("b", {config.classes}, Access::Shared);
      p.output("logits", p.affine(x, w, b));
      kernels[kClassifier] = registry.get(p.build());
    }
  }

  Layer leaf, internal, classifier;
  std::vector<float> embedding;
  loop::KernelRegistry registry;
  loop::Launcher launcher;
  std::array<std::shared_ptr<const loop::CompiledKernel>, 3> kernels;
  Arena arena;
};

TreeLstm::TreeLstm(const TreeLstmConfig& config, std::uint64_t seed) : config_(config) {
  if (config.hidden < 1 || config.embedding < 1 || config.classes < 1 || config.threads < 1) {
    throw InvalidInput("a TreeLSTM needs hidden, embedding, classes and threads of at least 1");
  }
  state_ = std::make_unique<State>(config_, seed);
}
TreeLstm::~TreeLstm() = default;

RunResult TreeLstm::run(const TreeBatch& batch, const Schedule& schedule) {
  using Clock = std::chrono::steady_clock;
  State& s = *state_;
  const auto begin = Clock::now();
  const Graph& graph = batch.graph();
  const auto h = static_cast<std::size_t>(config_.hidden);
  s.arena.reset();
  std::vector<float*> c_of(graph.size()), h_of(graph.size());
  std::array<std::vector<void*>, 4> pointers;
  RunResult result;
  double kernels = 0;
  for (const Batch& step : schedule) {
    const std::size_t lanes = step.nodes.size();
    for (auto& list : pointers) list.clear();
    float* first = nullptr;
    float* second = nullptr;
    std::vector<void*> buffers;
    if (step.type == kLeaf) {
      for (NodeId node : step.nodes) {
        pointers[0].push_back(s.embedding.data() + static_cast<std::size_t>(batch.word(node)) *
                                                       static_cast<std::size_t>(config_.embedding));
      }
      buffers = {pointers[0].data(), s.leaf.weight.data(), s.leaf.bias.data()};
    } else if (step.type == kInternal) {
      for (NodeId node : step.nodes) {
        const auto children = graph.arguments(node);
        pointers[0].push_back(h_of[children[0]]);
        pointers[1].push_back(h_of[children[1]]);
        pointers[2].push_back(c_of[children[0]]);
        pointers[3].push_back(c_of[children[1]]);
      }
      buffers = {pointers[0].data(), pointers[1].data(),       pointers[2].data(),
                 pointers[3].data(), s.internal.weight.data(), s.internal.bias.data()};
    } else {
      for (NodeId node : step.nodes) pointers[0].push_back(h_of[graph.arguments(node)[0]]);
      buffers = {pointers[0].data(), s.classifier.weight.data(), s.classifier.bias.data()};
    }
    const std::size_t width = step.type == kClassifier ? static_cast<std::size_t>(config_.classes) : h;
    first = s.arena.take(lanes * width);
    buffers.push_back(first);
    if (step.type != kClassifier) {
      second = s.arena.take(lanes * h);
      buffers.push_back(second);
    }
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      (step.type == kClassifier ? h_of : c_of)[step.nodes[lane]] = first + lane * width;
      if (second != nullptr) h_of[step.nodes[lane]] = second + lane * h;
    }
    const auto count = static_cast<std::int64_t>(lanes);
    const loop::KernelFrame frame{.buffers = buffers.data(), .scalars = &count};
    const auto start = Clock::now();
    s.launcher.run(*s.kernels[step.type], frame);
    kernels += std::chrono::duration<double>(Clock::now() - start).count();
  }
  for (NodeId node : batch.outputs())
    result.logits.insert(result.logits.end(), h_of[node], h_of[node] + config_.classes);
  result.batches = schedule.size();
  result.nodes = graph.size();
  result.kernel_seconds = kernels;
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return result;
}

std::vector<double> TreeLstm::reference(const TreeBatch& batch) const {
  const State& s = *state_;
  const Graph& graph = batch.graph();
  const auto h = static_cast<std::size_t>(config_.hidden);
  std::vector<std::vector<double>> c_of(graph.size()), h_of(graph.size());
  const auto affine = [](const Layer& layer, const std::vector<double>& x) {
    std::vector<double> y;
    for (std::int64_t r = 0; r < layer.rows; ++r) {
      double sum = layer.bias[static_cast<std::size_t>(r)];
      for (std::int64_t k = 0; k < layer.columns; ++k) {
        sum += static_cast<double>(layer.weight[static_cast<std::size_t>(r * layer.columns + k)]) *
               x[static_cast<std::size_t>(k)];
      }
      y.push_back(sum);
    }
    return y;
  };
  std::vector<double> logits;
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (graph.type(node) == kClassifier) {
      const auto y = affine(s.classifier, h_of[graph.arguments(node)[0]]);
      logits.insert(logits.end(), y.begin(), y.end());
      continue;
    }
    std::vector<double> gates, c(h), out(h);
    if (graph.type(node) == kLeaf) {
      const float* x = s.embedding.data() + static_cast<std::size_t>(batch.word(node)) *
                                                static_cast<std::size_t>(config_.embedding);
      gates = affine(s.leaf, std::vector<double>(x, x + config_.embedding));
    } else {
      const NodeId left = graph.arguments(node)[0], right = graph.arguments(node)[1];
      std::vector<double> both = h_of[left];
      both.insert(both.end(), h_of[right].begin(), h_of[right].end());
      gates = affine(s.internal, both);
      for (std::size_t i = 0; i < h; ++i)
        c[i] = sigmoid(gates[3 * h + i]) * c_of[left][i] + sigmoid(gates[4 * h + i]) * c_of[right][i];
    }
    for (std::size_t i = 0; i < h; ++i) {
      c[i] += sigmoid(gates[i]) * std::tanh(gates[2 * h + i]);
      out[i] = sigmoid(gates[h + i]) * std::tanh(c[i]);
    }
    c_of[node] = c;
    h_of[node] = out;
  }
  return logits;
}

}  // namespace ballast::dynamic
