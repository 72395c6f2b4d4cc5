#include "ballast/model/linear.h"

#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::model {

LinearImpl::LinearImpl(std::int64_t in, std::int64_t out, bool with_bias) {
  if (in < 1 || out < 1) {
    throw InvalidInput("linear layer", std::to_string(in) + " inputs, " + std::to_string(out) + " outputs",
                       "at least one of each");
  }
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  weight = register_parameter("weight", torch::empty({out, in}).uniform_(-bound, bound));
  if (with_bias) bias = register_parameter("bias", torch::zeros({out}));
}

at::Tensor LinearImpl::forward(const at::Tensor& x) {
  return path ? path->forward(*this, x) : at::linear(x, weight, bias);
}

}  // namespace ballast::model
