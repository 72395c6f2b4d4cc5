#include "ballast/codesign/predictor.h"

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/codesign/pareto.h"

namespace ballast::codesign {

std::vector<float> encode(const Space& space, const Genotype& g) {
  std::vector<float> code;
  const auto one_hot = [&](int value, const std::vector<int>& choices, bool active = true) {
    for (int choice : choices) code.push_back(active && choice == value ? 1.0f : 0.0f);
  };
  one_hot(g.resolution, space.resolutions);
  one_hot(g.stem, space.stem_widths);
  for (std::size_t s = 0; s < space.stages.size(); ++s) {
    const StageChoices& stage = space.stages[s];
    const auto& blocks = g.stages[s].blocks;
    one_hot(g.stages[s].width, stage.widths);
    one_hot(static_cast<int>(blocks.size()), stage.depths);
    const int most = *std::max_element(stage.depths.begin(), stage.depths.end());
    for (int b = 0; b < most; ++b) {
      const bool there = b < static_cast<int>(blocks.size());
      const BlockGenes block = there ? blocks[static_cast<std::size_t>(b)] : BlockGenes{};
      one_hot(block.kernel, stage.kernels, there && !block.attention);
      one_hot(block.expansion, stage.expansions, there && !block.attention);
      if (b == 0 || stage.attention.options() == 0) continue;
      code.push_back(there && block.attention ? 1.0f : 0.0f);
      one_hot(block.head_dim, stage.attention.head_dims, there && block.attention);
      one_hot(block.v_expansion, stage.attention.v_expansions, there && block.attention);
      one_hot(block.mlp_ratio, stage.attention.mlp_ratios, there && block.attention);
    }
  }
  one_hot(g.last, space.last_widths);
  return code;
}

Predictor::Predictor(const Space& space, const std::vector<std::pair<Genotype, double>>& measured,
                     std::uint64_t seed, int epochs)
    : space_(space) {
  if (measured.size() < 20)
    throw InvalidInput("a predictor needs measured accuracies", std::to_string(measured.size()),
                       "at least 20");
  const std::size_t held = measured.size() / 5, used = measured.size() - held;
  const auto width = static_cast<std::int64_t>(encode(space, measured[0].first).size());
  at::Tensor x = at::empty({static_cast<std::int64_t>(measured.size()), width});
  at::Tensor y = at::empty({static_cast<std::int64_t>(measured.size())});
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const auto code = encode(space, measured[i].first);
    std::copy(code.begin(), code.end(), x[static_cast<std::int64_t>(i)].data_ptr<float>());
    y[static_cast<std::int64_t>(i)] = measured[i].second;
  }
  const auto count = static_cast<std::int64_t>(used);
  mean_ = y.narrow(0, 0, count).mean().item<double>();
  spread_ = std::max(1e-6, y.narrow(0, 0, count).std().item<double>());
  const at::Tensor target = (y - mean_) / spread_;
  auto generator = at::detail::createCPUGenerator(mix64(seed + 0x70726564u));
  const std::int64_t sizes[] = {width, 400, 400, 400, 1};
  for (int layer = 0; layer < 4; ++layer) {
    weights_.push_back(at::empty({sizes[layer + 1], sizes[layer]})
                           .normal_(0, std::sqrt(2.0 / static_cast<double>(sizes[layer])), generator)
                           .requires_grad_(true));
    weights_.push_back(at::zeros({sizes[layer + 1]}).requires_grad_(true));
  }
  torch::optim::AdamW optimiser(weights_, torch::optim::AdamWOptions(1e-3).weight_decay(1e-2));
  Random random(seed, 0x62617463u);
  std::vector<std::int64_t> order(used);
  for (std::size_t i = 0; i < used; ++i) order[i] = static_cast<std::int64_t>(i);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    random.shuffle(order);
    for (std::size_t at = 0; at < used; at += 64) {
      const auto index = torch::tensor(
          std::vector<std::int64_t>(order.begin() + static_cast<std::ptrdiff_t>(at),
                                    order.begin() + static_cast<std::ptrdiff_t>(std::min(at + 64, used))));
      optimiser.zero_grad();
      at::mse_loss(forward(x.index_select(0, index)), target.index_select(0, index)).backward();
      optimiser.step();
    }
  }
  torch::NoGradGuard no_grad;
  const at::Tensor told = forward(x.narrow(0, count, static_cast<std::int64_t>(held))) * spread_ + mean_;
  std::vector<double> predicted, actual;
  for (std::size_t i = 0; i < held; ++i) {
    predicted.push_back(told[static_cast<std::int64_t>(i)].item<double>());
    actual.push_back(measured[used + i].second);
    quality_.mean_error += std::abs(predicted.back() - actual.back()) / static_cast<double>(held);
  }
  quality_.trained = static_cast<int>(used);
  quality_.held_out = static_cast<int>(held);
  quality_.spearman = spearman(predicted, actual);
}

at::Tensor Predictor::forward(const at::Tensor& x) const {
  at::Tensor h = x;
  for (std::size_t layer = 0; layer < 4; ++layer) {
    h = at::linear(h, weights_[2 * layer], weights_[2 * layer + 1]);
    if (layer < 3) h = at::relu(h);
  }
  return h.squeeze(1);
}

double Predictor::operator()(const Genotype& genotype) const {
  torch::NoGradGuard no_grad;
  const auto code = encode(space_, genotype);
  const at::Tensor x = torch::tensor(code).view({1, -1});
  return forward(x).item<double>() * spread_ + mean_;
}

}  // namespace ballast::codesign
