// The fused trainer for the small multilayer perceptron: forward, backward and optimizer of one mini-batch in
// one pass, samples across vector lanes. It exists because a general framework spends its time on dispatch at
// this size; its slow twin is the libtorch model of the same layout, and the two are compared step by step in
// the tests.
//
// Buffers are lane-major: value [unit][lane], lanes a multiple of 16, mini-batches larger than kLanes in
// chunks.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ballast/base/random.h"
#include "ballast/federate/params.h"
#include "ballast/federate/samples.h"

namespace ballast::federate {

/// How well a model does on some samples: count, sums of loss and squared loss, correct answers.
struct ScoreStat {
  std::uint64_t n = 0;
  double loss_sum = 0, loss_sq_sum = 0;
  std::uint64_t correct = 0;
  double brier_sum = 0;  ///< sum of (1 - probability of the true class)^2

  double mean_loss() const { return loss_sum / static_cast<double>(n); }
  double error() const { return 1 - static_cast<double>(correct) / static_cast<double>(n); }
  ScoreStat& operator+=(const ScoreStat& other);
  bool operator==(const ScoreStat&) const = default;
  void archive(Archive& a) { a& n& loss_sum& loss_sq_sum& correct& brier_sum; }
};

/// Adam with AMSGrad and weight decay in the gradient, as in FedDrift's experiments; `adam = false` is plain
/// SGD.
struct OptimizerConfig {
  bool adam = true;
  float learning_rate = 1e-2f;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float weight_decay = 1e-3f;
  bool amsgrad = true;
  float momentum = 0;  ///< of plain SGD
  float prox = 0;      ///< FedProx: mu of mu/2 |params - start of the round|^2
};

/// Lives on the client for all rounds of one time step.
struct OptimizerState {
  std::vector<float> m, v, v_max;
  double beta1_power = 1, beta2_power = 1;  ///< beta^t
  void archive(Archive& a) { a& m& v& v_max& beta1_power& beta2_power; }
};

/// The samples from which a client draws for one model: batches with a draw probability proportional to
/// weight * size.
class DrawTable {
 public:
  void add(const Samples& batch, double weight);
  bool empty() const { return total_ == 0; }
  /// Samples in the table, by count (the N of FedAvg).
  std::uint64_t samples() const { return samples_; }
  struct Pick {
    const float* x;
    std::int32_t y;
  };
  Pick pick(std::uint32_t word) const;

 private:
  struct Part {
    const Samples* batch;
    double end;  ///< running sum of weight * size
    double inverse_weight;
  };
  std::vector<Part> parts_;
  double total_ = 0;
  std::uint64_t samples_ = 0;
};

/// What a round draws from a table: four picks of each block of Philox under `key`.
class DrawSequence {
 public:
  DrawSequence(const DrawTable& table, std::uint64_t key) : table_(table), key_(key) {}
  DrawTable::Pick next() {
    if (left_ == 0) {
      words_ = philox(key_, counter_++);
      left_ = 4;
    }
    return table_.pick(words_[--left_]);
  }

 private:
  const DrawTable& table_;
  std::uint64_t key_, counter_ = 0;
  std::array<std::uint32_t, 4> words_{};
  std::size_t left_ = 0;
};

/// `count` indices below `size`, with replacement, for scores on a sub-sample.
std::vector<std::uint32_t> drawn_indices(std::size_t size, std::uint64_t count, std::uint64_t key);

/// One optimizer step. `gradients` is the sum over the batch and is changed; `scale` is one over the batch's
/// size; `anchor`, where given, is what FedProx pulls towards.
void optimizer_step(Params& params, OptimizerState& state, const OptimizerConfig& config,
                    std::span<float> gradients, float scale, const float* anchor);

/// Whoever trains and scores models of one shape for a client. Not shared between threads.
class LocalTrainer {
 public:
  virtual ~LocalTrainer() = default;
  virtual void train(Params& params, OptimizerState& state, const OptimizerConfig& config,
                     const DrawTable& table, int steps, int batch, std::uint64_t key) = 0;
  virtual ScoreStat score(const Params& params, const Samples& samples) = 0;
  virtual ScoreStat score_drawn(const Params& params, const Samples& samples, std::uint64_t count,
                                std::uint64_t key) = 0;
  virtual std::vector<std::int32_t> predict(const Params& params, const Samples& samples) = 0;
};

/// The fused trainer for mlp, else a worker process of libtorch (torch_trainer.h).
std::unique_ptr<LocalTrainer> make_trainer(const ModelShape& shape);

/// One worker's scratch memory.
class Trainer final : public LocalTrainer {
 public:
  explicit Trainer(const ModelShape& shape);

  /// `steps` optimizer steps of `batch` samples each, drawn with Philox keyed by `key`. Changes params and
  /// state.
  void train(Params& params, OptimizerState& state, const OptimizerConfig& config, const DrawTable& table,
             int steps, int batch, std::uint64_t key) override;

  /// One step on exactly these samples; returns their mean loss before it. The twin of a framework's step.
  double step_on(Params& params, OptimizerState& state, const OptimizerConfig& config,
                 std::span<const DrawTable::Pick> picks);

  ScoreStat score(const Params& params, const Samples& samples) override;
  /// On `count` samples drawn with `key` (with replacement); all of them once if count covers the batch.
  ScoreStat score_drawn(const Params& params, const Samples& samples, std::uint64_t count,
                        std::uint64_t key) override;
  /// The class with the largest logit for each sample.
  std::vector<std::int32_t> predict(const Params& params, const Samples& samples) override;

 private:
  void forward(const Params& params, std::span<const DrawTable::Pick> picks);
  void softmax_and_loss(std::span<const DrawTable::Pick> picks, ScoreStat* stat);
  void backward(const Params& params, std::span<const DrawTable::Pick> picks);
  ScoreStat score_picks(const Params& params, const Samples& samples, std::span<const std::uint32_t> indices);

  static constexpr std::size_t kLanes = 64;
  ModelShape shape_;
  std::vector<float> x_, hidden_, logits_, d_logits_, d_hidden_, gradient_;
};

}  // namespace ballast::federate
