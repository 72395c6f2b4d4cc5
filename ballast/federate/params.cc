#include "ballast/federate/params.h"

#include <bit>
#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::federate {

Params fresh_params(const ModelShape& shape, std::uint64_t seed, std::uint64_t stream) {
  Random random(seed, stream);
  Params params;
  params.reserve(shape.size());
  for (const ParameterBlock& block : shape.blocks()) {
    const double bound = 1 / std::sqrt(static_cast<double>(block.fan_in));
    for (std::size_t i = 0; i < block.count; ++i)
      params.push_back(static_cast<float>(random.uniform(-bound, bound)));
  }
  return params;
}

void TreeSum::Node::archive(Archive& a) {
  a& first& last& weight& sum;
}

void TreeSum::archive(Archive& a) {
  a& nodes_& terms_;
}

void TreeSum::join(Node& left, const Node& right) {
  for (std::size_t i = 0; i < left.sum.size(); ++i) left.sum[i] += right.sum[i];
  left.weight += right.weight;
  left.last = right.last;
}

// Two neighbours are joined once the next id lies outside of the smallest node of the tree that holds both.
void TreeSum::join_below(std::uint64_t id) {
  const auto height = [](std::uint64_t a, std::uint64_t b) { return std::bit_width(a ^ b); };
  while (nodes_.size() >= 2) {
    const Node& right = nodes_.back();
    Node& left = nodes_[nodes_.size() - 2];
    if (height(left.first, right.last) >= height(right.last, id)) break;
    join(left, right);
    nodes_.pop_back();
  }
}

void TreeSum::add(std::uint64_t id, const Params& params, double weight) {
  join_below(id);
  Node node{id, id, weight, std::vector<double>(params.size())};
  for (std::size_t i = 0; i < params.size(); ++i) node.sum[i] = weight * static_cast<double>(params[i]);
  nodes_.push_back(std::move(node));
  ++terms_;
}

void TreeSum::add(const TreeSum& behind) {
  if (behind.empty()) return;
  Node node = behind.total();
  join_below(node.first);
  nodes_.push_back(std::move(node));
  terms_ += behind.terms_;
}

TreeSum::Node TreeSum::total() const {
  BALLAST_CHECK(!nodes_.empty());
  Node sum = nodes_.back();
  for (std::size_t i = nodes_.size() - 1; i-- > 0;) {
    Node left = nodes_[i];
    join(left, sum);
    sum = std::move(left);
  }
  return sum;
}

double TreeSum::weight() const {
  return nodes_.empty() ? 0 : total().weight;
}

Params TreeSum::mean() const {
  const Node sum = total();
  Params mean(sum.sum.size());
  for (std::size_t i = 0; i < mean.size(); ++i) mean[i] = static_cast<float>(sum.sum[i] / sum.weight);
  return mean;
}

Params weighted_mean(std::span<const WeightedParams> terms) {
  TreeSum sum;
  for (std::size_t i = 0; i < terms.size(); ++i) sum.add(i, *terms[i].params, terms[i].weight);
  return sum.mean();
}

}  // namespace ballast::federate
