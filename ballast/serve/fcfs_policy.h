// The engines that people use today, as one family: continuous batching in the order of arrival, everybody
// admitted, nobody's latency known. What differs is who goes first in a step and how large a step may be.
#pragma once

#include <vector>

#include "ballast/serve/policy.h"

namespace ballast::serve {

struct FcfsSettings {
  std::string name;
  enum class Order {
    prefill_first,  ///< while prompts wait, batches of whole prompts only (vLLM before v1)
    running_first,  ///< decodes and running prompts in the order of arrival, then waiting ones (vLLM v1)
    decode_first,   ///< all decodes, then running prompts, then waiting ones (Sarathi-Serve; llama-server)
    batch_first     ///< no prompt while anything decodes
  } order = Order::decode_first;
  int token_budget = 2048;   ///< tokens of one step (whole prompts may exceed it alone)
  bool chunked = true;       ///< a prompt may be divided over steps
  int slots = 256;           ///< requests that run at once
  bool by_deadline = false;  ///< waiting prompts by their first token's deadline, not by arrival
  int speculation = 1;       ///< tokens verified for every decode
  Division division = {};    ///< of the fleet (distserve, silo)
};

class FcfsPolicy : public Policy {
 public:
  explicit FcfsPolicy(FcfsSettings settings) : settings_(std::move(settings)) {}

  std::string name() const override { return settings_.name; }
  void arrive(Replica& replica, Live& live, double now, double t0) override;
  bool offer(Replica&, Live&, double, double) override { return false; }
  void form(Replica& replica, double now, StepBatch& batch) override;
  void left(Replica& replica, Live& live) override;
  int pending() const override { return static_cast<int>(waiting_.size()); }
  double outstanding() const override;
  Division division() const override { return settings_.division; }

 protected:
  /// Of one decode in one step.
  int verified_tokens(const Live& live) const;
  /// Grants memory for `tokens` to one that runs. Who gives way (recompute): tool waits, later rounds that
  /// wait here with the KV of earlier ones, then the last running request. The first one that runs thus
  /// always gets what it needs: that is why every step makes progress.
  bool make_room(Replica& replica, const StepBatch& batch, Live& live, int tokens);
  /// Whether all of its prompt fits, so that it may start: nothing that runs is preempted for it.
  bool fits_to_start(Replica& replica, const Live& live);
  void add_decodes(Replica& replica, StepBatch& batch);
  void start_waiting(Replica& replica, StepBatch& batch, int budget);

  FcfsSettings settings_;
  std::vector<Live*> waiting_;  ///< a later round waits with the KV that its tool wait has kept
  std::vector<Live*> running_;  ///< in the order of their start: prompts under way and decodes

 private:
  /// Takes the memory of the last who waits with some, `live` apart. False: there was none.
  bool drop_a_waiting_one(Replica& replica, const Live& live);
};

}  // namespace ballast::serve
