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
#include "ballast/serve/online_fit.h"
#include "ballast/serve/policy.h"
#include "ballast/serve/slot_memory.h"
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
  int resumed = 0;        ///< the last so many tokens of `prompt` are output that another server had given
  double waited_ms = 0;   ///< since it came to a router in front: its promises count from then
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
  std::vector<llama::TokenLogprob> logprobs;  ///< of these tokens, without one that ends the text
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
  bool ngram = false;                        ///< draft by prompt lookup
  std::shared_ptr<llama::Model> draft = {};  ///< draft with this model instead
  int max_pending = 256;                     ///< requests that are here at once beyond the slots
  bool share_prefixes = true;  ///< take over what another request has computed of the same first tokens
  bool swap = false;        ///< a preempted request's KV goes to host memory and comes back; false: recompute
  bool online_fit = false;  ///< let recent steps rescale and refit the performance model
  std::function<bool()> fault = {};  ///< for tests: true makes a step fail as the library's failure would
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
  std::int64_t shared_tokens = 0;   ///< prompt tokens that were taken over, not computed
  std::int64_t swapped_tokens = 0;  ///< tokens that came back from host memory
  std::int64_t drift_warnings = 0, refits = 0, kv_slot_misses = 0, embeddings = 0;
  double acceptance = 0;  ///< estimate of a drafted token's chance to be right
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
  /// The mean of the model's last hidden states over the tokens, of length 1. Computed between two steps,
  /// when nothing admitted waits or after a second at most; `result` is called on the engine thread (empty:
  /// it failed).
  void embed(std::vector<llama::Token> tokens, std::function<void(std::vector<float>)> result);
  /// Three steps in a row have failed: no new requests are taken.
  bool down() const { return down_; }
  bool idle() const;
  EngineSnapshot snapshot() const;
  /// The last plan (GET /v1/plan).
  Json explain() const;
  int slot_tokens() const {  ///< the longest request
    return options_.executor.slot_tokens;
  }
  double now_ms() const;
  const PerfModel& perf() const { return perf_; }

 private:
  struct Running;
  struct Embedding {
    std::vector<llama::Token> tokens;
    std::function<void(std::vector<float>)> result;
    double asked_ms = 0;
  };
  void loop();
  void seat(Running& running);
  void fail_step(const StepBatch& batch, double now);
  void watch_model(const BatchLoad& load, double ms);
  void embed_one(bool busy);
  std::vector<float> embedding_of(const std::vector<llama::Token>& tokens);
  void take_commands(double now);
  void step(const StepBatch& batch);
  void deliver(Running& running, const std::vector<llama::Token>& tokens,
               const std::vector<llama::TokenLogprob>& logprobs, double now, StepOutcome& outcome);
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
  std::deque<Embedding> embeddings_;
  EngineSnapshot snapshot_;
  Json explanation_;
  Id next_id_ = 1;

  // The engine thread's own.
  std::unordered_map<Id, std::unique_ptr<Running>> running_;
  std::vector<Id> gone_;
  SlotMemory slots_;
  int starting_ = 0;  ///< requests without a slot that the present batch has let in
  OnlineFit monitor_;
  PerfModel fitted_;  ///< what the monitor compares with; perf_ itself never changes, other threads read it
  std::unique_ptr<llama::Context> embedder_;  ///< made when it is first needed
  EngineSnapshot figures_;
  int failures_in_a_row_ = 0;
  std::atomic<int> open_ = 0;  ///< submitted and not done
  std::atomic<bool> stop_ = false, down_ = false;
  std::thread thread_;
};

}  // namespace ballast::serve
