// The parameters of a model as one aligned float32 buffer with a shared layout, and how they are averaged.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ballast/base/random.h"
#include "ballast/federate/archive.h"
#include "ballast/federate/model_shape.h"

namespace ballast::federate {

using Params = std::vector<float>;

/// Uniform in +-1/sqrt(fan-in) for weights and biases, the customary start of a linear layer; keyed by (seed,
/// stream).
Params fresh_params(const ModelShape& shape, std::uint64_t seed, std::uint64_t stream);

/// A weighted sum along the binary tree of ids: the node of [k 2^j, (k+1) 2^j) is the sum of its halves,
/// those without terms left out. Machines that hold aligned blocks of ids sum their own and join the partial
/// sums: the bits are those of one machine.
class TreeSum {
 public:
  /// Ids ascend. Weights are positive.
  void add(std::uint64_t id, const Params& params, double weight);
  /// What another machine summed; its ids lie behind all ids so far, and its block is aligned.
  void add(const TreeSum& behind);
  bool empty() const { return terms_ == 0; }
  std::uint64_t terms() const { return terms_; }
  double weight() const;
  /// sum(weight * params) / sum(weight); must not be empty.
  Params mean() const;
  void archive(Archive& a);

 private:
  struct Node {
    std::uint64_t first = 0, last = 0;
    double weight = 0;
    std::vector<double> sum;
    void archive(Archive& a);
  };
  void join_below(std::uint64_t id);
  static void join(Node& left, const Node& right);
  Node total() const;
  std::vector<Node> nodes_;
  std::uint64_t terms_ = 0;
};

/// One term of a weighted mean.
struct WeightedParams {
  const Params* params;
  double weight;
};

/// The mean along the tree over the terms' positions.
Params weighted_mean(std::span<const WeightedParams> terms);

}  // namespace ballast::federate
