// Which requests can be promised their latencies: the multi-SLO dynamic program (arXiv:2504.08784, admission
// control). A pure function of a plain struct, so that a plan can be printed, replayed and checked by brute
// force.
//
// The decodes of a tier are a steady load, so only prefill deadlines are events. Requests are taken in the
// order of their deadlines; a state is (accepted requests per tier, KV blocks), its value the largest prefill
// budget `pb` (prompt tokens not yet spent) at the last deadline. Between two deadlines pb grows by
// rate(decodes) * time; accepting request i spends its prefill work and must leave pb >= 0: exactly the
// demand test of earliest-deadline-first scheduling for a varying rate. Of all states at the end, the one
// with the largest weight is taken, ties by larger pb.
//
//   PlanInput input{.now_ms = t0, .perf = &perf, .solver = &solver, .decode_tiers = {{50, 12}, {100, 30}},
//   ...}; PlanResult plan = make_plan(input);
//
// Cost: O(N * prod_l (V_l + 1) * F) rates at most, V_l candidates of tier l, F entries a state (1 unless
// memory or weights matter); rates are kept per tier count.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/serve/perf_model.h"
#include "ballast/serve/spec_solver.h"

namespace ballast::serve {

inline constexpr int kPlanTiers = 3;
inline constexpr std::size_t kMaxCandidates = 64;

struct PlanItem {
  std::uint64_t id = 0;
  double deadline_ms = 0;  ///< of its first token
  double work = 0;         ///< prefill left, in effective tokens
  int tier = 0;            ///< index into PlanInput::decode_tiers
  double context = 0;  ///< KV tokens that its decodes will read (at mid-life, or at the end for a guarantee)
  int blocks = 0;      ///< KV blocks to reserve; for a forced request those are in PlanInput::blocks_taken
  double weight = 1;
  bool forced = false;  ///< admitted before: never dropped
  double idle_ms = 0;   ///< T0 of what is left: no sooner can its first token come
  double arrival_ms = 0;
  std::string tenant = {};
};

enum class PlanObjective { count, weighted, fcfs };
enum class PlanForm { rolling, jump };

struct PlanInput {
  double now_ms = 0;  ///< when the batch in flight ends
  const SpecSolver* solver = nullptr;
  std::vector<TierLoad>
      decode_tiers;           ///< planning tiers (at most kPlanTiers) with the admitted decodes of each
  double decode_context = 0;  ///< KV tokens that these read
  int blocks_taken = 0, blocks_total = 0;
  double granularity = 0;  ///< q0: prompt tokens lost because a batch cannot be divided; 0 in throughput mode
  bool largest_contexts =
      false;  ///< bound the context of n accepted requests by the n largest, not by n means
  PlanObjective objective = PlanObjective::count;
  PlanForm form = PlanForm::rolling;
  std::size_t most_states = 0;  ///< kept after each item: half by weight, half by budget; 0: all (exact)
  double give_up_after_ms = 0;  ///< real time after which no further candidate is considered; 0: none
  std::vector<PlanItem> items;
};

enum class Refusal {
  none,
  hopeless,
  memory,
  decode_rate,
  prefill_budget,
  crowded_out,
  overcommitted,
  not_considered
};
std::string to_string(Refusal refusal);

struct PlanResult {
  std::vector<bool> accepted;     ///< per item of the input; forced items are true
  std::vector<Refusal> refusals;  ///< per item; why not
  double weight = 0;              ///< of the accepted candidates
  double budget = 0;              ///< pb at the last deadline
  bool overcommitted = false;     ///< the forced requests alone cannot all be kept
  bool truncated = false;         ///< gave up early: the plan is feasible, perhaps not the best
  std::int64_t states = 0;        ///< states that were looked at (counted)
};

PlanResult make_plan(const PlanInput& input);

/// Whether exactly these candidates can be kept beside the forced requests; why not, and the budget left.
struct Verdict {
  Refusal why = Refusal::none;
  double budget = 0;
  std::size_t at = 0;  ///< the item at which it fails
  bool feasible() const { return why == Refusal::none; }
};
Verdict evaluate_plan(const PlanInput& input, const std::vector<bool>& accepted);

/// The best plan by trying all subsets of the candidates: exponential, for tests and `serve plan --brute`.
PlanResult plan_by_brute_force(const PlanInput& input);

Json to_json(const PlanInput& input, const PlanResult& result);

}  // namespace ballast::serve
