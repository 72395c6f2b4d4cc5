#include "ballast/serve/fcfs_policy.h"

#include <algorithm>

namespace ballast::serve {

void FcfsPolicy::arrive(Replica&, Live& live, double, double) {
  live.admission = Admission::admitted;
  if (settings_.by_deadline) {
    waiting_.insert(std::upper_bound(waiting_.begin(), waiting_.end(), &live,
                                     [](const Live* a, const Live* b) { return a->deadline < b->deadline; }),
                    &live);
  } else {
    waiting_.push_back(&live);
  }
}

void FcfsPolicy::left(Replica&, Live& live) {
  std::erase(waiting_, &live);
  std::erase(running_, &live);
}

double FcfsPolicy::outstanding() const {
  double tokens = 0;
  for (const auto* list : {&waiting_, &running_}) {
    for (const Live* live : *list)
      tokens += live->left() + std::max(0, live->expected_output - live->in_round);
  }
  return tokens;
}

bool FcfsPolicy::drop_a_waiting_one(Replica& replica, const Live& live) {
  const auto victim = std::find_if(waiting_.rbegin(), waiting_.rend(), [&](const Live* other) {
    return other != &live && other->account.used > 0;
  });
  if (victim == waiting_.rend()) return false;
  replica.preempt(**victim);  // it keeps its place
  return true;
}

bool FcfsPolicy::fits_to_start(Replica& replica, const Live& live) {
  while (!replica.ledger().fits(live.account, live.target)) {
    if (replica.drop_a_tool_wait()) continue;
    // What runs gives its memory back in the end. What waits does not: once nothing runs, it has to give way.
    if (!running_.empty() || !drop_a_waiting_one(replica, live)) return false;
  }
  return true;
}

bool FcfsPolicy::make_room(Replica& replica, const StepBatch& batch, Live& live, int tokens) {
  while (!replica.ledger().fits(live.account, tokens)) {
    if (replica.drop_a_tool_wait() || drop_a_waiting_one(replica, live)) continue;
    Live* victim = nullptr;
    for (auto it = running_.rbegin(); it != running_.rend() && victim == nullptr; ++it) {
      const bool in_batch = std::any_of(batch.items.begin(), batch.items.end(),
                                        [&](const BatchItem& item) { return item.live == *it; });
      if (*it != &live && !in_batch && (*it)->account.used > 0) victim = *it;
    }
    if (victim == nullptr) return false;
    replica.preempt(*victim);
    std::erase(running_, victim);
    waiting_.insert(waiting_.begin(), victim);
  }
  return true;
}

int FcfsPolicy::verified_tokens(const Live& live) const {
  return std::max(1, std::min(settings_.speculation, live.current().output_tokens() - live.in_round));
}

void FcfsPolicy::add_decodes(Replica& replica, StepBatch& batch) {
  const std::vector<Live*> order = running_;  // preemption changes the list
  for (Live* live : order) {
    if (live->phase != Live::Phase::decode) continue;
    const int verify = verified_tokens(*live);
    if (make_room(replica, batch, *live, live->done + verify)) replica.add_decode(batch, *live, verify);
  }
}

void FcfsPolicy::start_waiting(Replica& replica, StepBatch& batch, int budget) {
  while (!waiting_.empty() && static_cast<int>(running_.size()) < settings_.slots && budget > 0) {
    Live* live = waiting_.front();
    int chunk = live->left();
    if (chunk > budget) {
      if (settings_.chunked)
        chunk = budget;
      else if (!batch.empty())
        return;  // a prompt above the budget goes alone
    }
    if (!fits_to_start(replica, *live)) return;
    if (!replica.add_chunk(batch, *live, chunk)) return;
    waiting_.erase(waiting_.begin());
    running_.push_back(live);
    budget -= chunk;
  }
}

void FcfsPolicy::form(Replica& replica, double, StepBatch& batch) {
  using Order = FcfsSettings::Order;
  int budget = settings_.token_budget;
  if (replica.perf().max_batch_tokens > 0) budget = std::min(budget, replica.perf().max_batch_tokens);
  const bool decodes = std::any_of(running_.begin(), running_.end(),
                                   [](const Live* live) { return live->phase == Live::Phase::decode; });
  if (settings_.order == Order::prefill_first) {
    start_waiting(replica, batch, budget);
    if (batch.empty()) add_decodes(replica, batch);
    return;
  }
  if (settings_.order == Order::batch_first && decodes) {
    add_decodes(replica, batch);
    return;
  }
  const std::vector<Live*> order = running_;
  if (settings_.order == Order::running_first) {
    for (Live* live : order) {
      if (budget <= 0) break;
      if (live->phase == Live::Phase::decode) {
        const int verify = verified_tokens(*live);
        if (make_room(replica, batch, *live, live->done + verify) && replica.add_decode(batch, *live, verify))
          budget -= verify;
      } else if (live->phase == Live::Phase::prefill) {
        const int chunk = std::min(live->left(), budget);
        if (make_room(replica, batch, *live, live->done + chunk) && replica.add_chunk(batch, *live, chunk))
          budget -= chunk;
      }
    }
  } else {
    add_decodes(replica, batch);
    budget -= batch.load.tokens;
    for (Live* live : order) {
      if (budget <= 0) break;
      if (live->phase != Live::Phase::prefill || live->left() <= 0) continue;
      const int chunk = std::min(live->left(), budget);
      if (make_room(replica, batch, *live, live->done + chunk) && replica.add_chunk(batch, *live, chunk))
        budget -= chunk;
    }
  }
  start_waiting(replica, batch, budget);
}

}  // namespace ballast::serve
