#include "ballast/tune/paths.h"

namespace ballast::tune {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows of all leading dimensions.
at::Tensor rows(const at::Tensor& x) {
  return x.reshape({-1, x.size(-1)});
}

template <typename Pointer>
std::int64_t word(Pointer* pointer) {
  return reinterpret_cast<std::int64_t>(pointer);
}

struct DenseFunction : torch::autograd::Function<DenseFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            std::int64_t path) {
    context->save_for_backward({x, weight});
    context->saved_data["path"] = path;
    return at::linear(x, weight);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto* path = reinterpret_cast<const DensePath*>(context->saved_data["path"].toInt());
    const at::Tensor& y = grads[0];
    if (path->sink) path->sink(rows(y).t().matmul(rows(saved[0])));
    return {y.matmul(saved[1]), {}, {}};
  }
};

struct FactoredFunction : torch::autograd::Function<FactoredFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            std::int64_t path) {
    const auto* factored = reinterpret_cast<const FactoredPath*>(path);
    // (XQ)ᵀ = QᵀXᵀ, [d, tokens]
    context->save_for_backward({factored->pair->q.gather(rows(x).t()), weight});
    context->saved_data["path"] = path;
    return at::linear(x, weight);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto* path = reinterpret_cast<const FactoredPath*>(context->saved_data["path"].toInt());
    const at::Tensor& y = grads[0];
    const at::Tensor b = path->pair->p.gather(rows(y).t());  // (Y'P)ᵀ, [d, tokens]
    if (path->sink) path->sink(b.matmul(saved[0].t()));
    return {y.matmul(saved[1]), {}, {}};
  }
};

struct FrozenFunction : torch::autograd::Function<FrozenFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight) {
    context->save_for_backward({weight});
    return at::linear(x, weight);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    return {grads[0].matmul(context->get_saved_variables()[0]), {}};
  }
};

at::Tensor with_bias(const model::LinearImpl& layer, const at::Tensor& y) {
  return layer.bias.defined() ? y + layer.bias : y;
}

}  // namespace

at::Tensor DensePath::forward(model::LinearImpl& layer, const at::Tensor& x) {
  if (!at::GradMode::is_enabled()) return at::linear(x, layer.weight, layer.bias);
  return with_bias(layer, DenseFunction::apply(x, layer.weight, word(this)));
}

at::Tensor FactoredPath::forward(model::LinearImpl& layer, const at::Tensor& x) {
  if (!at::GradMode::is_enabled()) return at::linear(x, layer.weight, layer.bias);
  return with_bias(layer, FactoredFunction::apply(x, layer.weight, word(this)));
}

at::Tensor FrozenPath::forward(model::LinearImpl& layer, const at::Tensor& x) {
  if (!at::GradMode::is_enabled()) return at::linear(x, layer.weight, layer.bias);
  return with_bias(layer, FrozenFunction::apply(x, layer.weight));
}

at::Tensor LoraPath::forward(model::LinearImpl& layer, const at::Tensor& x) {
  const at::Tensor low = at::linear(at::linear(x, a), b) * scale;
  if (!at::GradMode::is_enabled()) return at::linear(x, layer.weight, layer.bias) + low;
  return with_bias(layer, FrozenFunction::apply(x, layer.weight)) + low;
}

}  // namespace ballast::tune
