// The fused trainer's twin in libtorch: the same network, the same samples, the same optimizer.
//
//   ballast-federate-torch-peer parity     how far the parameters are apart after 100 steps
//   ballast-federate-torch-peer speed      thousands of steps a second of both, in interleaved rounds
#include <fmt/format.h>
#include <torch/torch.h>

#include <chrono>
#include <cmath>

#include "ballast/base/json.h"
#include "ballast/federate/trainer.h"

namespace ballast::federate {
namespace {

constexpr int kBatch = 50;

struct Network : torch::nn::Module {
  explicit Network(const ModelShape& shape) {
    first = register_module("first", torch::nn::Linear(shape.features, shape.hidden));
    second = register_module("second", torch::nn::Linear(shape.hidden, shape.classes));
  }
  at::Tensor forward(const at::Tensor& x) { return second(torch::relu(first(x))); }
  // Both keep W1, b1, W2, b2 row by row.
  void assign(const Params& params) {
    const torch::NoGradGuard guard;
    std::int64_t at = 0;
    for (auto& parameter : parameters()) {
      parameter.copy_(torch::from_blob(const_cast<float*>(params.data()) + at, parameter.sizes()));
      at += parameter.numel();
    }
  }
  Params flat() const {
    Params params;
    for (const auto& parameter : parameters()) {
      const auto values = parameter.detach().contiguous();
      params.insert(params.end(), values.data_ptr<float>(), values.data_ptr<float>() + values.numel());
    }
    return params;
  }
  torch::nn::Linear first{nullptr}, second{nullptr};
};

torch::optim::Adam adam(const Network& network) {
  const OptimizerConfig c;
  return torch::optim::Adam(network.parameters(), torch::optim::AdamOptions(c.learning_rate)
                                                      .betas({c.beta1, c.beta2})
                                                      .eps(c.epsilon)
                                                      .weight_decay(c.weight_decay)
                                                      .amsgrad(true));
}

double step(Network& network, torch::optim::Adam& optimizer, const Samples& samples,
            std::span<const std::size_t> chosen) {
  const auto n = static_cast<std::int64_t>(chosen.size());
  auto x = torch::empty({n, samples.features});
  auto y = torch::empty({n}, torch::kLong);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::size_t s = chosen[static_cast<std::size_t>(i)];
    std::copy_n(samples.row(s), samples.features, x.data_ptr<float>() + i * samples.features);
    y.data_ptr<std::int64_t>()[i] = samples.y[s];
  }
  optimizer.zero_grad();
  const auto loss = torch::nn::functional::cross_entropy(network.forward(x), y);
  loss.backward();
  optimizer.step();
  return loss.item<double>();
}

Json parity(const Samples& samples, const ModelShape& shape) {
  Params params = fresh_params(shape, 3, 0);
  const Params start = params;
  Network network(shape);
  network.assign(params);
  auto optimizer = adam(network);
  Trainer trainer(shape);
  OptimizerState state;
  Random random(5);
  double loss_difference = 0;
  for (int k = 0; k < 100; ++k) {
    std::vector<std::size_t> chosen;
    std::vector<DrawTable::Pick> picks;
    for (int i = 0; i < kBatch; ++i) {
      chosen.push_back(random.below(samples.size()));
      picks.push_back({samples.row(chosen.back()), samples.y[chosen.back()]});
    }
    const double ours = trainer.step_on(params, state, {}, picks),
                 theirs = step(network, optimizer, samples, chosen);
    loss_difference = std::max(loss_difference, std::abs(ours - theirs));
  }
  const Params flat = network.flat();
  double largest = 0, moved = 0;
  for (std::size_t i = 0; i < params.size(); ++i) {
    largest = std::max(largest, static_cast<double>(std::abs(params[i] - flat[i])));
    moved = std::max(moved, static_cast<double>(std::abs(params[i] - start[i])));
  }
  return {{"largest_difference", largest}, {"loss_difference", loss_difference}, {"moved", moved}};
}

Json speed(const Samples& samples, const ModelShape& shape) {
  Params params = fresh_params(shape, 3, 0);
  Network network(shape);
  network.assign(params);
  auto optimizer = adam(network);
  Trainer trainer(shape);
  OptimizerState state;
  DrawTable table;
  table.add(samples, 1);
  Random random(5);
  std::vector<double> fused, libtorch;
  const auto seconds = [](const auto& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  for (int round = 0; round < 12; ++round) {
    const double a = seconds(
        [&] { trainer.train(params, state, {}, table, 30'000, kBatch, static_cast<std::uint64_t>(round)); });
    const double b = seconds([&] {
      for (int k = 0; k < 300; ++k) {
        std::vector<std::size_t> chosen(kBatch);
        for (auto& c : chosen) c = random.below(samples.size());
        step(network, optimizer, samples, chosen);
      }
    });
    if (round == 0) continue;  // warming up
    fused.push_back(30 / a);
    libtorch.push_back(0.3 / b);
  }
  return {{"fused", fused}, {"libtorch", libtorch}, {"version", "libtorch " TORCH_VERSION}};
}

}  // namespace
}  // namespace ballast::federate

int main(int argc, char** argv) {
  using namespace ballast::federate;
  at::set_num_threads(1);
  const auto federation =
      make_federation({.name = "sine", .samples = 500, .seed = 1}, ConceptPattern::stationary(1, 1));
  const ModelShape shape{2, 4, 2};
  const bool fast = argc > 1 && std::string(argv[1]) == "speed";
  fmt::print("{}\n",
             (fast ? speed(federation.batch(0, 0), shape) : parity(federation.batch(0, 0), shape)).dump());
}
