#include "ballast/serve/deadline_policy.h"

#include <algorithm>
#include <limits>

namespace ballast::serve {

namespace {
constexpr double kUnlimited = std::numeric_limits<double>::infinity();
}

void DeadlinePolicy::left(Replica& replica, Live& live) {
  FcfsPolicy::left(replica, live);
  credit_.erase(&live);
}

void DeadlinePolicy::order_waiting(Replica& replica, double now) {
  constexpr double kMsPerToken = 8;
  auto hopeless = [&](const Live& live) {
    return live.in_round == 0 && now + replica.perf().idle_prefill_ms(live.target, live.done) > live.deadline;
  };
  if (kind_ == Kind::scorpio) {
    for (Live* live : std::vector<Live*>(waiting_)) {
      // One that has given tokens already, or lost its memory to others, is not sent away any more.
      if (live->preemptions == 0 && live->done == 0 && live->round == 0 && hopeless(*live))
        replica.decline(*live, now, "its first token would be late even alone");
    }
  }
  if (waiting_.size() < 2) return;
  struct Place {
    bool late;
    double priority;
    Live* live;
  };
  std::vector<Place> places;
  for (Live* live : waiting_)
    places.push_back(
        {hopeless(*live), live->deadline + (kind_ == Kind::qoserve ? kMsPerToken * live->left() : 0), live});
  std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return a.late != b.late ? b.late : a.priority < b.priority;
  });
  std::transform(places.begin(), places.end(), waiting_.begin(),
                 [](const Place& place) { return place.live; });
}

double DeadlinePolicy::add_paced_decodes(Replica& replica, double now, StepBatch& batch) {
  double tightest = kUnlimited;
  for (const Live* live : running_) {
    if (live->phase == Live::Phase::decode) tightest = std::min(tightest, live->tpot_ms);
  }
  double window = kind_ == Kind::scorpio ? tightest : kUnlimited;
  for (Live* live : std::vector<Live*>(running_)) {
    if (live->phase != Live::Phase::decode) continue;
    if (kind_ == Kind::scorpio) {
      constexpr double kWhole = 1 - 1e-9;
      double& credit = credit_[live];
      credit += tightest / live->tpot_ms;
      if (credit < kWhole) continue;
      credit -= 1;
    } else if (live->next_due > now) {
      window = std::min(window, live->next_due - now);
    } else {
      window = std::min(window, tightest);  // it is late already: that must not stop all prompts
    }
    const int tokens = verified_tokens(*live);
    if (make_room(replica, batch, *live, live->done + tokens)) replica.add_decode(batch, *live, tokens);
  }
  return window;
}

bool DeadlinePolicy::keeps_pace(const Replica& replica, const Live& joining) const {
  double tightest = joining.tpot_ms;
  for (const Live* live : running_) tightest = std::min(tightest, live->tpot_ms);
  double decodes = tightest / joining.tpot_ms, context = joining.target * decodes;
  for (const Live* live : running_) {
    decodes += tightest / live->tpot_ms;
    context += live->target * tightest / live->tpot_ms;
  }
  return replica.perf().tokens_within(tightest, context, 0) >= decodes;
}

void DeadlinePolicy::form(Replica& replica, double now, StepBatch& batch) {
  order_waiting(replica, now);
  const double window = add_paced_decodes(replica, now, batch);
  int budget = settings_.token_budget;
  if (replica.perf().max_batch_tokens > 0) budget = std::min(budget, replica.perf().max_batch_tokens);
  budget -= batch.load.tokens;
  auto chunk_of = [&](const Live& live) {
    const int most = std::min(live.left(), budget);
    return window == kUnlimited ? most : replica.perf().max_chunk(batch.load, live.done, most, window);
  };
  for (Live* live : std::vector<Live*>(running_)) {
    if (live->phase != Live::Phase::prefill || live->left() <= 0) continue;
    const int chunk = chunk_of(*live);
    if (chunk > 0 && make_room(replica, batch, *live, live->done + chunk) &&
        replica.add_chunk(batch, *live, chunk))
      budget -= chunk;
  }
  while (!waiting_.empty() && budget > 0 && static_cast<int>(running_.size()) < settings_.slots) {
    Live* const live = waiting_.front();
    const int chunk = chunk_of(*live);
    if (chunk <= 0 || !fits_to_start(replica, *live)) break;
    if (kind_ == Kind::scorpio && !running_.empty() && !keeps_pace(replica, *live)) break;
    if (!replica.add_chunk(batch, *live, chunk)) break;
    waiting_.erase(waiting_.begin());
    running_.push_back(live);
    budget -= chunk;
  }
  if (batch.empty()) add_decodes(replica, batch);  // nobody had a whole credit: nothing is gained by waiting
}

}  // namespace ballast::serve
