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
  /// Grants memory for `tokens`, preempting the last running request (recompute) while it lacks.
  bool make_room(Replica& replica, const StepBatch& batch, Live& live, int tokens);
  void add_decodes(Replica& replica, StepBatch& batch);
  void start_waiting(Replica& replica, StepBatch& batch, int budget);

  FcfsSettings settings_;
  std::vector<Live*> waiting_;
  std::vector<Live*> running_;  ///< in the order of their start: prompts under way and decodes
};

}  // namespace ballast::serve
