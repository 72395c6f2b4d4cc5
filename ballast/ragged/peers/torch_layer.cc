#include "ballast/ragged/peers/torch_layer.h"

#ifdef BALLAST_HAVE_TORCH
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

namespace ballast::ragged {
namespace {

torch::Tensor tensor(const std::vector<float>& v, std::vector<std::int64_t> shape) {
  return torch::from_blob(const_cast<float*>(v.data()), shape, torch::kFloat).clone();
}

}  // namespace

struct TorchEncoder::State {
  EncoderConfig config;
  struct Layer {
    torch::Tensor qkv, qkv_bias, out, out_bias, norm1, norm1_bias, up, up_bias, down, down_bias, norm2,
        norm2_bias;
  };
  std::vector<Layer> layers;
};

TorchEncoder::TorchEncoder(const EncoderConfig& c, const std::vector<LayerWeights>& weights, int threads)
    : state_(std::make_unique<State>()) {
  torch::set_num_threads(threads);
  state_->config = c;
  const std::int64_t d = c.model, f = c.feed_forward;
  for (const LayerWeights& w : weights)
    state_->layers.push_back({tensor(w.qkv, {3 * d, d}), tensor(w.qkv_bias, {3 * d}), tensor(w.out, {d, d}),
                              tensor(w.out_bias, {d}), tensor(w.norm1, {d}), tensor(w.norm1_bias, {d}),
                              tensor(w.up, {f, d}), tensor(w.up_bias, {f}), tensor(w.down, {d, f}),
                              tensor(w.down_bias, {d}), tensor(w.norm2, {d}), tensor(w.norm2_bias, {d})});
}
TorchEncoder::~TorchEncoder() = default;

std::vector<float> TorchEncoder::forward(std::span<const float> hidden, std::span<const std::int32_t> lengths,
                                         bool attention_only) {
  const torch::NoGradGuard inference;
  const EncoderConfig& c = state_->config;
  const auto batch = static_cast<std::int64_t>(lengths.size());
  const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end()), d = c.model,
                     size = d / c.heads;
  torch::Tensor x = torch::from_blob(const_cast<float*>(hidden.data()), {batch, longest, d}, torch::kFloat);
  torch::Tensor mask = torch::zeros({batch, 1, 1, longest});
  for (std::int64_t b = 0; b < batch; ++b)
    mask.index_put_({b, 0, 0, torch::indexing::Slice(lengths[static_cast<std::size_t>(b)])}, -INFINITY);
  if (c.causal) mask = mask + torch::full({longest, longest}, -INFINITY).triu(1);
  for (const State::Layer& w : state_->layers) {
    const torch::Tensor qkv =
        torch::linear(x, w.qkv, w.qkv_bias).view({batch, longest, 3, c.heads, size}).permute({2, 0, 3, 1, 4});
    torch::Tensor scores =
        torch::matmul(qkv[0] * (1 / std::sqrt(static_cast<double>(size))), qkv[1].transpose(-2, -1))
            .add_(mask);
    const torch::Tensor mixed =
        torch::matmul(torch::softmax(scores, -1), qkv[2]).transpose(1, 2).reshape({batch, longest, d});
    const torch::Tensor projected = torch::linear(mixed, w.out, w.out_bias);
    if (attention_only) {
      x = projected;
      continue;
    }
    x = torch::layer_norm(x + projected, {d}, w.norm1, w.norm1_bias, c.epsilon);
    torch::Tensor up = torch::linear(x, w.up, w.up_bias);
    up = c.activation == Activation::gelu   ? torch::gelu(up)
         : c.activation == Activation::relu ? up.relu_()
                                            : up;
    x = torch::layer_norm(x + torch::linear(up, w.down, w.down_bias), {d}, w.norm2, w.norm2_bias, c.epsilon);
  }
  x = x.contiguous();
  return {x.data_ptr<float>(), x.data_ptr<float>() + x.numel()};
}

bool TorchEncoder::available() {
  return true;
}
std::string TorchEncoder::version() {
  return TORCH_VERSION;
}

}  // namespace ballast::ragged

#else

#include "ballast/base/errors.h"

namespace ballast::ragged {

struct TorchEncoder::State {};
TorchEncoder::TorchEncoder(const EncoderConfig&, const std::vector<LayerWeights>&, int) {
  throw Unavailable("libtorch was not found when Ballast was built");
}
TorchEncoder::~TorchEncoder() = default;
std::vector<float> TorchEncoder::forward(std::span<const float>, std::span<const std::int32_t>, bool) {
  return {};
}
bool TorchEncoder::available() {
  return false;
}
std::string TorchEncoder::version() {
  return "";
}

}  // namespace ballast::ragged
#endif
