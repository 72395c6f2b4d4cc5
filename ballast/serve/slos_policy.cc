#include "ballast/serve/slos_policy.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::serve {

void AcceptanceEstimate::record(int drafted, int accepted) {
  // A chain of Bernoulli trials ends at the first rejection.
  constexpr double kForget = 0.999;
  for (int i = 0; i < std::min(drafted, accepted + 1); ++i) {
    a_ = a_ * kForget + (i < accepted ? 1 : 0);
    b_ = b_ * kForget + (i < accepted ? 0 : 1);
  }
}

double AcceptanceEstimate::planned(double factor) const {
  const double n = a_ + b_, p = a_ / n;
  const double deviation = std::sqrt(p * (1 - p) / (n + 1));
  return std::clamp((p - 0.8416 * deviation) * factor, 0.0, 0.95);
}

SlosPolicy::SlosPolicy(PolicySettings settings) : settings_(std::move(settings)) {
  cli::require_one_of("objective", settings_.objective, {"count", "weighted", "fcfs"});
  cli::require_one_of("best-effort order", settings_.best_effort_order, {"fcfs", "srpt", "las"});
  if (settings_.guarantee) settings_.context_fraction = 1;
}

namespace {
constexpr std::size_t kMostStates = 400;  // bounds a plan to a few milliseconds
}

SpecSolver& SlosPolicy::solver(const Replica& replica) {
  if (!solver_) solver_ = std::make_unique<SpecSolver>(replica.perf(), settings_.speculation, 0.0);
  const double idle = settings_.idle_batch_ms > 0 ? settings_.idle_batch_ms : tightest_;
  solver_->set_idle_ms(idle);
  if (!settings_.dynamic_batch) solver_->fix_batch_ms(std::min(settings_.slos.tight_tpot_ms, tightest_));
  return *solver_;
}

void SlosPolicy::arrive(Replica& replica, Live& live, double now, double) {
  tightest_ = tightest_ > 0 ? std::min(tightest_, live.plan_tpot_ms) : live.plan_tpot_ms;
  if (!settings_.admission) {
    admit(replica, live, "admission is off");
    return;
  }
  if (live.deadline - now < live.idle_ms) {
    to_best_effort(replica, live, now, to_string(Refusal::hopeless));
    return;
  }
  pending_.push_back(&live);
  dirty_ = true;
}

bool SlosPolicy::offer(Replica& replica, Live& live, double, double t0) {
  tightest_ = tightest_ > 0 ? std::min(tightest_, live.plan_tpot_ms) : live.plan_tpot_ms;
  solver(replica);
  std::vector<Live*> candidates = pending_;
  candidates.push_back(&live);
  const PlanInput input = plan_input(replica, t0, candidates);
  const PlanResult result = timed_plan(input);
  if (!result.accepted.back()) return false;
  admit(replica, live, "guaranteed by the plan");
  return true;
}

void SlosPolicy::admit(Replica& replica, Live& live, std::string reason) {
  live.admission = Admission::admitted;
  live.reason = std::move(reason);
  KvLedger& ledger = replica.ledger();
  ledger.reserve(live.account, std::max(1, ledger.blocks_for(live.final_context())));
  const auto place = std::upper_bound(prefill_.begin(), prefill_.end(), &live,
                                      [](const Live* a, const Live* b) { return a->deadline < b->deadline; });
  prefill_.insert(place, &live);
}

// A request that would rather be slower than unpromised is asked for again, once, with the loosest promise.
// Whether it kept what was asked for first is judged as before.
bool SlosPolicy::relax(Live& live) {
  if (live.request->on_miss != OnMiss::downgrade || live.relaxed_tpot_ms > 0) return false;
  live.relaxed_tpot_ms = std::max(live.tpot_ms, settings_.slos.loose_tpot_ms);
  live.tpot_ms = live.relaxed_tpot_ms;
  live.plan_tpot_ms = std::max(live.plan_tpot_ms, live.relaxed_tpot_ms);
  live.deadline = std::max(live.deadline, live.stage_arrival + settings_.slos.loose_slowdown * live.idle_ms);
  dirty_ = true;
  return true;
}

void SlosPolicy::to_best_effort(Replica& replica, Live& live, double now, std::string reason) {
  if (!settings_.soft_admission || live.request->on_miss == OnMiss::decline ||
      live.request->on_miss == OnMiss::hand_over) {
    replica.decline(live, now, "slo_unattainable: " + reason);
    return;
  }
  if (relax(live) && live.deadline - now >= live.idle_ms) {
    pending_.push_back(&live);
    return;
  }
  live.admission = Admission::best_effort;
  live.ever_best_effort = true;
  live.reason = std::move(reason);
  best_effort_.push_back(&live);
}

void SlosPolicy::verified(Live&, int drafted, int accepted) {
  acceptance_.record(drafted, accepted);
  if (solver_) solver_->set_alpha(acceptance_.planned(settings_.speculation.plan_factor));
}

void SlosPolicy::first_token(Replica&, Live& live) {
  if (live.admission != Admission::admitted) return;
  std::erase(prefill_, &live);
  decode_.push_back(&live);
  dirty_ = true;
}

void SlosPolicy::left(Replica&, Live& live) {
  for (auto* list : {&pending_, &prefill_, &decode_, &best_effort_}) std::erase(*list, &live);
  dirty_ = true;
}

double SlosPolicy::outstanding() const {
  double tokens = 0;
  for (const auto* list : {&pending_, &prefill_, &decode_, &best_effort_}) {
    for (const Live* live : *list)
      tokens += live->left() + std::max(0, live->expected_output - live->in_round);
  }
  return tokens;
}

namespace {

// The tier of `tpot`; a new one is opened while there is room, else the nearest tighter (or the tightest).
int tier_of(std::vector<TierLoad>& tiers, double tpot, std::size_t most) {
  for (std::size_t l = 0; l < tiers.size(); ++l) {
    if (tiers[l].tpot_ms == tpot) return static_cast<int>(l);
  }
  if (tiers.size() < most) {
    tiers.push_back({tpot, 0});
    return static_cast<int>(tiers.size()) - 1;
  }
  int best = -1;
  for (std::size_t l = 0; l < tiers.size(); ++l) {
    if (tiers[l].tpot_ms <= tpot &&
        (best < 0 || tiers[l].tpot_ms > tiers[static_cast<std::size_t>(best)].tpot_ms))
      best = static_cast<int>(l);
  }
  return best >= 0 ? best : 0;
}

// At most `most` planning tiers for these promises: the tightest, and others spread over the rest; every
// promise is planned at the nearest tighter tier.
std::vector<TierLoad> planning_tiers(std::vector<double> promises, std::size_t most) {
  std::sort(promises.begin(), promises.end());
  promises.erase(std::unique(promises.begin(), promises.end()), promises.end());
  std::vector<TierLoad> tiers;
  const std::size_t count = std::min(most, promises.size());
  for (std::size_t i = 0; i < count; ++i) tiers.push_back({promises[i * promises.size() / count], 0});
  return tiers;
}

}  // namespace

PlanInput SlosPolicy::plan_input(const Replica& replica, double t0,
                                 const std::vector<Live*>& candidates) const {
  PlanInput input;
  input.now_ms = t0;
  input.solver = solver_.get();
  input.largest_contexts = settings_.guarantee;
  input.form = settings_.jump_form ? PlanForm::jump : PlanForm::rolling;
  input.give_up_after_ms = settings_.plan_deadline_ms;
  input.most_states = kMostStates;
  input.objective = settings_.objective == "fcfs"       ? PlanObjective::fcfs
                    : settings_.objective == "weighted" ? PlanObjective::weighted
                                                        : PlanObjective::count;
  std::vector<double> promises;
  for (const auto* list : {&decode_, &prefill_, &candidates}) {
    for (const Live* live : *list) promises.push_back(live->plan_tpot_ms);
  }
  input.decode_tiers = planning_tiers(std::move(promises), kPlanTiers);

  const double fraction = settings_.context_fraction;
  auto context_of = [&](const Live& live) {
    const double start = live.target - live.in_round;
    return std::max<double>(live.done, start + fraction * std::max(live.expected_output, live.in_round));
  };
  for (const Live* live : decode_) {
    const int tier = tier_of(input.decode_tiers, live->plan_tpot_ms, kPlanTiers);
    ++input.decode_tiers[static_cast<std::size_t>(tier)].count;
    input.decode_context += context_of(*live);
  }
  if (settings_.guarantee) {
    // A prompt ends with a whole batch, up to one batch after the moment that a fluid schedule would give it.
    const RateChoice choice = solver_->best(input.decode_tiers, input.decode_context);
    input.granularity =
        replica.perf().tokens_within(choice.batch_ms, input.decode_context, choice.draft_steps);
  }
  const KvLedger& ledger = replica.ledger();
  input.blocks_taken = ledger.committed();
  input.blocks_total = ledger.total();
  auto add = [&](Live* live, bool forced) {
    PlanItem item;
    item.id = live->request->id;
    item.deadline_ms = live->deadline;
    item.work = std::ceil(replica.perf().effective_tokens(live->done, live->target));
    item.tier = tier_of(input.decode_tiers, live->plan_tpot_ms, kPlanTiers);
    item.context = context_of(*live);
    item.forced = forced;
    item.blocks = forced ? 0 : ledger.blocks_for(live->final_context()) - live->account.used;
    item.weight = live->request->weight * (1 + settings_.round_weight * live->round);
    item.idle_ms = replica.perf().idle_prefill_ms(live->target, live->done);
    item.arrival_ms = live->stage_arrival;
    item.tenant = live->request->tenant;
    input.items.push_back(item);
  };
  for (Live* live : prefill_) add(live, true);
  for (Live* live : candidates) add(live, false);
  return input;
}

PlanResult SlosPolicy::timed_plan(const PlanInput& input) {
  const auto start = std::chrono::steady_clock::now();
  PlanResult result = make_plan(input);
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
  statistics_.ms.push_back(spent.count());
  statistics_.truncated += result.truncated ? 1 : 0;
  statistics_.overcommitted += result.overcommitted ? 1 : 0;
  statistics_.most_candidates = std::max(statistics_.most_candidates, static_cast<int>(input.items.size()));
  last_input_ = input;
  last_plan_ = result;
  return result;
}

Json SlosPolicy::explain() const {
  if (last_plan_.accepted.empty()) return {{"items", Json::array()}};
  return to_json(last_input_, last_plan_);
}

void SlosPolicy::plan(Replica& replica, double now) {
  // Time alone makes requests hopeless, but seldom makes one possible: that is looked at now and then.
  constexpr int kLookAgain = 8;
  const bool look = dirty_ || ++steps_since_plan_ >= kLookAgain;
  // Who cannot make it any more even alone is not worth a place in the program.
  std::vector<Live*> candidates;
  for (Live* live : std::vector<Live*>(pending_)) {
    const double needed = replica.perf().idle_prefill_ms(live->target, live->done);
    if (live->deadline - now >= needed) {
      candidates.push_back(live);
      continue;
    }
    std::erase(pending_, live);
    to_best_effort(replica, *live, now, to_string(Refusal::hopeless));
  }
  if (candidates.empty() || !look) return;
  dirty_ = false;
  steps_since_plan_ = 0;
  const PlanResult result = timed_plan(plan_input(replica, now, candidates));
  const std::size_t forced = prefill_.size();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    Live& live = *candidates[i];
    if (result.accepted[forced + i]) {
      std::erase(pending_, &live);
      admit(replica, live, "guaranteed by the plan");
    } else if (live.request->on_miss == OnMiss::hand_over) {
      std::erase(pending_, &live);
      replica.decline(live, now, "slo_unattainable: " + to_string(result.refusals[forced + i]));
    } else if (relax(live)) {
      live.reason = "asked again with the loosest promise";
    } else if (!settings_.retry) {
      std::erase(pending_, &live);
      to_best_effort(replica, live, now, to_string(result.refusals[forced + i]));
    } else {
      live.reason = to_string(result.refusals[forced + i]);
    }
  }
}

RateChoice SlosPolicy::present_rate(const Replica& replica) {
  tiers_.clear();
  double context = 0;
  for (const Live* live : decode_) {
    const int tier = tier_of(tiers_, live->tpot_ms, kMaxTiers);
    ++tiers_[static_cast<std::size_t>(tier)].count;
    context += live->done;
  }
  return solver(replica).best(tiers_, context);
}

int SlosPolicy::speculation_for(const Live& live, const RateChoice& choice, double now) const {
  if (!settings_.speculation.on()) return 1;
  int length = 1;
  for (std::size_t l = 0; l < tiers_.size(); ++l) {
    if (tiers_[l].tpot_ms == live.tpot_ms) length = choice.lengths[l];
  }
  if (settings_.speculation.mode == SpecSettings::Mode::adaptive) {
    // Ahead of its schedule by more than a batch: one token is enough. Behind it: as many as allowed.
    if (live.next_due > now + choice.batch_ms + live.tpot_ms)
      length = 1;
    else if (live.next_due < now + choice.batch_ms * 0.999 && length > 1)
      length = settings_.speculation.max_length;
  }
  const Round& round = live.current();
  return std::max(1, std::min(length, round.output_tokens() - live.in_round));
}

bool SlosPolicy::make_room(Replica& replica, StepBatch& batch, const Live& live, int tokens) {
  KvLedger& ledger = replica.ledger();
  while (!ledger.fits(live.account, tokens)) {
    if (replica.drop_a_tool_wait()) continue;
    // The youngest best-effort request that holds memory and is not in this batch gives way.
    Live* victim = nullptr;
    for (auto it = best_effort_.rbegin(); it != best_effort_.rend() && victim == nullptr; ++it) {
      const bool in_batch = std::any_of(batch.items.begin(), batch.items.end(),
                                        [&](const BatchItem& item) { return item.live == *it; });
      if ((*it)->account.used > 0 && !in_batch && *it != &live) victim = *it;
    }
    if (victim == nullptr) return false;
    replica.preempt(*victim);
  }
  return true;
}

void SlosPolicy::add_decodes(Replica& replica, StepBatch& batch, double until, const RateChoice& choice,
                             double now) {
  due_.clear();
  for (Live* live : decode_) {
    if (live->next_due < until) due_.push_back(live);
  }
  std::sort(due_.begin(), due_.end(), [](const Live* a, const Live* b) {
    return a->next_due != b->next_due ? a->next_due < b->next_due : a->sequence < b->sequence;
  });
  for (Live* live : due_) {
    const int verify = speculation_for(*live, choice, now);
    if (replica.perf().max_batch_tokens > 0 && batch.load.tokens + verify > replica.perf().max_batch_tokens)
      break;
    if (make_room(replica, batch, *live, live->done + verify)) replica.add_decode(batch, *live, verify);
  }
}

// Hold-back (specification 4.5): finishing the prompt now makes `early` decode sooner than the plan assumed.
// True: then another admitted prompt would miss its deadline.
bool SlosPolicy::breaks_a_promise(const Replica& replica, const Live& early, double now) {
  if (prefill_.size() < 2) return false;
  std::array<TierLoad, kMaxTiers> tiers{};
  std::vector<TierLoad> with = tiers_;
  ++with[static_cast<std::size_t>(tier_of(with, early.tpot_ms, kMaxTiers))].count;
  double context = early.target;
  for (const Live* live : decode_) context += live->done;
  double budget = 0, before = now;
  for (const Live* live : prefill_) {
    if (live == &early) continue;
    std::copy(with.begin(), with.end(), tiers.begin());
    const double rate = solver_->best(std::span(tiers.data(), with.size()), context).tokens_per_ms;
    budget += rate * std::max(0.0, live->deadline - before);
    before = std::max(before, live->deadline);
    budget -= replica.perf().effective_tokens(live->done, live->target);
    if (budget < 0) return true;
    ++with[static_cast<std::size_t>(tier_of(with, live->tpot_ms, kMaxTiers))].count;
    context += live->target;
  }
  return false;
}

void SlosPolicy::add_prefills(Replica& replica, StepBatch& batch, double window, const RateChoice& choice,
                              double now, bool hold_back) {
  for (Live* live : prefill_) {
    int chunk = replica.perf().max_chunk(batch.load, live->done, live->left(), window);
    if (chunk <= 0) break;
    if (chunk == live->left() && hold_back && live->deadline > now + 2 * choice.batch_ms &&
        breaks_a_promise(replica, *live, now)) {
      --chunk;
    }
    if (chunk > 0 && make_room(replica, batch, *live, live->done + chunk))
      replica.add_chunk(batch, *live, chunk);
  }
}

void SlosPolicy::add_best_effort(Replica& replica, StepBatch& batch, double window) {
  if (best_effort_.empty()) return;
  if (!settings_.best_effort && !(prefill_.empty() && decode_.empty())) return;
  std::vector<Live*> order = best_effort_;
  if (settings_.best_effort_order == "srpt") {
    std::stable_sort(order.begin(), order.end(), [](const Live* a, const Live* b) {
      return a->left() + a->expected_output - a->in_round < b->left() + b->expected_output - b->in_round;
    });
  } else if (settings_.best_effort_order == "las") {
    std::stable_sort(order.begin(), order.end(), [](const Live* a, const Live* b) {
      return a->done + a->in_round < b->done + b->in_round;
    });
  }
  for (Live* live : order) {
    const bool decodes = live->phase == Live::Phase::decode;
    if (decodes) {
      BatchLoad with = batch.load;
      with.add_decode(1, live->done);
      const bool fits =
          replica.perf().planned_ms(with) <= window &&
          (replica.perf().max_batch_tokens == 0 || with.tokens <= replica.perf().max_batch_tokens);
      if (!fits) break;
      if (!replica.ledger().fits(live->account, live->done + 1)) {
        if (batch.empty() && decode_.empty() && prefill_.empty() &&
            make_room(replica, batch, *live, live->done + 1)) {
          replica.add_decode(batch, *live, 1);
        }
        continue;
      }
      replica.add_decode(batch, *live, 1);
      continue;
    }
    const int chunk = replica.perf().max_chunk(batch.load, live->done, live->left(), window);
    if (chunk <= 0) break;
    // Without memory for its whole prompt it would only take what others need to finish.
    if (!replica.ledger().fits(live->account, live->target + 1)) {
      if (!replica.drop_a_tool_wait()) continue;
      if (!replica.ledger().fits(live->account, live->target + 1)) continue;
    }
    replica.add_chunk(batch, *live, chunk);
  }
}

void SlosPolicy::form(Replica& replica, double now, StepBatch& batch) {
  solver(replica);
  if (!pending_.empty()) plan(replica, now);
  const RateChoice choice = present_rate(replica);
  const double ahead = now + 2 * choice.batch_ms;
  double window = choice.batch_ms;
  for (const Live* live : decode_) {
    if (live->next_due < ahead) window = std::min(window, live->next_due - now);
  }
  BatchLoad one;
  one.add_decode(1, 0);
  window = std::max(window, replica.perf().planned_ms(one));
  add_decodes(replica, batch, ahead, choice, now);
  add_prefills(replica, batch, window, choice, now, settings_.hold_back);
  add_best_effort(replica, batch, window);
  // A prompt is held back in favour of what runs; when nothing runs there is nothing to wait for.
  if (batch.empty()) add_prefills(replica, batch, window, choice, now, false);
  // Early tokens build slack. They never take a prompt's place, but a step is never left empty for a prompt
  // that cannot start.
  if ((prefill_.empty() || batch.empty()) && batch.items.size() < decode_.size() + best_effort_.size()) {
    for (Live* live : decode_) {
      if (live->next_due < ahead) continue;
      BatchLoad with = batch.load;
      with.add_decode(1, live->done);
      if (replica.perf().planned_ms(with) > window) break;
      if (make_room(replica, batch, *live, live->done + 1)) replica.add_decode(batch, *live, 1);
    }
  }
}

}  // namespace ballast::serve
