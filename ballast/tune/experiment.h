// One training run as a value: what `ballast tune run` does once and `bench` does for several methods under
// the same model, text, seed and limits.
//
//   Workload workload = load_workload({.model = "smollm2", .keep_blocks = 8, .text =
//   "/usr/share/common-licenses"}); Limits limits = match_limits(workload, {.regime = "laptop"}); RunResult
//   result = run_method(workload, limits, {.method = "lsp", .rate = 1e-4, .seconds = 20});
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ballast/tune/corpus.h"
#include "ballast/tune/model_source.h"
#include "ballast/tune/task_data.h"
#include "ballast/tune/trainer.h"

namespace ballast::tune {

struct WorkloadOptions {
  std::string model = "smollm2";  ///< see open_model() in model_source.h
  std::int64_t keep_blocks = 0;
  std::string text = "/usr/share/common-licenses";  ///< a file or a folder of text files
  std::string data =
      {};  ///< instructions (instructions.h) or labelled texts (task_data.h), in place of the text
  std::string task = "auto";  ///< clm, sft, cls, pair, regress; auto: sft with data, else clm
  std::string pooling =
      "auto";             ///< of a task's head: first, mean or last; auto: mean for MiniLM, last for decoders
  std::int64_t rows = 4;  ///< sequences of a batch
  std::int64_t window = 128;     ///< tokens of a sequence
  std::int64_t calibration = 8;  ///< sequences held aside to fit projectors
  bool checkpointing = false;
  std::uint64_t seed = 1;
};

struct Workload {
  WorkloadOptions options;
  ModelSource source;
  Task task = Task::clm;
  std::vector<std::string> classes;  ///< of cls and pair
  std::shared_ptr<Corpus> corpus;
  std::string label;  ///< "SmolLM2-135M, 8 blocks"
  /// A fresh copy of the starting weights, with a head for tasks on whole sequences.
  std::function<std::shared_ptr<model::BlockModel>()> fresh;
};
/// Throws InvalidInput for a task that the model or the data does not fit.
Workload load_workload(const WorkloadOptions& options);

/// How time passes. `wall`: the engine waits for the emulated link and host;
/// needs an idle machine. `modelled`: nothing waits; each step's time is
/// simulated (simulate.h) from the processor time of its blocks and the limits'
/// formulas.
enum class Clock { wall, modelled };

struct LimitOptions {
  std::string regime = "laptop";
  Bytes budget = {};
  LinkSpeed link = {};   ///< overrides the regime's when d2h is positive
  double host_rate = 0;  ///< overrides the regime's when positive
  Clock clock = Clock::wall;
};

/// The limits of the emulated device, and what they were derived from.
struct Limits {
  DeviceOptions device;
  Regime regime;
  Clock clock = Clock::wall;
  ComputeTimes compute = {};  ///< measured: one batch forward and backward
  /// The compute bound by the clock in use: wall or processor seconds.
  double compute_seconds() const { return clock == Clock::wall ? compute.total() : compute.processor; }
  std::string label() const;
  std::int64_t parameters = 0;  ///< in trained matrices
};
Limits match_limits(const Workload& workload, const LimitOptions& options);

struct MethodOptions {
  std::string method = "lsp";     ///< see method_names()
  std::string schedule = "auto";  ///< auto: zero for zero, layerwise for lsp and zero+layerwise
  LspOptions lsp = {};
  int rank = 16;        ///< of lora and galore
  int state_bits = 32;  ///< of native-inbwd: 32 or 8
  GaloreOptions galore = {};
  EngineOptions engine = {};
  double rate = 1e-4;
  std::int64_t warmup = 5;
  std::int64_t steps = 0;         ///< 0: no limit (then seconds must be set)
  double seconds = 0;             ///< of training, calibration included; 0: no limit
  std::int64_t cosine_steps = 0;  ///< 0: constant rate after the warm-up
  int micro_batches = 1;
  AdamOptions adam = {};
  Clip clip = Clip::none;
  double clip_norm = 1.0;
  std::int64_t evaluate_every = 0;  ///< steps; 0: only before and after
  std::int64_t evaluate_windows = 16;
  bool record = false;
  std::uint64_t seed = 1;
  std::string checkpoint = {};  ///< a folder; empty: none
  std::int64_t save_every = 0;  ///< steps; 0: only at the end
  bool resume = false;          ///< go on from the checkpoint there
};
std::vector<std::string> method_names();
std::unique_ptr<Method> make_method(const MethodOptions& options);

struct RunPoint {
  std::int64_t step = 0;
  double seconds = 0;  ///< of training so far
  double loss = 0;
};

struct RunResult {
  std::string method;
  std::vector<RunPoint> training, validation;
  double seconds = 0;  ///< of training, calibration included, evaluation left out
  double calibration_seconds = 0;
  std::vector<UnitBias> biases;  ///< of the last calibration
  std::int64_t steps = 0, tokens = 0;
  std::int64_t d2h_bytes = 0, h2d_bytes = 0;  ///< of training steps, counted
  std::int64_t peak_bytes = 0;                ///< device memory, counted
  Breakdown breakdown;                        ///< sum over steps after the first
  double step_seconds = 0;                    ///< median over steps after the first two
  double compute_seconds = 0;                 ///< median processor seconds of the device in a step
  bool interrupted = false;
  std::vector<Interval> intervals;
  EvalReport before, after;
};

struct RunHooks {
  std::function<void(const StepReport&, double seconds)> after_step = {};
  std::function<void(std::int64_t step, const CalibrationReport&)> after_calibration = {};
  /// Called with the trained model at the end.
  std::function<void(model::BlockModel&)> finished = {};
};

/// Trains. Ctrl-C ends it after the step under way, with what was learnt so far in the result.
RunResult run_method(const Workload& workload, const Limits& limits, const MethodOptions& options,
                     const RunHooks& hooks = {});

}  // namespace ballast::tune
