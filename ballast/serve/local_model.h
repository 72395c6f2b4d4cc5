// A model on this machine, ready to serve: its weights in the format that is asked for, and its performance
// profile, both kept in the cache so that the second start is quick.
#pragma once

#include <memory>
#include <string>

#include "ballast/serve/engine.h"
#include "ballast/serve/profiler.h"

namespace ballast::serve {

struct LocalModelOptions {
  std::string model;              ///< GGUF file; empty: the shipped SmolLM2-135M
  std::string weights = "as-is";  ///< as-is, or a number format to convert to once: q4_0, q8_0, bf16
  std::string perf;  ///< profile file; empty: the cached one of this model and machine, else measured now
  ExecutorOptions executor;
  bool force = false;  ///< accept a profile of a noisy machine
  bool quiet = false;
};

struct LocalModel {
  std::string path;  ///< of the weights that are loaded
  std::string name;  ///< file name without its ending
  std::unique_ptr<llama::Model> model;
  PerfModel perf;
  std::string note;  ///< where weights and profile came from, in a sentence
};

LocalModel open_local_model(const LocalModelOptions& options);
/// Measures and fits; `executor` is left empty.
PerfModel profile_executor(LlamaExecutor& executor, const ExecutorOptions& options, bool force, bool quick,
                           bool quiet, bool lines = false);
}  // namespace ballast::serve
