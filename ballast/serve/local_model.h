// A model on this machine, ready to serve: its weights in the format that is asked for, and its performance
// profile, both kept in the cache so that the second start is quick.
#pragma once

#include <memory>
#include <string>

#include "ballast/serve/engine.h"
#include "ballast/serve/profiler.h"

namespace ballast::serve {

struct LocalModelOptions {
  std::string model;  ///< GGUF file, or a folder that holds exactly one; empty: the shipped SmolLM2-135M
  /// as-is; a number format to convert to once (q4_0, q8_0, bf16, f32); or auto: the quickest here of those
  /// formats that keep at least the file's precision.
  std::string weights = "as-is";
  std::string perf;  ///< profile file; empty: the cached one of this model and machine, else measured now
  ExecutorOptions executor;  ///< threads 0: as many as are quickest here
  bool force = false;        ///< accept a profile of a noisy machine
  bool quiet = false;
};

struct LocalModel {
  std::string path;  ///< of the weights that are loaded
  std::string name;  ///< file name without its ending
  std::unique_ptr<llama::Model> model;
  PerfModel perf;
  ExecutorOptions executor;  ///< as asked for, with the number of threads that was found
  std::string note;          ///< where weights and profile came from, in a sentence
};

/// The file that `model` means (see LocalModelOptions). Throws Unavailable or InvalidInput.
std::string model_file(const std::string& model);
/// Tokens a second of a mix of the steps that serving makes (1 and 8 decodes, a chunk of 64), harmonic mean;
/// each step timed as the median of a few.
double serving_speed(const llama::Model& model, int threads);
/// 1 to the number of cores: the quickest for `model`, the smallest of those within 5 %.
int quickest_threads(const llama::Model& model);

LocalModel open_local_model(const LocalModelOptions& options);
/// Measures and fits; `executor` is left empty.
PerfModel profile_executor(LlamaExecutor& executor, const ExecutorOptions& options, bool force, bool quick,
                           bool quiet, bool lines = false);
}  // namespace ballast::serve
