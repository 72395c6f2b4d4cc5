#include "ballast/federate/accountant.h"

#include <cmath>
#include <limits>
#include <string>

#include "ballast/base/errors.h"

namespace ballast::federate {
namespace {

double log_add(double a, double b) {
  const double top = std::max(a, b);
  return std::isinf(top) ? top : top + std::log(std::exp(a - top) + std::exp(b - top));
}

// log sum_k C(order,k) (1-q)^(order-k) q^k exp(k(k-1)/(2 z^2)), divided by order - 1.
double renyi(int order, double q, double z) {
  double sum = -std::numeric_limits<double>::infinity();
  for (int k = 0; k <= order; ++k) {
    const double binomial = std::lgamma(order + 1.0) - std::lgamma(k + 1.0) - std::lgamma(order - k + 1.0);
    double term = binomial + k * (k - 1.0) / (2 * z * z);
    if (k > 0) term += k * std::log(q);
    if (k < order) {
      if (q == 1) continue;
      term += (order - k) * std::log1p(-q);
    }
    sum = log_add(sum, term);
  }
  return sum / (order - 1);
}

}  // namespace

PrivacyLoss gaussian_privacy_loss(double sampling, double noise, long rounds, double delta,
                                  Conversion conversion) {
  if (!(sampling > 0 && sampling <= 1))
    throw InvalidInput("sampling", std::to_string(sampling), "a fraction in (0, 1]");
  if (!(noise > 0)) throw InvalidInput("noise", std::to_string(noise), "a factor above 0");
  if (rounds < 1) throw InvalidInput("rounds", std::to_string(rounds), "at least 1");
  if (!(delta > 0 && delta < 1))
    throw InvalidInput("delta", std::to_string(delta), "a probability in (0, 1)");
  PrivacyLoss best{std::numeric_limits<double>::infinity(), 0};
  for (int order = 2; order <= 256; ++order) {
    const double total = static_cast<double>(rounds) * renyi(order, sampling, noise);
    const double converted =
        conversion == Conversion::classic
            ? total + std::log(1 / delta) / (order - 1)
            : total + std::log((order - 1.0) / order) - (std::log(delta) + std::log(order)) / (order - 1);
    if (converted < best.epsilon) best = {converted, order};
  }
  return best;
}

}  // namespace ballast::federate
