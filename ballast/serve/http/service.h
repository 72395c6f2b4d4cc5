// What the server answers, without its transport: requests in, documents out. Holds the engine and the state
// of a drain.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "ballast/serve/engine.h"
#include "ballast/serve/http/answer.h"

namespace ballast::serve {

/// POST /v1/embeddings.
struct EmbeddingWish {
  std::vector<std::vector<llama::Token>> inputs;
  bool base64 = false;
};

class Service {
 public:
  Service(const llama::Model& model, Engine& engine, ApiSettings settings);

  const ApiSettings& settings() const { return settings_; }
  const llama::Model& model() const { return model_; }
  Engine& engine() { return engine_; }

  /// Parses and submits; throws ApiError. The sink gets the request's events on the engine thread.
  struct Submitted {
    Engine::Id id;
    Answer answer;
  };
  Completion parse(std::string_view body, bool chat, const SloHeaders& headers) const;
  Submitted submit(const Completion& completion, Sink sink);

  /// Throws ApiError.
  EmbeddingWish parse_embeddings(std::string_view body) const;
  Json embeddings_document(const EmbeddingWish& wish, const std::vector<std::vector<float>>& rows) const;

  Json models() const;
  Json tokenize(std::string_view body) const;
  Json plan() const { return engine_.explain(); }
  /// Prometheus text format.
  std::string metrics() const;
  /// One point of the dashboard's feed.
  Json dashboard_point() const;

  bool ready() const { return !draining_ && !engine_.down(); }
  /// Refuses new requests from now on; those admitted are finished.
  void drain() { draining_ = true; }
  bool draining() const { return draining_; }
  bool drained() const { return draining_ && engine_.idle(); }

 private:
  const llama::Model& model_;
  Engine& engine_;
  ApiSettings settings_;
  std::string nonce_;  ///< of this process: ids of two servers never meet
  std::atomic<bool> draining_ = false;
};

}  // namespace ballast::serve
