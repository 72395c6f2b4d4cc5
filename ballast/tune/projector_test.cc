#include "ballast/tune/projector.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/tune/kernels.h"
#include "ballast/tune/learner.h"
#include "ballast/tune/method.h"

namespace ballast::tune {
namespace {

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// A matrix with singular values ∝ k^{-1/2}, as gradients have.
at::Tensor decaying(std::int64_t m, std::int64_t n) {
  const std::int64_t k = std::min(m, n);
  const at::Tensor u = std::get<0>(torch::linalg_qr(torch::randn({m, k})));
  const at::Tensor v = std::get<0>(torch::linalg_qr(torch::randn({n, k})));
  const at::Tensor s = torch::arange(1, k + 1, torch::kFloat32).rsqrt();
  return (u * s).matmul(v.t());
}

TEST(Projector, RowsHaveDistinctPositionsAndUnitNorm) {
  Random random(1);
  for (const auto init : {ProjectorInit::sign, ProjectorInit::gauss}) {
    const SparseProjector p = SparseProjector::random(50, 12, 5, init, random);
    const auto index = p.indices();
    for (std::size_t i = 0; i < 50; ++i) {
      EXPECT_EQ(std::set<int>(index.begin() + static_cast<long>(i * 5),
                              index.begin() + static_cast<long>(i * 5 + 5))
                    .size(),
                5u);
    }
  }
  const SparseProjector p = SparseProjector::random(50, 12, 4, ProjectorInit::sign, random);
  const at::Tensor dense = p.materialize();
  EXPECT_LT(difference(dense.square().sum(1), torch::ones({50})), 1e-6);
}

TEST(Projector, ProductsEqualDenseOnes) {
  torch::manual_seed(2);
  Random random(2);
  const SparseProjector p = SparseProjector::random(37, 11, 3, ProjectorInit::gauss, random);
  const SparseProjector other = SparseProjector::random(37, 9, 4, ProjectorInit::gauss, random);
  const at::Tensor dense = p.materialize();
  for (const std::int64_t width : {1, 7, 64, 65, 200}) {
    const at::Tensor x = torch::randn({37, width}), s = torch::randn({11, width});
    EXPECT_LT(difference(p.gather(x), dense.t().matmul(x)), 1e-4);
    EXPECT_LT(difference(p.scatter(s), dense.matmul(s)), 1e-4);
    at::Tensor w = torch::randn({37, width});
    const at::Tensor expected = 0.9 * w - 0.3 * dense.matmul(s);
    p.apply(s, w, 0.9, 0.3);
    EXPECT_LT(difference(w, expected), 1e-4);
    at::Tensor out = torch::zeros({37, 3});
    const at::Tensor b = torch::randn({11, width});
    p.add_sampled(x, b, 2.0, out);
    const at::Tensor full = 2.0 * x.matmul(b.t());
    const auto index = p.indices();
    for (std::int64_t i = 0; i < 37; ++i) {
      for (std::int64_t k = 0; k < 3; ++k) {
        EXPECT_NEAR(out[i][k].item<double>(),
                    full[i][index[static_cast<std::size_t>(i * 3 + k)]].item<double>(), 1e-3);
      }
    }
  }
  EXPECT_LT(difference(p.gram(other), dense.t().matmul(other.materialize())), 1e-5);
}

TEST(Projector, PairEqualsItsDefinition) {
  torch::manual_seed(3);
  Random random(3);
  const ProjectorPair pair = ProjectorPair::random(30, 20, {.d = 10, .r = 3}, random);
  const at::Tensor p = pair.p.materialize(), q = pair.q.materialize(), g = torch::randn({30, 20});
  const at::Tensor s = pair.compress(g);
  EXPECT_LT(difference(s, p.t().matmul(g).matmul(q)), 1e-4);
  EXPECT_LT(difference(pair.expand(s), p.matmul(s).matmul(q.t())), 1e-4);
  at::Tensor w = torch::randn({30, 20});
  const at::Tensor expected = (1 - 0.01 * 0.5) * w - 0.01 * p.matmul(s).matmul(q.t());
  pair.decompress(s, w, {.rate = 0.01, .decay = 0.5});
  EXPECT_LT(difference(w, expected), 1e-5);
}

// Oracle 1: E‖b‖² = [(1+(m−1)/d)(1+(n−1)/d) − 1]·‖G‖², whatever r is; and E[PPᵀ] = I.
TEST(Projector, InitialBiasFollowsTheFormula) {
  torch::manual_seed(4);
  Random random(4);
  const at::Tensor g = decaying(384, 384);
  for (const std::int64_t d : {96, 192}) {
    for (const int r : {2, 8}) {
      double sum = 0;
      constexpr int kDraws = 8;
      for (int draw = 0; draw < kDraws; ++draw) {
        const double bias = relative_bias(ProjectorPair::random(384, 384, {.d = d, .r = r}, random), g);
        sum += bias * bias;
      }
      const double expected = expected_initial_bias_squared(384, 384, d);
      EXPECT_NEAR(sum / kDraws, expected, 0.05 * expected) << "d " << d << " r " << r;
    }
  }
  at::Tensor mean = torch::zeros({20, 20});
  constexpr int kDraws = 3000;
  for (int draw = 0; draw < kDraws; ++draw) {
    const at::Tensor p = SparseProjector::random(20, 8, 4, ProjectorInit::sign, random).materialize();
    mean += p.matmul(p.t()) / kDraws;
  }
  EXPECT_LT(difference(mean, torch::eye(20)), 5 * std::sqrt(1.0 / 8 / kDraws));
}

TEST(Projector, ScaledStartIsBetterThanNoUpdate) {
  torch::manual_seed(5);
  Random random(5);
  const at::Tensor g = decaying(128, 128);
  const double bias = relative_bias(
      ProjectorPair::random(128, 128, {.d = 64, .r = 4, .init = ProjectorInit::scaled}, random), g);
  const double c = 1.0 / 9.0;
  EXPECT_NEAR(bias, std::sqrt(1 - c), 0.05);
}

// Oracle 4: the analytic gradient against autograd through the dense matrices.
TEST(Learner, GradientEqualsAutograd) {
  torch::manual_seed(6);
  Random random(6);
  const ProjectorPair pair =
      ProjectorPair::random(24, 18, {.d = 9, .r = 3, .init = ProjectorInit::gauss}, random);
  const std::vector<at::Tensor> gradients{torch::randn({24, 18}), torch::randn({24, 18})};
  const FitGradient ours = fit_gradient(pair, gradients);

  const auto exact = [](const at::Tensor& t) { return t.to(torch::kFloat64); };
  at::Tensor p = exact(pair.p.materialize()).requires_grad_(),
             q = exact(pair.q.materialize()).requires_grad_();
  at::Tensor loss = torch::zeros({}, torch::kFloat64);
  for (const at::Tensor& single : gradients) {
    const at::Tensor g = exact(single);
    const at::Tensor e = p.matmul(p.t()).matmul(g).matmul(q).matmul(q.t()) - g;
    loss = loss + 0.5 * e.norm() / g.norm();
  }
  loss.backward();
  EXPECT_NEAR(ours.loss, loss.item<double>(), 1e-5);
  const auto compare = [](const SparseProjector& projector, const at::Tensor& values,
                          const at::Tensor& dense) {
    const auto index = projector.indices();
    for (std::int64_t i = 0; i < projector.rows(); ++i) {
      for (int k = 0; k < projector.r(); ++k) {
        const double expected =
            dense[i][index[static_cast<std::size_t>(i * projector.r() + k)]].item<double>();
        EXPECT_NEAR(values[i][k].item<double>(), expected, 1e-4 * std::max(1.0, std::abs(expected)));
      }
    }
  };
  compare(pair.p, ours.p, p.grad());
  compare(pair.q, ours.q, q.grad());
}

TEST(Learner, FitsFarBelowTheStart) {
  torch::manual_seed(7);
  Random random(7);
  const at::Tensor g = decaying(96, 96);
  ProjectorPair pair = ProjectorPair::random(96, 96, {.d = 48, .r = 8}, random);
  const FitReport report = fit(pair, {g}, {.iterations = 100, .accept = 0});
  EXPECT_GT(report.bias_before, 2.0);
  EXPECT_LT(report.bias_after, 0.8);
  EXPECT_NEAR(relative_bias(pair, g), report.bias_after, 1e-3);
  // What d directions chosen freely could reach is a bound from below.
  const at::Tensor s = std::get<1>(torch::linalg_svd(g));
  EXPECT_GT(report.bias_after, (s.narrow(0, 48, 48).norm() / s.norm()).item<double>());
}

TEST(Learner, StopsWhereItIsTold) {
  torch::manual_seed(8);
  Random random(8);
  ProjectorPair pair = ProjectorPair::random(32, 32, {.d = 16, .r = 4}, random);
  EXPECT_EQ(fit(pair, {torch::zeros({32, 32})}, {}).why, FitStop::zero_gradient);
  const at::Tensor g = decaying(32, 32);
  EXPECT_EQ(fit(pair, {g}, {.accept = 5.0}).why, FitStop::accepted);
  EXPECT_EQ(fit(pair, {g}, {.iterations = 3, .accept = 0}).iterations, 3);
}

// Oracle 6: V stays non-negative, and moments in the same orthonormal subspace
// stay what they were.
TEST(Projector, MomentsGoOverIntoANewSubspace) {
  torch::manual_seed(12);
  Random random(12);
  const ProjectorPair from = ProjectorPair::random(40, 30, {.d = 12, .r = 3}, random);
  const ProjectorPair to = ProjectorPair::random(40, 30, {.d = 12, .r = 3}, random);
  const at::Tensor m0 = torch::randn({12, 12}), v0 = torch::rand({12, 12});
  at::Tensor m = m0, v = v0;
  reproject_moments(from, to, m, v);
  const at::Tensor a = to.p.materialize().t().matmul(from.p.materialize());
  const at::Tensor c = from.q.materialize().t().matmul(to.q.materialize());
  EXPECT_LT(difference(m, a.matmul(m0).matmul(c)), 1e-4);
  EXPECT_GE(v.min().item<double>(), 0.0);
  EXPECT_GT(v.max().item<double>(), 0.0);
  // A permutation is orthonormal: the identity map.
  std::vector<std::uint16_t> order(12);
  for (std::size_t i = 0; i < 12; ++i) order[i] = static_cast<std::uint16_t>((i * 5) % 12);
  const SparseProjector permutation = SparseProjector::from_entries(12, 12, 1, order, torch::ones({12, 1}));
  m = m0;
  v = v0;
  reproject_moments({permutation, permutation}, {permutation, permutation}, m, v);
  EXPECT_LT(difference(m, m0), 1e-6);
  EXPECT_LT(difference(v, v0), 1e-6);
}

// Oracle 2: with permutations and d = m = n, Adam in the subspace is Adam.
TEST(Projector, PermutationsGivePlainAdam) {
  torch::manual_seed(13);
  std::vector<std::uint16_t> order(16), other(16);
  for (std::size_t i = 0; i < 16; ++i) {
    order[i] = static_cast<std::uint16_t>((i * 5) % 16);
    other[i] = static_cast<std::uint16_t>((i * 7 + 3) % 16);
  }
  const ProjectorPair pair{SparseProjector::from_entries(16, 16, 1, order, torch::ones({16, 1})),
                           SparseProjector::from_entries(16, 16, 1, other, torch::ones({16, 1}))};
  at::Tensor w = torch::randn({16, 16});
  at::Tensor reference = w.clone().requires_grad_();
  torch::optim::AdamW adam({reference}, torch::optim::AdamWOptions(0.01).weight_decay(0.1));
  at::Tensor m = torch::zeros({16, 16}), v = torch::zeros({16, 16});
  for (int t = 1; t <= 20; ++t) {
    const at::Tensor g = torch::randn({16, 16});
    reference.mutable_grad() = g.clone();
    adam.step();
    at::Tensor s = pair.compress(g);
    kernels::adam_delta(s.data_ptr<float>(), m.data_ptr<float>(), v.data_ptr<float>(), 256,
                        {.correction1 = 1 - std::pow(0.9, t), .correction2 = 1 - std::pow(0.999, t)});
    pair.decompress(s, w, {.rate = 0.01, .decay = 0.1});
  }
  EXPECT_LT(difference(w, reference.detach()) / w.abs().max().item<double>(), 1e-6);
}

// Oracle 13: on least squares, permutations reproduce gradient descent, and the
// gradient's floor falls as d grows.
TEST(Projector, LeastSquaresConvergesToAFloorThatFallsWithD) {
  torch::manual_seed(14);
  Random random(14);
  const at::Tensor x = torch::randn({64, 24}), target = torch::randn({24, 24});
  const at::Tensor hessian = x.t().matmul(x) / 64;
  const double rate = 1 / std::get<0>(torch::linalg_eigh(hessian, "L")).max().item<double>();
  const auto smallest = [&](const std::function<at::Tensor(const at::Tensor&)>& direction, int steps) {
    at::Tensor w = torch::zeros({24, 24});
    double best = INFINITY;
    for (int t = 0; t < steps; ++t) {
      const at::Tensor g = (w - target).matmul(hessian);
      best = std::min(best, g.norm().item<double>());
      w = w - rate * direction(g);
    }
    return best;
  };
  const auto plain = [](const at::Tensor& g) { return g; };
  std::vector<std::uint16_t> order(24);
  for (std::size_t i = 0; i < 24; ++i) order[i] = static_cast<std::uint16_t>((i * 5) % 24);
  const SparseProjector permutation = SparseProjector::from_entries(24, 24, 1, order, torch::ones({24, 1}));
  const ProjectorPair same{permutation, permutation};
  EXPECT_NEAR(smallest([&](const at::Tensor& g) { return same.expand(same.compress(g)); }, 100),
              smallest(plain, 100), 1e-4);
  EXPECT_LT(smallest(plain, 200), 0.6 * smallest(plain, 50));
  const auto floor = [&](std::int64_t d) {
    ProjectorPair pair =
        ProjectorPair::random(24, 24, {.d = d, .r = 4, .init = ProjectorInit::scaled}, random);
    fit(pair, {target.matmul(hessian)}, {.iterations = 60, .accept = 0});
    return smallest([&](const at::Tensor& g) { return pair.expand(pair.compress(g)); }, 200);
  };
  EXPECT_LT(floor(20), floor(6));
}

TEST(Projector, RefusesImpossibleSizes) {
  Random random(9);
  EXPECT_THROW(ProjectorPair::random(10, 20, {.d = 11, .r = 2}, random), InvalidInput);
  EXPECT_THROW(ProjectorPair::random(10, 20, {.d = 5, .r = 6}, random), InvalidInput);
  EXPECT_THROW(ProjectorPair::random(10, 20, {.d = 5, .r = 0}, random), InvalidInput);
  EXPECT_THROW(SparseProjector::random(10, 70000, 2, ProjectorInit::sign, random), InvalidInput);
}

TEST(Adam, EqualsTorchOnAnyLengthAndAlignment) {
  torch::manual_seed(10);
  for (const std::int64_t count : {1, 7, 64, 1001}) {
    at::Tensor reference = torch::randn({count}).requires_grad_();
    std::vector<float> p(reference.data_ptr<float>(), reference.data_ptr<float>() + count);
    std::vector<float> buffer(static_cast<std::size_t>(count + 1)), m(p.size()), v(p.size());
    torch::optim::AdamW adam({reference}, torch::optim::AdamWOptions(0.01).weight_decay(0.1));
    for (int t = 1; t <= 5; ++t) {
      const at::Tensor g = torch::randn({count});
      reference.mutable_grad() = g.clone();
      adam.step();
      std::copy(g.data_ptr<float>(), g.data_ptr<float>() + count, buffer.begin() + 1);
      EXPECT_TRUE(kernels::adam_parameters(
          buffer.data() + 1, m.data(), v.data(), p.data(), count,
          {.correction1 = 1 - std::pow(0.9, t), .correction2 = 1 - std::pow(0.999, t)}, 1 - 0.01f * 0.1f,
          0.01f));
    }
    EXPECT_LT(difference(torch::from_blob(p.data(), {count}), reference.detach()), 1e-6);
  }
}

TEST(Adam, TellsOfValuesThatAreNotFinite) {
  std::vector<float> g{1, NAN, 3}, m(3), v(3);
  const kernels::AdamStep step{.correction1 = 0.1, .correction2 = 0.001};
  EXPECT_FALSE(kernels::adam_delta(g.data(), m.data(), v.data(), 3, step));
  g = {1, 2, 3};
  m = v = {0, 0, 0};
  EXPECT_TRUE(kernels::adam_delta(g.data(), m.data(), v.data(), 3, step));
}

}  // namespace
}  // namespace ballast::tune
