// Training: a model on an emulated device, a method, and what is the same for all methods.
//
//   Trainer trainer(model, device, make_lsp({}, schedule_from_string("layerwise"), {}), {.rate = 1e-4, .steps
//   = 200}); trainer.calibrate(data.calibration(4, 4, 128)); for (int64_t i = 0; i < 200; ++i) StepReport
//   report = trainer.step({data.batch(i, 8, 128)}); EvalReport eval = trainer.evaluate(data.validation(8,
//   128));
//
// The device's compute runs on the calling thread, which is pinned to the device's cores while in here; the
// host's workers run on the others.
#pragma once

#include <memory>
#include <vector>

#include "ballast/tune/blocks.h"
#include "ballast/tune/device.h"
#include "ballast/tune/method.h"
#include "ballast/tune/metrics.h"
#include "ballast/tune/simulate.h"
#include "ballast/tune/timeline.h"

namespace ballast::tune {

struct TrainOptions {
  double rate = 1e-4;
  std::int64_t warmup = 0;  ///< steps of linear rise
  std::int64_t steps = 0;   ///< length of the cosine decay to zero; 0: constant rate
  bool checkpointing = false;
  bool train_norms = true;  ///< norms and biases, by Adam on the device
  AdamOptions adam = {};
  Clip clip = Clip::none;
  double clip_norm = 1.0;
  bool record = false;  ///< keep intervals for a trace
  std::uint64_t seed = 1;
};

struct StepReport {
  std::int64_t step = 0;
  double loss = 0;
  std::int64_t tokens = 0;
  double seconds = 0;    ///< wall time of this call
  bool skipped = false;  ///< a value that was not finite
  Breakdown breakdown;   ///< measured; link and host rate emulated
  StepCosts costs;       ///< processor seconds by block, and bytes by unit: what a modelled clock needs
};

struct CalibrationReport {
  double seconds = 0;            ///< wall
  double processor_seconds = 0;  ///< of the device's thread
  std::int64_t bytes = 0;        ///< over the link, both ways
  std::vector<UnitBias> biases;
};

struct EvalReport {
  double loss = 0;          ///< nats a token
  double perplexity = 0;    ///< e^loss
  double accuracy = 0;      ///< next-token, or of classes
  std::int64_t tokens = 0;  ///< trained tokens, or sequences
  /// Of a task on whole sequences: what was predicted and what is true, and the figures of merit.
  std::vector<double> predictions = {}, truths = {};
  Metrics metrics = {};
};

/// η of a step (from 0): linear rise over `warmup` steps, then cosine to zero at `steps`, or constant.
double scheduled_rate(const TrainOptions& options, std::int64_t step);

class Trainer {
 public:
  Trainer(model::BlockModel& model, EmulatedDevice& device, std::unique_ptr<Method> method,
          TrainOptions options);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Lets the method see dense gradients of these batches: fits projectors, or checks and changes them. The
  /// time it takes counts as training time.
  CalibrationReport calibrate(const std::vector<model::TokenBatch>& batches);
  /// One optimizer step over the micro-batches. Throws DeviceOutOfMemory, or what a worker met; a step whose
  /// loss is not finite changes nothing and is reported as skipped. After three in a row it throws
  /// Unavailable.
  StepReport step(const std::vector<model::TokenBatch>& micro_batches);
  EvalReport evaluate(const std::vector<model::TokenBatch>& batches);
  /// Whether the method wants to see the calibration set before the next step.
  bool wants_calibration() const;
  /// Everything that a continuation needs but the data: weights, moments,
  /// projectors, the step. Tensors share their storage with the trainer; call
  /// settle() first.
  NamedTensors state();
  /// To be called when the tensors of state() have been filled.
  void restored(std::int64_t steps_done);
  /// Done before weights are read, saved or compared.
  void settle();

  Method& method() { return *method_; }
  std::int64_t steps_done() const { return step_; }
  std::vector<Interval> take_intervals();

 private:
  void update_others(std::int64_t block, double rate);
  model::BlockModel& model_;
  EmulatedDevice& device_;
  std::unique_ptr<Method> method_;
  TrainOptions options_;
  MethodContext context_;
  struct Other {
    std::int64_t block;  // block_count() for what stands after the last block
    at::Tensor parameter, m, v;
  };
  std::vector<Other> others_;
  std::int64_t step_ = 0;
  std::int64_t calibrated_at_ = -1;  // the step before which it was done last
  int bad_in_a_row_ = 0;
  std::vector<Interval> intervals_;
};

/// Seconds of one forward and backward pass with dense weight gradients and no update: the compute bound.
/// Median of `rounds` after one warm-up. Leaves the units' paths removed.
struct ComputeTimes {
  double forward = 0, backward = 0;  ///< wall
  double processor = 0;              ///< of the thread, both passes
  double total() const { return forward + backward; }
};
ComputeTimes measure_compute(model::BlockModel& model, EmulatedDevice& device, const model::TokenBatch& batch,
                             bool checkpointing, int rounds = 3);

}  // namespace ballast::tune
