// A live replica: the engine thread that owns a llama.cpp context, plans, computes, samples and hands tokens
// out.
//
//   Engine engine(model, perf, policy, options);
//   auto id = engine.submit(std::move(job), sink);     // from any thread
//   engine.cancel(id);                                 // its KV is free before the next batch
//
// Events of a request come on the engine thread, in order: admitted (once), text (any number), done (once,
// last). A sink must not block: generation never waits for a socket.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/serve/drafter.h"
#include "ballast/serve/llama_executor.h"
#include "ballast/serve/policy.h"
#include "ballast/serve/text_assembler.h"

namespace ballast::serve {

/// What a client wants generated.
struct Job {
  std::vector<llama::Token> prompt;
  llama::SamplerSettings sampling;
  std::vector<std::string> stops;
  int max_tokens = 128;
  double ttft_slowdown = 5;  ///< promise for the first token ...
  double ttft_ms = 0;        ///< ... or this, when positive
  double tpot_ms = 100;      ///< promise per token
  double think_tpot_ms = 0;  ///< positive: the output begins with a thinking segment at this pace ...
  std::string think_until;   ///< ... which ends with this text
  OnMiss on_miss = OnMiss::best_effort;
  double weight = 1;
  std::string tenant;
  int top_logprobs = -1;  ///< report this many alternatives with every token; -1: none
};

struct TokenLogprob {
  llama::Token token = 0;
  float logprob = 0;
};

struct Event {
  enum class Kind { admitted, text, done };
  Kind kind = Kind::text;
  double ms = 0;  ///< engine clock
  // admitted
  Admission admission = Admission::pending;
  // text: what the last step gave; tokens may have none to show yet
  std::string text;
  std::vector<llama::Token> tokens;
  // done
  std::string finish_reason;  ///< stop | length | cancelled | declined | failed
  std::string reason;         ///< of a refusal or failure
  int prompt_tokens = 0, output_tokens = 0;
  double ttft_ms = 0, slowdown = 0, tpot_ms = 0;
  bool met = false;
  double retry_after_ms = 0;  ///< for a declined request: when the plan may have room
};

using Sink = std::function<void(Event)>;

struct EngineOptions {
  ExecutorOptions executor;
  bool ngram = false;     ///< draft by prompt lookup
  int max_pending = 256;  ///< requests that are here at once beyond the slots
};

/// Figures for metrics and the dashboard.
struct EngineSnapshot {
  double now_ms = 0;
  int alive = 0, pending = 0, best_effort = 0;
  int kv_total = 0, kv_used = 0;  ///< blocks (slots)
  ReplicaCounters counters;
  std::int64_t finished = 0, met = 0, declined = 0, cancelled = 0, failed = 0, admitted = 0,
               went_best_effort = 0;
  std::int64_t output_tokens = 0, prompt_tokens = 0;
  double model_scale = 1;  ///< measured over predicted step time (EWMA)
  double last_step_ms = 0;
  int last_step_tokens = 0;
  std::vector<double> plan_ms;
};

class Engine {
 public:
  using Id = std::uint64_t;

  /// Loads nothing: the model must outlive the engine.
  Engine(const llama::Model& model, PerfModel perf, std::unique_ptr<Policy> policy,
         const EngineOptions& options);
  ~Engine();

  /// Throws InvalidInput when the job can never run here (longer than a slot, no prompt).
  Id submit(Job job, Sink sink);
  void cancel(Id id);
  /// No new work is started; `cancel_best_effort` ends what has no promise.
  void cancel_best_effort();
  bool idle() const;
  EngineSnapshot snapshot() const;
  /// The last plan (GET /v1/plan).
  Json explain() const;
  int slot_tokens() const { return executor_.slot_tokens(); }
  double now_ms() const;
  const PerfModel& perf() const { return perf_; }

 private:
  struct Running;
  void loop();
  void take_commands(double now);
  void step(const StepBatch& batch);
  void deliver(Running& running, const std::vector<llama::Token>& tokens, double now, StepOutcome& outcome);
  void announce();
  void finish(Live& live);
  void publish();
  Running& of(Live& live);

  const llama::Model& model_;
  PerfModel perf_;
  EngineOptions options_;
  LlamaExecutor executor_;
  std::unique_ptr<Replica> replica_;
  std::unique_ptr<Drafter> drafter_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();

  mutable std::mutex mutex_;  // of everything in this block
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Running>> arrivals_;
  std::vector<Id> cancellations_;
  bool cancel_best_effort_ = false;
  EngineSnapshot snapshot_;
  Json explanation_;
  Id next_id_ = 1;

  // The engine thread's own.
  std::unordered_map<Id, std::unique_ptr<Running>> running_;
  std::vector<Id> gone_;
  std::vector<bool> slot_taken_;
  EngineSnapshot figures_;
  int failures_in_a_row_ = 0;
  std::atomic<int> open_ = 0;  ///< submitted and not done
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace ballast::serve
