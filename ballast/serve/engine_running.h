// A request while it lives in an Engine. For the engine's own files only.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "ballast/serve/engine.h"

namespace ballast::serve {

struct Engine::Running {
  Id id = 0;
  Job job;
  Sink sink;
  Request request;
  Live live;
  std::unique_ptr<llama::Sampler> sampler;
  TextAssembler text;
  std::vector<llama::Token> history;  ///< prompt and output
  std::string thinking;               ///< output so far, until the thinking segment ends
  std::vector<std::byte> saved;       ///< KV memory of a preempted request, of its first saved_tokens tokens
  int saved_tokens = 0;
  bool announced = false;
  bool ended_by_text = false;
  double submitted_ms = 0, first_ms = 0, last_ms = 0;
};

}  // namespace ballast::serve
