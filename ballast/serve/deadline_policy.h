// Two published schedulers that know deadlines but do not plan (specification, section 10).
//
//   qoserve  every step lasts as long as the least slack of a running decode allows; waiting prompts go by
//            deadline + 8 ms for each token of prompt left, between earliest deadline and shortest work;
//            whoever cannot make it any more goes behind all who can (eager relegation)
//   scorpio  waiting prompts go by deadline, one that cannot make it any more is rejected; a running decode
//            earns tightest/own pace as credit in every step and takes part when it has a whole one, so that
//            loose paces do not slow tight ones; a prompt starts only while the decodes, so weighted, still
//            keep the tightest pace
#pragma once

#include <unordered_map>

#include "ballast/serve/fcfs_policy.h"

namespace ballast::serve {

class DeadlinePolicy final : public FcfsPolicy {
 public:
  enum class Kind { qoserve, scorpio };
  DeadlinePolicy(FcfsSettings settings, Kind kind) : FcfsPolicy(std::move(settings)), kind_(kind) {}
  void form(Replica& replica, double now, StepBatch& batch) override;
  void left(Replica& replica, Live& live) override;

 private:
  void order_waiting(Replica& replica, double now);
  /// Decodes of this step; how long it may last, in ms.
  double add_paced_decodes(Replica& replica, double now, StepBatch& batch);
  /// Whether the decodes still keep the tightest pace with this one beside (scorpio).
  bool keeps_pace(const Replica& replica, const Live& joining) const;

  Kind kind_;
  std::unordered_map<const Live*, double> credit_;  ///< of running decodes (scorpio)
};

}  // namespace ballast::serve
