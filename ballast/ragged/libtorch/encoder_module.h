// The ragged encoder as a torch::nn::Module: the same weights as a torch::nn::TransformerEncoder, no padding.
// Header only: link ballast::ragged and torch. Inference on the CPU in fp32.
//
//   torch::nn::TransformerEncoder theirs(layer_options, 6);          // trained, or loaded
//   RaggedEncoder ours(theirs);
//   torch::NoGradGuard inference;
//   RaggedBatch out = ours(from_padded(x, lengths));                 // or ours->forward_padded(x, lengths)
//
// The weights are registered as buffers of the module (state is saved and moved with it); they are copied
// into the engine's form when the module is made and, after they changed, by refresh().
#pragma once

#include <memory>
#include <mutex>

#include "ballast/ragged/encoder.h"
#include "ballast/ragged/libtorch/ragged_batch.h"
#include "ballast/ragged/prelude_cache.h"

namespace ballast::ragged {

struct RaggedEncoderOptions {
  std::int64_t max_length = 4096;  ///< the longest sequence that forward accepts
  int threads = 0;                 ///< 0: all cores
  bool causal = false;             ///< a row sees itself and those before it
};

class RaggedEncoderImpl : public torch::nn::Module {
 public:
  explicit RaggedEncoderImpl(const torch::nn::TransformerEncoderLayer& layer,
                             const RaggedEncoderOptions& options = {})
      : RaggedEncoderImpl(std::vector<torch::nn::TransformerEncoderLayer>{layer}, options) {}

  explicit RaggedEncoderImpl(const torch::nn::TransformerEncoder& stack,
                             const RaggedEncoderOptions& options = {})
      : RaggedEncoderImpl(layers_of(stack), options) {}

  explicit RaggedEncoderImpl(const std::vector<torch::nn::TransformerEncoderLayer>& layers,
                             const RaggedEncoderOptions& options = {})
      : launcher_(std::make_unique<loop::Launcher>(options.threads)) {
    if (layers.empty()) throw InvalidInput("layers of the encoder", "0", "at least 1");
    const auto& first = layers[0]->options;
    config_.layers = static_cast<std::int64_t>(layers.size());
    config_.model = first.d_model();
    config_.heads = first.nhead();
    config_.feed_forward = first.dim_feedforward();
    config_.max_length = options.max_length;
    config_.causal = options.causal;
    config_.epsilon = layers[0]->norm1->options.eps();
    config_.activation = activation_of(first.activation());
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const auto& theirs = layers[l];
      const auto keep = [&](const char* name, const torch::Tensor& t) {
        buffers_.push_back(register_buffer("layer" + std::to_string(l) + "_" + name, t.detach().clone()));
      };
      keep("in_proj_weight", theirs->self_attn->in_proj_weight);
      keep("in_proj_bias", theirs->self_attn->in_proj_bias);
      keep("out_proj_weight", theirs->self_attn->out_proj->weight);
      keep("out_proj_bias", theirs->self_attn->out_proj->bias);
      keep("norm1_weight", theirs->norm1->weight);
      keep("norm1_bias", theirs->norm1->bias);
      keep("linear1_weight", theirs->linear1->weight);
      keep("linear1_bias", theirs->linear1->bias);
      keep("linear2_weight", theirs->linear2->weight);
      keep("linear2_bias", theirs->linear2->bias);
      keep("norm2_weight", theirs->norm2->weight);
      keep("norm2_bias", theirs->norm2->bias);
    }
    refresh();
  }

  /// Copies the module's buffers into the engine again: after load() or a change of them.
  void refresh() {
    std::vector<LayerWeights> weights;
    for (std::size_t at = 0; at < buffers_.size(); at += 12) {
      const auto part = [&](std::size_t i) {
        const torch::Tensor t = buffers_[at + i].to(torch::kCPU, torch::kFloat).contiguous();
        return std::vector<float>(t.data_ptr<float>(), t.data_ptr<float>() + t.numel());
      };
      // LayerWeights: qkv, out, norm1, up, down, norm2; torch's order above is the same.
      weights.push_back({part(0), part(1), part(2), part(3), part(4), part(5), part(6), part(7), part(8),
                         part(9), part(10), part(11)});
    }
    encoder_ = std::make_unique<Encoder>(registry_, config_, weights);
  }

  /// Throws InvalidInput for rows of another size, sequences beyond max_length, and inputs that want a
  /// gradient.
  RaggedBatch forward(const RaggedBatch& batch) {
    const torch::Tensor x = internal::plain_floats(batch.values(), "values", 2);
    if (x.size(1) != config_.model)
      throw InvalidInput("columns of the values", std::to_string(x.size(1)), std::to_string(config_.model));
    torch::Tensor hidden = x.detach().clone();
    const std::lock_guard lock(mutex_);  // one workspace
    const auto plan = preludes_.plan(batch.lengths(), config_.max_length);
    encoder_->forward(*launcher_, *plan, hidden.data_ptr<float>(), workspace_);
    return {hidden, batch.lengths()};
  }

  /// [B, longest, d] and lengths [B] to [B, longest, d]; rows beyond a sequence's end are zeros.
  torch::Tensor forward_padded(const torch::Tensor& padded, const torch::Tensor& lengths) {
    const torch::Tensor out = to_padded(forward(from_padded(padded, lengths)));
    const std::int64_t missing = padded.size(1) - out.size(1);
    return missing == 0 ? out : torch::constant_pad_nd(out, {0, 0, 0, missing}, 0);
  }

  const EncoderConfig& config() const { return config_; }

 private:
  static std::vector<torch::nn::TransformerEncoderLayer> layers_of(const torch::nn::TransformerEncoder& s) {
    if (!s->norm.is_empty())
      throw InvalidInput(
          "the encoder has a norm behind its last layer: apply it to the values of the result");
    std::vector<torch::nn::TransformerEncoderLayer> all;
    for (const auto& module : *s->layers)
      all.emplace_back(std::dynamic_pointer_cast<torch::nn::TransformerEncoderLayerImpl>(module));
    return all;
  }
  template <typename Choice>
  static Activation activation_of(const Choice& choice) {
    // c10::variant in libtorch 1.x, std::variant in 2.x: found by the argument.
    if (get_if<torch::enumtype::kGELU>(&choice)) return Activation::gelu;
    if (get_if<torch::enumtype::kReLU>(&choice)) return Activation::relu;
    throw InvalidInput("activation of the layer", "a function", "torch::kReLU or torch::kGELU");
  }

  EncoderConfig config_;
  std::vector<torch::Tensor> buffers_;
  loop::KernelRegistry registry_;
  std::unique_ptr<loop::Launcher> launcher_;
  std::unique_ptr<Encoder> encoder_;
  PreludeCache preludes_;
  Workspace workspace_;
  std::mutex mutex_;
};
TORCH_MODULE(RaggedEncoder);

/// One call: a padded batch through one layer's weights without computing the padding.
inline torch::Tensor torch_encoder(const torch::Tensor& padded, const torch::Tensor& lengths,
                                   const torch::nn::TransformerEncoderLayer& layer) {
  return RaggedEncoder(layer)->forward_padded(padded, lengths);
}

}  // namespace ballast::ragged
