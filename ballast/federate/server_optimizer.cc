#include "ballast/federate/server_optimizer.h"

#include <algorithm>
#include <cmath>

namespace ballast::federate {

std::vector<std::string> server_optimizer_names() {
  return {"none", "fedavgm", "fedadagrad", "fedadam", "fedyogi", "flash"};
}

Params server_step(const std::string& name, ServerOptimizerState& state, const Params& start,
                   const Params& mean) {
  if (name.empty() || name == "none") return mean;
  constexpr double rate = 1e-2, beta1 = 0.9, beta2 = 0.99, tau = 1e-3;
  const std::size_t size = start.size();
  state.m.resize(size, 0);
  state.v.resize(size, 0);
  state.d.resize(size, 0);
  Params next(size);
  for (std::size_t i = 0; i < size; ++i) {
    const double delta = static_cast<double>(mean[i]) - start[i], square = delta * delta;
    double &m = state.m[i], &v = state.v[i], &d = state.d[i];
    double step;
    if (name == "fedavgm") {
      m = beta1 * m + delta;
      step = m;
    } else {
      m = beta1 * m + (1 - beta1) * delta;
      if (name == "fedadagrad") v += square;
      if (name == "fedadam" || name == "flash") v = beta2 * v + (1 - beta2) * square;
      if (name == "fedyogi") v -= (1 - beta2) * square * (v > square ? 1 : v < square ? -1 : 0);
      double divisor = std::sqrt(v) + tau;
      if (name == "flash") {
        const double change = std::abs(square - v);
        const double beta3 = std::abs(v) + change == 0 ? 0 : std::abs(v) / (change + std::abs(v));
        d = beta3 * d + (1 - beta3) * (square - v);
        divisor = std::max(std::sqrt(v) - d + tau, tau);
      }
      step = rate * m / divisor;
    }
    next[i] = static_cast<float>(start[i] + step);
  }
  return next;
}

}  // namespace ballast::federate
