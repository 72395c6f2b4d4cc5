// A transformer encoder (post-norm, as BERT's and PyTorch's TransformerEncoderLayer) over ragged batches.
//
//   Encoder encoder(registry, config, weights);               // packs the weights once
//   Plan plan = Plan::ragged(lengths);                        // once a batch
//   encoder.forward(launcher, plan, hidden, workspace);       // [plan.rows, d] in place; no allocation after
//   warm-up
//
// A sequence's output is the same bits alone, in any batch, in any order and with any number of threads.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ballast/loop/kernel.h"
#include "ballast/ragged/encoder_kernels.h"
#include "ballast/ragged/plan.h"

namespace ballast::ragged {

struct EncoderConfig {
  std::int64_t layers = 1, model = 512, heads = 8, feed_forward = 2048, max_length = 512;
  Activation activation = Activation::relu;
  double epsilon = 1e-5;
  bool causal = false;
  bool packed_weights = true;  ///< false for library products, which take plain matrices
  std::int64_t row_tile = 96;
  loop::Balance balance = loop::Balance::cost_prefix;
  /// false: attention of ragged plans as one kernel an operator (scores in memory), for ablations; without
  /// causal masks.
  bool fused_attention = true;
  /// A row whose mask lets it see nothing gives zeros, or NaN as PyTorch has it.
  bool nan_for_masked_rows = false;
};

/// PyTorch's layout: a weight is [out, in]; Q, K and V are stacked in this order.
struct LayerWeights {
  std::vector<float> qkv, qkv_bias, out, out_bias, norm1, norm1_bias, up, up_bias, down, down_bias, norm2,
      norm2_bias;
  /// Throws InvalidInput naming the tensor whose size does not fit.
  void check(const EncoderConfig& config, std::int64_t layer) const;
};
/// Uniform in +-1/sqrt(in), norms near one: for benchmarks and tests.
std::vector<LayerWeights> random_weights(const EncoderConfig& config, std::uint64_t seed);

/// Activations of a forward pass; grows to the largest batch and stays.
class Workspace {
 public:
  struct Views {
    float *qkv, *attention, *middle, *feed;
  };
  /// Space of a packed plan's padded copies.
  std::vector<float> dense_qkv, dense_attention;
  Views views(std::int64_t rows, const EncoderConfig& config);
  std::int64_t bytes() const { return static_cast<std::int64_t>(memory_.size()) * 4; }

 private:
  std::vector<float> memory_;
};

/// Seconds spent by operator since construction; filled when asked for.
struct OperatorTimes {
  double qkv = 0, attention = 0, projection = 0, up = 0, down = 0;
};

class Encoder {
 public:
  Encoder(loop::KernelRegistry& registry, EncoderConfig config, const std::vector<LayerWeights>& weights,
          Mask mask = {});

  const EncoderConfig& config() const { return config_; }
  void forward(loop::Launcher& launcher, const Plan& plan, float* hidden, Workspace& workspace,
               OperatorTimes* times = nullptr) const;
  /// The packed plan of FasterTransformer: token-wise operators on `plan`, attention on `dense` (the same
  /// sequences padded), with the copies in and out. A baseline.
  void forward_packed(loop::Launcher& launcher, const Plan& plan, const Plan& dense, float* hidden,
                      Workspace& workspace, OperatorTimes* times = nullptr) const;
  /// Attention alone: [rows, 3 d] to [rows, d].
  void attend(loop::Launcher& launcher, const Plan& plan, const float* qkv, float* out) const;
  /// Multi-head attention without the residual and the norm: qkv projection, attention, output projection.
  void multi_head(loop::Launcher& launcher, const Plan& plan, const float* hidden, float* out,
                  Workspace& workspace) const;

  struct Packed {
    std::vector<float> qkv, qkv_bias, out, out_bias, norm1, norm1_bias, up, up_bias, down, down_bias, norm2,
        norm2_bias;
  };

 private:
  EncoderConfig config_;
  std::vector<Packed> layers_;
  void layer(loop::Launcher& launcher, const Plan& plan, const Plan* dense, const Packed& w, float* hidden,
             Workspace& workspace, OperatorTimes* times) const;
  void run(loop::Launcher& launcher, const loop::CompiledKernel& kernel,
           std::initializer_list<const void*> buffers, std::int64_t scalar,
           std::initializer_list<const std::int32_t*> aux = {}) const;
  std::shared_ptr<const loop::CompiledKernel> qkv_, attention_, project_, project_plain_, up_, down_;
  struct Unfused;
  std::shared_ptr<Unfused> unfused_;
};

/// The oracle: double precision, one sequence at a time, loops as in the textbook. hidden [rows, d] in place.
void reference_encoder(const EncoderConfig& config, const std::vector<LayerWeights>& weights,
                       std::span<const std::int32_t> lengths, std::vector<double>& hidden);

}  // namespace ballast::ragged
