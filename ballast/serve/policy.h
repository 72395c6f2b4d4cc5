// What decides in a replica: SLOs-Serve and every baseline are values behind this one interface. A policy
// keeps its own lists of the requests that it was told of, and composes each step.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ballast/serve/replica.h"
#include "ballast/serve/slo.h"
#include "ballast/serve/spec_solver.h"

namespace ballast::serve {

/// Planning time, real clock, and what the plans looked like.
struct PlanStatistics {
  std::vector<double> ms;  ///< of every call
  std::int64_t truncated = 0, overcommitted = 0;
  int most_candidates = 0;
};

/// How a policy divides a fleet between roles; none of it: every replica does everything.
struct Division {
  int prefill = 0, decode = 0;  ///< shares: prompts are computed on the first, the rest on the others
  bool by_pace = false;         ///< tight and loose promises have replicas of their own ...
  int tight = 0;                ///< ... so many of them for the tight ones; 0: half
  bool any() const { return prefill > 0 || by_pace; }
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string name() const = 0;

  /// A request or its next round arrived (Live::admission is pending). The policy decides now, or later in
  /// form().
  virtual void arrive(Replica& replica, Live& live, double now, double t0) = 0;
  /// Whether it can be promised its latencies at once; true: it is admitted. False: nothing changed.
  virtual bool offer(Replica& replica, Live& live, double now, double t0) = 0;
  /// Fills the empty batch through Replica::add_chunk and add_decode.
  virtual void form(Replica& replica, double now, StepBatch& batch) = 0;
  /// The prompt of the round is computed: the request decodes from now on (its first token is out).
  virtual void first_token(Replica&, Live&) {}
  /// A draft was verified: of `drafted` tokens, `accepted` were right.
  virtual void verified(Live&, int /*drafted*/, int /*accepted*/) {}
  /// The request left (finished, cancelled, or its tool runs): forget it.
  virtual void left(Replica& replica, Live& live) = 0;
  /// Requests waiting for admission, and best-effort ones (for metrics).
  virtual int pending() const = 0;
  virtual int best_effort() const { return 0; }
  /// Prompt and output tokens that are still to be computed for the requests here (for routing by load).
  virtual double outstanding() const = 0;
  virtual const PlanStatistics* plans() const { return nullptr; }
  virtual Division division() const { return {}; }
};

/// The switches of section 4.10, and the promises' figures.
struct PolicySettings {
  SloTable slos;
  SpecSettings speculation;
  bool dynamic_batch = true;
  bool soft_admission = true;  ///< an unattainable request is served best-effort; false: declined
  bool admission = true;       ///< false: everything is admitted
  bool best_effort = true;     ///< false: best-effort requests wait until nothing admitted is there
  bool retry = true;           ///< a refused request stays pending while it still can make it
  bool hold_back = true;
  bool guarantee =
      false;  ///< ctx_frac 1, q0 one batch, contexts bounded from above: no admitted request is late
  double context_fraction = 0.6;
  bool jump_form = false;
  std::string objective = "count";         ///< count | weighted | fcfs
  std::string best_effort_order = "fcfs";  ///< fcfs | srpt | las
  double idle_batch_ms = 0;                ///< W_idle; 0: the tightest tier that is here
  double plan_deadline_ms = 0;             ///< real time for one plan; 0: no limit
  double round_weight = 0.5;               ///< beta: weight 1 + beta for every finished tool round
};

/// "slos", "vllm", "vllm-v1", "sarathi:512", "slots:8", "prefill-first", "decode-first", "edf", "qoserve",
/// "scorpio", "silo:T" (T replicas for tight paces), "distserve:P:D", each baseline optionally "+spec:K".
/// Throws InvalidInput naming the nearest.
std::unique_ptr<Policy> make_policy(const std::string& name, const PolicySettings& settings);
std::vector<std::string> policy_names();

}  // namespace ballast::serve
