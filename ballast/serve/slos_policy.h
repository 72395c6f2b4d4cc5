// SLOs-Serve (arXiv:2504.08784): plan at every event which requests can be promised their latencies, then
// compose each step so that every promise is kept and the rest of the step is not wasted.
//
//   arrive       the request is pending; the plan of the next step (or of an offer) decides
//   plan         make_plan() over the admitted prefills (forced) and the pending ones
//   form         1. decodes that would be late if left out now   2. chunks of admitted prompts, earliest
//   deadline first
//                3. best-effort work in what is left               4. other decodes early, if no prompt waits
#pragma once

#include <vector>

#include "ballast/serve/planner.h"
#include "ballast/serve/policy.h"

namespace ballast::serve {

/// Acceptance of drafted tokens, estimated online: a Beta posterior with exponential forgetting. Planning
/// uses a low quantile of it, because planning with the mean makes about half of short answers late.
class AcceptanceEstimate {
 public:
  void record(int drafted, int accepted);
  double mean() const { return a_ / (a_ + b_); }
  /// 20 % quantile (normal approximation of the Beta law) times `factor`.
  double planned(double factor) const;

 private:
  double a_ = 7, b_ = 3;
};

class SlosPolicy final : public Policy {
 public:
  explicit SlosPolicy(PolicySettings settings);

  std::string name() const override { return "slos"; }
  void arrive(Replica& replica, Live& live, double now, double t0) override;
  bool offer(Replica& replica, Live& live, double now, double t0) override;
  void form(Replica& replica, double now, StepBatch& batch) override;
  void first_token(Replica& replica, Live& live) override;
  void verified(Live& live, int drafted, int accepted) override;
  void left(Replica& replica, Live& live) override;
  int pending() const override { return static_cast<int>(pending_.size()); }
  int best_effort() const override { return static_cast<int>(best_effort_.size()); }
  double outstanding() const override;
  const PlanStatistics* plans() const override { return &statistics_; }

  /// The last plan, as a document: why was a request refused.
  Json explain() const;
  double acceptance() const { return acceptance_.mean(); }

 private:
  PlanInput plan_input(const Replica& replica, double t0, const std::vector<Live*>& candidates) const;
  PlanResult timed_plan(const PlanInput& input);
  void plan(Replica& replica, double now);
  void admit(Replica& replica, Live& live, std::string reason);
  bool relax(Live& live);
  void to_best_effort(Replica& replica, Live& live, double now, std::string reason);
  SpecSolver& solver(const Replica& replica);
  RateChoice present_rate(const Replica& replica);
  bool breaks_a_promise(const Replica& replica, const Live& early, double now);
  bool make_room(Replica& replica, StepBatch& batch, const Live& live, int tokens);
  void add_decodes(Replica& replica, StepBatch& batch, double until, const RateChoice& choice, double now);
  void add_prefills(Replica& replica, StepBatch& batch, double window, const RateChoice& choice, double now,
                    bool hold_back);
  void add_best_effort(Replica& replica, StepBatch& batch, double window);
  int speculation_for(const Live& live, const RateChoice& choice, double now) const;

  PolicySettings settings_;
  AcceptanceEstimate acceptance_;
  std::unique_ptr<SpecSolver> solver_;
  std::vector<Live*> pending_;      ///< in the order of arrival
  std::vector<Live*> prefill_;      ///< admitted, by deadline
  std::vector<Live*> decode_;       ///< admitted
  std::vector<Live*> best_effort_;  ///< in the order of arrival
  std::vector<TierLoad> tiers_;     ///< of decode_: (tpot of the present segment, count)
  std::vector<Live*> due_;          ///< scratch of form()
  bool dirty_ = false;              ///< something happened that may change the plan
  int steps_since_plan_ = 0;
  double tightest_ = 0;  ///< ms, of all requests ever seen
  PlanStatistics statistics_;
  PlanInput last_input_;
  PlanResult last_plan_;
};

}  // namespace ballast::serve
