#include "ballast/dynamic/peers/torch_models.h"

#ifdef BALLAST_HAVE_TORCH

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace ballast::dynamic {
namespace {

using at::Tensor;
using State = std::pair<Tensor, Tensor>;  // hidden, cell

class Model : public TorchPeer {
 public:
  Model(const Module& module, const Parameters& parameters, const std::vector<Instance>& batch)
      : batch_(batch) {
    at::set_num_threads(1);
    for (const ParamDecl& p : module.params) {
      const std::vector<float>& values = parameters.at(p.name);
      w_[p.name] = at::from_blob(const_cast<float*>(values.data()), p.type->shape, at::kFloat).clone();
    }
    hidden_ = module.constants.at("H");
    zero_ = at::zeros({1, hidden_}, at::kFloat);
  }
  std::vector<float> run() final {
    const c10::InferenceMode guard;
    const Tensor all = scores().contiguous();
    return {all.data_ptr<float>(), all.data_ptr<float>() + all.numel()};
  }

 protected:
  virtual Tensor scores() = 0;
  const Tensor& w(const std::string& name) const { return w_.at(name); }
  Tensor stacked(const std::vector<std::string>& names) const {
    std::vector<Tensor> parts;
    for (const std::string& name : names) parts.push_back(w(name));
    return at::cat(parts, 0).contiguous();
  }
  Tensor word(std::int64_t number) const { return w("E").narrow(0, number, 1); }
  Tensor score(const Tensor& x) const { return at::linear(x, w("Wc"), w("bc")); }
  /// Gates i, o, u, f of width H.
  State lstm(const Tensor& gates, const Tensor& cell) const {
    const auto g = gates.chunk(4, 1);
    const Tensor next = at::sigmoid(g[0]).mul_(at::tanh(g[2])).add_(at::sigmoid(g[3]).mul_(cell));
    return {at::sigmoid(g[1]).mul_(at::tanh(next)), next};
  }
  static Tensor indices(const std::vector<std::int64_t>& list) {
    return at::from_blob(const_cast<std::int64_t*>(list.data()), {static_cast<std::int64_t>(list.size())},
                         at::kLong)
        .clone();
  }

  const std::vector<Instance>& batch_;
  std::map<std::string, Tensor> w_;
  std::int64_t hidden_ = 0;
  Tensor zero_;
};

class TreeLstmModel : public Model {
 public:
  TreeLstmModel(const Module& module, const Parameters& parameters, const std::vector<Instance>& batch)
      : Model(module, parameters, batch),
        leaf_w_(stacked({"Wi", "Wo", "Wu"})),
        leaf_b_(stacked({"bi", "bo", "bu"})),
        node_w_(stacked({"Ui", "Uo", "Uu", "Ul", "Ur"})),
        node_b_(stacked({"ci", "co", "cu", "cl", "cr"})) {}

 protected:
  State leaf(const Tensor& x) const {
    const auto g = at::linear(x, leaf_w_, leaf_b_).chunk(3, 1);
    const Tensor cell = at::sigmoid(g[0]).mul_(at::tanh(g[2]));
    return {at::sigmoid(g[1]).mul_(at::tanh(cell)), cell};
  }
  State node(const Tensor& hs, const Tensor& cl, const Tensor& cr) const {
    const auto g = at::linear(hs, node_w_, node_b_).chunk(5, 1);
    const Tensor cell = at::sigmoid(g[0])
                            .mul_(at::tanh(g[2]))
                            .add_(at::sigmoid(g[3]).mul_(cl))
                            .add_(at::sigmoid(g[4]).mul_(cr));
    return {at::sigmoid(g[1]).mul_(at::tanh(cell)), cell};
  }
  Tensor leaf_w_, leaf_b_, node_w_, node_b_;
};

class EagerTree : public TreeLstmModel {
 public:
  using TreeLstmModel::TreeLstmModel;

 private:
  State walk(const Value& tree, std::vector<Tensor>& outputs) const {
    if (tree.tag == 0) return leaf(word(tree.fields[0].integer));
    const std::size_t mark = outputs.size();
    outputs.emplace_back();
    const State l = walk(tree.fields[0], outputs), r = walk(tree.fields[1], outputs);
    const State n = node(at::cat({l.first, r.first}, 1), l.second, r.second);
    outputs[mark] = score(n.first);
    return n;
  }
  Tensor scores() override {
    std::vector<Tensor> outputs;
    for (const Instance& instance : batch_) walk(instance[0], outputs);
    return at::cat(outputs, 0);
  }
};

class LevelsTree : public TreeLstmModel {
 public:
  using TreeLstmModel::TreeLstmModel;

 private:
  struct Level {
    std::vector<std::int64_t> node, left, right;
  };
  /// Nodes get numbers: leaves first come, first served, in `place`; returns {number, height}.
  std::pair<std::int64_t, std::size_t> place(const Value& tree) {
    const std::int64_t own = count_++;
    if (tree.tag == 0) {
      words_.push_back(tree.fields[0].integer);
      leaves_.push_back(own);
      return {own, 0};
    }
    order_.push_back(own);
    const auto l = place(tree.fields[0]), r = place(tree.fields[1]);
    const std::size_t height = 1 + std::max(l.second, r.second);
    if (levels_.size() < height) levels_.resize(height);
    Level& level = levels_[height - 1];
    level.node.push_back(own);
    level.left.push_back(l.first);
    level.right.push_back(r.first);
    return {own, height};
  }
  Tensor scores() override {
    count_ = 0;
    words_.clear();
    leaves_.clear();
    order_.clear();
    levels_.clear();
    for (const Instance& instance : batch_) place(instance[0]);
    const Tensor hs = at::empty({count_, hidden_}, at::kFloat), cs = at::empty({count_, hidden_}, at::kFloat);
    const State first = leaf(w("E").index_select(0, indices(words_)));
    const Tensor at_leaves = indices(leaves_);
    hs.index_copy_(0, at_leaves, first.first);
    cs.index_copy_(0, at_leaves, first.second);
    for (const Level& level : levels_) {
      const Tensor left = indices(level.left), right = indices(level.right), own = indices(level.node);
      const State n = node(at::cat({hs.index_select(0, left), hs.index_select(0, right)}, 1),
                           cs.index_select(0, left), cs.index_select(0, right));
      hs.index_copy_(0, own, n.first);
      cs.index_copy_(0, own, n.second);
    }
    return order_.empty() ? at::empty({0, 1}, at::kFloat) : score(hs.index_select(0, indices(order_)));
  }
  std::int64_t count_ = 0;
  std::vector<std::int64_t> words_, leaves_, order_;
  std::vector<Level> levels_;
};

/// A direction of a layer: hidden states of every step.
struct Direction {
  Tensor w, b, start;
};

class Tagger : public Model {
 public:
  Tagger(const std::string& model, const Module& module, const Parameters& parameters,
         const std::vector<Instance>& batch)
      : Model(module, parameters, batch), lstm_(model == "bilstm") {
    if (lstm_)
      layers_ = {{{w("Wf"), w("bf"), zero_}, {w("Wb"), w("bb"), zero_}},
                 {{w("Vf"), w("vf"), zero_}, {w("Vb"), w("vb"), zero_}}};
    else
      layers_ = {{{w("Wf"), w("bf"), w("f0").unsqueeze(0)}, {w("Wb"), w("bb"), w("b0").unsqueeze(0)}}};
  }

 protected:
  State step(const Tensor& gates, const State& s) const {
    if (lstm_) return lstm(gates, s.second);
    return {at::sigmoid(gates), s.second};
  }
  bool lstm_;
  std::vector<std::pair<Direction, Direction>> layers_;
};

class EagerTagger : public Tagger {
 public:
  using Tagger::Tagger;

 private:
  std::vector<Tensor> scan(const Direction& d, const std::vector<Tensor>& xs, bool backwards) const {
    std::vector<Tensor> states(xs.size());
    State s{d.start, zero_};
    for (std::size_t i = 0; i < xs.size(); ++i) {
      const std::size_t t = backwards ? xs.size() - 1 - i : i;
      s = step(at::linear(at::cat({xs[t], s.first}, 1), d.w, d.b), s);
      states[t] = s.first;
    }
    return states;
  }
  Tensor scores() override {
    std::vector<Tensor> outputs;
    for (const Instance& instance : batch_) {
      std::vector<Tensor> xs;
      for (const Value& v : instance[0].fields) xs.push_back(word(v.integer));
      for (const auto& [forward, backward] : layers_) {
        const auto f = scan(forward, xs, false), b = scan(backward, xs, true);
        for (std::size_t t = 0; t < xs.size(); ++t) xs[t] = at::cat({f[t], b[t]}, 1);
      }
      for (const Tensor& x : xs) outputs.push_back(score(x));
    }
    return at::cat(outputs, 0);
  }
};

/// Sentences by falling length; step t runs those that have a t-th word. Rows are packed: all first words,
/// all second words, ...; a backward direction packs the reversed sentences.
class PackedTagger : public Tagger {
 public:
  using Tagger::Tagger;

 private:
  Tensor scan(const Direction& d, const Tensor& packed, const std::vector<std::int64_t>& sizes) const {
    const std::int64_t in = packed.size(1);
    const Tensor inputs = at::addmm(d.b, packed, d.w.narrow(1, 0, in).t());  // all steps in one product
    const Tensor recurrent = d.w.narrow(1, in, hidden_).t().contiguous();
    State s{d.start.expand({sizes[0], hidden_}), zero_.expand({sizes[0], hidden_})};
    std::vector<Tensor> states;
    std::int64_t at = 0;
    for (const std::int64_t size : sizes) {
      const Tensor h = s.first.narrow(0, 0, size), c = s.second.narrow(0, 0, size);
      s = step(at::addmm(inputs.narrow(0, at, size), h, recurrent), {h, c});
      states.push_back(s.first);
      at += size;
    }
    return at::cat(states, 0);
  }
  Tensor scores() override {
    std::vector<std::size_t> order(batch_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto length = [&](std::size_t i) { return batch_[i][0].fields.size(); };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return length(a) > length(b); });
    while (!order.empty() && length(order.back()) == 0) order.pop_back();
    std::vector<std::int64_t> sizes, words;
    std::vector<std::vector<std::int64_t>> row(order.size());  // packed row of every word
    for (std::size_t t = 0; t < length(order[0]); ++t) {
      std::int64_t size = 0;
      for (std::size_t i = 0; i < order.size() && length(order[i]) > t; ++i, ++size) {
        row[i].push_back(static_cast<std::int64_t>(words.size()));
        words.push_back(batch_[order[i]][0].fields[t].integer);
      }
      sizes.push_back(size);
    }
    std::vector<std::int64_t> reversed(words.size()), original;
    for (const auto& rows : row)
      for (std::size_t t = 0; t < rows.size(); ++t)
        reversed[static_cast<std::size_t>(rows[t])] = rows[rows.size() - 1 - t];
    const Tensor flip = indices(reversed);
    Tensor xs = w("E").index_select(0, indices(words));
    for (const auto& [forward, backward] : layers_)
      xs = at::cat(
          {scan(forward, xs, sizes), scan(backward, xs.index_select(0, flip), sizes).index_select(0, flip)},
          1);
    std::vector<std::size_t> back(batch_.size(), order.size());
    for (std::size_t i = 0; i < order.size(); ++i) back[order[i]] = i;
    for (const std::size_t i : back)
      if (i < row.size()) original.insert(original.end(), row[i].begin(), row[i].end());
    return score(xs).index_select(0, indices(original));
  }
};

class EagerLattice : public Model {
 public:
  using Model::Model;

 private:
  Tensor scores() override {
    std::vector<Tensor> outputs;
    for (const Instance& instance : batch_) {
      std::vector<State> states{{zero_, zero_}};
      const auto arc = [&](const char* weight, const char* bias, std::int64_t number, const State& from) {
        return lstm(at::linear(at::cat({word(number), from.first}, 1), w(weight), w(bias)), from.second);
      };
      for (const Value& place : instance[0].fields) {
        State s = arc("Wg", "bg", place.fields[0].integer, states.back());
        for (const Value& a : place.fields[1].fields) {
          const State more = arc("Ug", "dg", a.fields[1].integer,
                                 states[states.size() - static_cast<std::size_t>(a.fields[0].integer)]);
          s = {s.first + more.first, s.second + more.second};
        }
        states.push_back(s);
        outputs.push_back(score(s.first));
      }
    }
    return at::cat(outputs, 0);
  }
};

}  // namespace

bool have_torch() {
  return true;
}

std::unique_ptr<TorchPeer> torch_eager(const std::string& model, const Module& module,
                                       const Parameters& parameters, const std::vector<Instance>& batch) {
  if (model == "treelstm") return std::make_unique<EagerTree>(module, parameters, batch);
  if (model == "birnn" || model == "bilstm")
    return std::make_unique<EagerTagger>(model, module, parameters, batch);
  if (model == "latticelstm") return std::make_unique<EagerLattice>(module, parameters, batch);
  return nullptr;
}

std::unique_ptr<TorchPeer> torch_by_hand(const std::string& model, const Module& module,
                                         const Parameters& parameters, const std::vector<Instance>& batch) {
  if (model == "treelstm") return std::make_unique<LevelsTree>(module, parameters, batch);
  if (model == "birnn" || model == "bilstm")
    return std::make_unique<PackedTagger>(model, module, parameters, batch);
  return nullptr;
}

}  // namespace ballast::dynamic

#else

namespace ballast::dynamic {

bool have_torch() {
  return false;
}
std::unique_ptr<TorchPeer> torch_eager(const std::string&, const Module&, const Parameters&,
                                       const std::vector<Instance>&) {
  return nullptr;
}
std::unique_ptr<TorchPeer> torch_by_hand(const std::string&, const Module&, const Parameters&,
                                         const std::vector<Instance>&) {
  return nullptr;
}

}  // namespace ballast::dynamic

#endif
