// A fine-tuning method: what happens with the gradient of each trained matrix. All methods, baselines
// included, are values behind this one interface, and the Trainer drives them all the same way.
//
// The life of a step: begin_step; for each micro-batch, before_forward(ℓ) for ℓ = 0 … L−1, then
// after_backward(ℓ) for ℓ = L−1 … 0; finish_step. Everything runs on the device's thread; what a method does
// on the host it leaves to the Engine.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ballast/model/block_model.h"
#include "ballast/tune/device.h"
#include "ballast/tune/engine.h"
#include "ballast/tune/learner.h"
#include "ballast/tune/projector.h"
#include "ballast/tune/simulate.h"

namespace ballast::tune {

/// One trained matrix with its own optimizer state.
struct Unit {
  std::int64_t id = 0;
  std::int64_t block = 0;
  std::string name;  ///< "attn_q", ...
  std::shared_ptr<model::LinearImpl> layer;
  std::int64_t rows() const { return layer->out(); }
  std::int64_t cols() const { return layer->in(); }
  std::int64_t size() const { return rows() * cols(); }
  std::string path() const { return "blk." + std::to_string(block) + "." + name; }
};
std::vector<Unit> units_of(model::BlockModel& model);

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double decay = 0;  ///< decoupled weight decay λ
};

/// What a gradient's norm is held against: nothing; its own unit's; that of all units in the step before;
/// that of all units in this step, for which every update waits for the end of the backward pass.
enum class Clip { none, unit, global_prev, global_sync };

/// The same for all methods of a comparison.
struct MethodContext {
  model::BlockModel* model = nullptr;
  EmulatedDevice* device = nullptr;
  std::vector<Unit> units;
  AdamOptions adam = {};
  Clip clip = Clip::none;
  double clip_norm = 1.0;
  std::uint64_t seed = 1;
};

/// How well a unit's projectors fit the last calibration gradient.
struct UnitBias {
  std::string unit;
  std::int64_t rows = 0, cols = 0, d = 0;
  double before = 0;     ///< relative bias when the check began
  double after = 0;      ///< after fitting, or the same when they were kept
  bool changed = false;  ///< a new subspace was taken
  FitReport fit = {};
};

/// A tensor of a method's state, by name; the handle shares its storage with
/// the method.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// What a step must know.
struct StepPlan {
  std::int64_t step = 0;  ///< from 0
  double rate = 1e-4;     ///< η of this step
  int micro_batches = 1;
};

class Method {
 public:
  virtual ~Method() = default;
  virtual std::string name() const = 0;
  /// Allocates state and installs the units' paths. Called once; throws DeviceOutOfMemory when it does not
  /// fit.
  virtual void attach(const MethodContext& context) = 0;
  /// Dense gradients are wanted before the first step, and every check_every()
  /// steps (0: never again).
  virtual bool wants_calibration() const { return false; }
  virtual std::int64_t check_every() const { return 0; }
  /// `gradient(unit)` computes a unit's mean dense gradient on the calibration
  /// set; device memory for one at a time. Nothing is in flight meanwhile.
  virtual std::vector<UnitBias> calibrate(std::int64_t step,
                                          const std::function<at::Tensor(const Unit&)>& gradient);

  virtual void begin_step(const StepPlan& plan) = 0;
  virtual void before_forward(std::int64_t block) = 0;
  virtual void before_backward(std::int64_t) {}
  virtual void after_backward(std::int64_t block, bool last_micro_batch) = 0;
  virtual void finish_step() = 0;
  /// Drops what the micro-batches so far have gathered; no update happens in
  /// this step.
  virtual void abandon_step() = 0;
  /// In-flight work is done and applied when this returns.
  virtual void settle() {}
  /// Brings adapters into the weights, after which training cannot go on. For export.
  virtual void merge() {}
  /// All that a continuation needs, after settle(). Same names in the same
  /// order for the same options.
  virtual NamedTensors state() { return {}; }
  /// Called when the tensors of state() have been filled from a checkpoint.
  virtual void restored() {}
  /// The schedule that a modelled clock should follow, and the bytes that each
  /// unit sends and gets back.
  virtual std::optional<Schedule> schedule() const { return std::nullopt; }
  virtual std::int64_t payload_bytes(const Unit&) const { return 0; }
  /// For methods whose use of the link is not the engine's: a step by the modelled clock.
  virtual std::optional<SimulatedStep> modelled_step(const StepCosts&, const SimulatedMachine&) const {
    return std::nullopt;
  }
  /// Gradients waiting for the link that stop the backward pass; 0: no limit.
  virtual std::int64_t bucket_bytes() const { return 0; }
  /// Null when nothing crosses the link.
  virtual Engine* engine() { return nullptr; }
  /// False when a value that is not finite was met in the last finished step.
  virtual bool healthy() const { return true; }
};

/// When a check takes a new subspace: always; when the bias exceeds α; when it
/// has grown by a tenth since the last fit.
enum class Relearn { never, always, threshold, drift };
Relearn relearn_from_string(const std::string& word);

struct LspOptions {
  double fraction = 0.5;  ///< d = fraction · min(m, n)
  std::int64_t d = 0;     ///< overrides fraction when positive
  int r = 8;
  ProjectorInit init = ProjectorInit::sign;
  bool learned = true;  ///< false: random projectors, scaled so that they start
                        ///< below a bias of 1
  /// Projectors are the leading singular vectors of the calibration gradient, dense: the best there are, at
  /// the price of d values a row. An ablation; kept as sparse projectors with r = d.
  bool svd = false;
  bool factored = true;   ///< false: form the dense gradient, then compress it
  bool reproject = true;  ///< carry Adam's moments into a new subspace; false:
                          ///< start them at zero
  std::int64_t check_every = 500;
  Relearn relearn = Relearn::drift;
  double alpha = 0.8;  ///< of Relearn::threshold
  FitOptions fit = {.iterations = 40, .rate = 0.1, .accept = 0, .max_seconds = 0};
};

/// Adam on the device, after the backward pass or inside it; `state_bits` 8 (inside only) keeps its moments
/// in a byte a value (eight_bit.h).
std::unique_ptr<Method> make_native(bool in_backward, int state_bits = 32);
/// Moments live on the host and visit the device block by block.
std::unique_ptr<Method> make_swap();
std::unique_ptr<Method> make_zero(const Schedule& schedule, const EngineOptions& options);
std::unique_ptr<Method> make_lsp(const LspOptions& lsp, const Schedule& schedule,
                                 const EngineOptions& options);
std::unique_ptr<Method> make_lora(int rank);

struct GaloreOptions {
  int rank = 16;
  std::int64_t gap = 200;  ///< steps between singular value decompositions
  double scale = 0.25;
};
std::unique_ptr<Method> make_galore(const GaloreOptions& options);

/// Adam's moments carried from the subspace of `from` into that of `to`: M' =
/// A·M·C, V' = (A∘A)·V·(C∘C) with A = P'ᵀP and C = QᵀQ'. V stays non-negative;
/// values that are not finite become 0.
void reproject_moments(const ProjectorPair& from, const ProjectorPair& to, at::Tensor& m, at::Tensor& v);

}  // namespace ballast::tune
