#include "ballast/tune/learner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/tune/kernels.h"

namespace ballast::tune {
namespace {

// A gradient with what every iteration needs of it.
struct Target {
  explicit Target(const at::Tensor& gradient)
      : g(gradient.contiguous()),
        transposed(gradient.t().contiguous()),
        norm(gradient.norm().item<double>()) {}
  at::Tensor g, transposed;
  double norm;
};

// What one gradient contributes; `weight` is 1 / number of gradients.
double add_gradient(const ProjectorPair& pair, const Target& target, double weight, FitGradient& sum) {
  const double norm = target.norm;
  const at::Tensor gq = pair.q.gather(target.transposed).t().contiguous();  // GQ, [m, d]
  const at::Tensor gp = pair.p.gather(target.g).t().contiguous();           // GᵀP, [n, d]
  const at::Tensor s = pair.p.gather(gq);                                   // S = PᵀGQ
  const at::Tensor pp = pair.p.gram(pair.p), qq = pair.q.gram(pair.q);
  const at::Tensor sqq = s.matmul(qq), pps = pp.matmul(s);
  const at::Tensor h = pp.matmul(sqq) - s;  // PᵀEQ
  // ⟨PᵀP·S·QᵀQ, S⟩ − 2‖S‖² = ⟨PᵀEQ − S, S⟩
  const double squared = ((h - s) * s).sum(torch::kFloat64).item<double>() + norm * norm;
  const double error = std::sqrt(std::max(squared, 0.0));
  sum.loss += weight * error / norm;
  if (error == 0) return 0;
  const double scale = weight / (error * norm);  // d(error/norm) = ∇f / (error·norm)

  const at::Tensor eq = pair.p.scatter(sqq) - gq;                   // EQ, [m, d]
  const at::Tensor ep = pair.q.scatter(pps.t().contiguous()) - gp;  // EᵀP, [n, d]
  pair.p.add_sampled(eq, s, scale, sum.p);
  pair.p.add_sampled(gq, h, scale, sum.p);
  pair.q.add_sampled(ep, s.t().contiguous(), scale, sum.q);
  pair.q.add_sampled(gp, h.t().contiguous(), scale, sum.q);
  return error / norm;
}

// β·(‖P‖ + ‖Q‖) or β·(‖P‖² + ‖Q‖²).
void add_regulariser(const at::Tensor& values, const FitOptions& options, at::Tensor& gradient) {
  if (options.beta == 0) return;
  if (options.regulariser == Regulariser::squared) {
    gradient.add_(values, 2 * options.beta);
  } else if (const double norm = values.norm().item<double>(); norm > 0) {
    gradient.add_(values, options.beta / norm);
  }
}

FitGradient total(const ProjectorPair& pair, const std::vector<Target>& targets) {
  FitGradient sum{0, at::zeros_like(pair.p.values()), at::zeros_like(pair.q.values())};
  for (const Target& target : targets)
    add_gradient(pair, target, 1.0 / static_cast<double>(targets.size()), sum);
  return sum;
}

class ValueAdam {
 public:
  explicit ValueAdam(const at::Tensor& values) : m_(at::zeros_like(values)), v_(at::zeros_like(values)) {}
  void step(at::Tensor& values, at::Tensor gradient, int t, double rate) {
    const kernels::AdamStep adam{.correction1 = 1 - std::pow(0.9, t), .correction2 = 1 - std::pow(0.999, t)};
    kernels::adam_delta(gradient.data_ptr<float>(), m_.data_ptr<float>(), v_.data_ptr<float>(),
                        gradient.numel(), adam);
    values.sub_(gradient, rate);
  }

 private:
  at::Tensor m_, v_;
};

}  // namespace

std::string to_string(FitStop why) {
  switch (why) {
    case FitStop::accepted:
      return "bias accepted";
    case FitStop::iterations:
      return "iteration cap";
    case FitStop::time:
      return "time cap";
    case FitStop::zero_gradient:
      return "zero gradient";
  }
  return {};
}

FitGradient fit_gradient(const ProjectorPair& pair, const std::vector<at::Tensor>& gradients) {
  torch::NoGradGuard no_grad;
  return total(pair, {gradients.begin(), gradients.end()});
}

FitReport fit(ProjectorPair& pair, const std::vector<at::Tensor>& given, const FitOptions& options) {
  torch::NoGradGuard no_grad;
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::vector<Target> gradients;
  for (const at::Tensor& g : given) {
    if (Target target(g); target.norm > 0) gradients.push_back(std::move(target));
  }
  FitReport report;
  if (gradients.empty()) {
    report.why = FitStop::zero_gradient;
    return report;
  }

  ProjectorPair trial = pair.clone();
  ValueAdam adam_p(trial.p.values()), adam_q(trial.q.values());
  double best = INFINITY;
  for (int t = 1;; ++t) {
    cli::stop_if_interrupted();
    FitGradient gradient = total(trial, gradients);
    if (t == 1) report.bias_before = gradient.loss;
    if (gradient.loss < best) {
      best = gradient.loss;
      pair.p.values().copy_(trial.p.values());
      pair.q.values().copy_(trial.q.values());
    }
    report.iterations = t - 1;
    if (options.accept > 0 && best <= options.accept) {
      report.why = FitStop::accepted;
      break;
    }
    if (t > options.iterations || !std::isfinite(gradient.loss)) {
      report.why = FitStop::iterations;
      break;
    }
    if (options.max_seconds > 0 && seconds() > options.max_seconds) {
      report.why = FitStop::time;
      break;
    }
    add_regulariser(trial.p.values(), options, gradient.p);
    add_regulariser(trial.q.values(), options, gradient.q);
    const double rate =
        options.cosine ? options.rate * 0.5 * (1 + std::cos(std::numbers::pi * (t - 1) / options.iterations))
                       : options.rate;
    adam_p.step(trial.p.values(), gradient.p, t, rate);
    adam_q.step(trial.q.values(), gradient.q, t, rate);
  }
  report.bias_after = best;
  report.seconds = seconds();
  return report;
}

}  // namespace ballast::tune
