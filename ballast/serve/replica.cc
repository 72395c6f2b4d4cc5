#include "ballast/serve/replica.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/serve/policy.h"

namespace ballast::serve {

Replica::Replica(const PerfModel& perf, std::unique_ptr<Policy> policy, ReplicaSettings settings)
    : perf_(perf),
      settings_(std::move(settings)),
      ledger_(perf.kv_tokens > 0 ? perf.kv_tokens : 1 << 30, settings_.kv_block),
      policy_(std::move(policy)) {}

Replica::~Replica() = default;

void Replica::start_round(Live& live, double now) {
  const Round& round = live.current();
  if (live.round == 0) {
    live.first_arrival = now;
    live.sequence = next_sequence_++;
  }
  live.stage_arrival = now;
  live.target += round.prompt;
  live.in_round = live.segment = live.in_segment = 0;
  live.expected_output = settings_.expect_output ? settings_.expect_output(live) : round.output_tokens();
  // T0 counts the new tokens only: what earlier rounds left is cached as far as the promise is concerned.
  live.idle_ms = perf_.idle_prefill_ms(live.target, live.target - round.prompt) / (1 + perf_.safety);
  live.deadline = now + (round.ttft_ms > 0 ? round.ttft_ms : round.ttft_slowdown * live.idle_ms);
  live.tpot_ms = round.output.front().tpot_ms;
  live.plan_tpot_ms = live.tpot_ms;
  for (const Segment& segment : round.output)
    live.plan_tpot_ms = std::min(live.plan_tpot_ms, segment.tpot_ms);
  live.meter = RoundMeter(round, live.deadline);
  live.phase = Live::Phase::waiting;
  live.admission = Admission::pending;
  if (settings_.record_tokens) live.token_times.emplace_back();
}

void Replica::arrive(Live& live, double now, double t0) {
  if (live.round > 0)
    std::erase(tool_waits_, &live);
  else
    ++alive_;
  start_round(live, now);
  if (ledger_.blocks_for(live.request->total_tokens()) > ledger_.total()) {
    decline(live, now, "kv_too_small: it needs more KV memory than the replica has");
    return;
  }
  policy_->arrive(*this, live, now, t0);
}

bool Replica::offer(Live& live, double now, double t0) {
  if (ledger_.blocks_for(live.request->total_tokens()) > ledger_.total()) return false;
  start_round(live, now);
  if (!policy_->offer(*this, live, now, t0)) {
    Live fresh;
    fresh.request = live.request;
    fresh.executor_slot = live.executor_slot;
    live = std::move(fresh);
    return false;
  }
  ++alive_;
  return true;
}

void Replica::adopt(Live& live, double now, double t0) {
  ++alive_;
  live.sequence = next_sequence_++;
  live.phase = Live::Phase::waiting;
  policy_->arrive(*this, live, now, t0);
}

const StepBatch& Replica::form(double now) {
  batch_.clear();
  policy_->form(*this, now, batch_);
  return batch_;
}

bool Replica::drop_a_tool_wait() {
  for (Live* live : tool_waits_) {
    if (live->account.used == 0) continue;
    drop_kv(*live);
    live->done = 0;
    return true;
  }
  return false;
}

bool Replica::add_decode(StepBatch& batch, Live& live, int verify) {
  while (!ledger_.fits(live.account, live.done + verify)) {
    if (!drop_a_tool_wait()) return false;
  }
  ledger_.hold(live.account, live.done + verify);
  batch.load.add_decode(verify, live.done);
  batch.load.draft_steps = std::max(batch.load.draft_steps, verify - 1);
  batch.items.push_back({&live, 0, verify});
  return true;
}

bool Replica::add_chunk(StepBatch& batch, Live& live, int chunk) {
  chunk = std::min(chunk, live.left());
  if (chunk <= 0) return false;
  if (live.account.used == 0 && settings_.may_start && !settings_.may_start(live)) return false;
  while (!ledger_.fits(live.account, live.done + chunk)) {
    if (!drop_a_tool_wait()) return false;
  }
  ledger_.hold(live.account, live.done + chunk);
  batch.load.add_chunk(chunk, live.done);
  batch.items.push_back({&live, chunk, 0});
  live.phase = Live::Phase::prefill;
  return true;
}

void Replica::drop_kv(Live& live) {
  if (on_drop && live.account.used > 0) on_drop(live);
  const int reserved = live.account.reserved;
  ledger_.release(live.account);
  if (reserved > 0 && live.phase != Live::Phase::gone && live.phase != Live::Phase::tool_wait)
    ledger_.reserve(live.account, reserved);
}

void Replica::preempt(Live& live) {
  drop_kv(live);
  live.done = 0;
  live.phase = Live::Phase::waiting;
  ++live.preemptions;
  ++counters_.preemptions;
}

void Replica::complete(double now, std::span<const StepOutcome> outcomes) {
  BALLAST_CHECK(outcomes.size() == batch_.items.size());
  ++counters_.steps;
  counters_.tokens += batch_.load.tokens;
  counters_.decodes += batch_.load.decodes;
  counters_.chunks += batch_.load.chunks;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const BatchItem& item = batch_.items[i];
    Live& live = *item.live;
    const StepOutcome& outcome = outcomes[i];
    if (live.phase == Live::Phase::gone) continue;
    if (item.chunk > 0) {
      live.done += item.chunk;
      if (live.done < live.target) continue;
      BALLAST_CHECK(outcome.emitted == 1, "a finished prompt gives one token");
    } else {
      live.done += outcome.emitted;  // rejected drafts leave no trace
      ledger_.hold(live.account, live.done);
      if (const int drafted = outcome.drafted >= 0 ? outcome.drafted : item.verify - 1; drafted > 0) {
        counters_.drafted += drafted;
        counters_.accepted_drafts += outcome.emitted - 1;
        policy_->verified(live, drafted, outcome.emitted - 1);
      }
    }
    const bool first = live.phase != Live::Phase::decode;
    live.phase = Live::Phase::decode;
    emit(live, now, outcome);
    if (!first || live.phase != Live::Phase::decode) continue;
    policy_->first_token(*this, live);
    if (!on_prefilled) continue;
    policy_->left(*this, live);
    ledger_.release(live.account);
    --alive_;
    on_prefilled(live);
  }
}

void Replica::emit(Live& live, double now, const StepOutcome& outcome) {
  const Round& round = live.current();
  live.target += outcome.emitted;
  for (int i = 0; i < outcome.emitted; ++i) {
    if (live.in_round == 0) {
      live.late_firsts += now > live.deadline + kTimeSlack ? 1 : 0;
      live.slowdown = std::max(live.slowdown, (now - live.stage_arrival) / live.idle_ms);
    }
    live.meter.token(now);
    if (settings_.record_tokens) live.token_times.back().push_back(now);
    ++live.in_round;
    const Segment& segment = round.output[static_cast<std::size_t>(live.segment)];
    if (live.in_segment == 0) live.anchor = now;
    ++live.in_segment;
    live.next_due = live.anchor + live.in_segment * std::max(segment.tpot_ms, live.relaxed_tpot_ms);
    const bool moves_on = outcome.next_segment && i + 1 == outcome.emitted;
    if ((live.in_segment == segment.tokens || moves_on) &&
        live.segment + 1 < static_cast<int>(round.output.size())) {
      if (live.in_segment < segment.tokens) live.meter.end_segment();
      ++live.segment;
      live.in_segment = 0;
      live.tpot_ms =
          std::max(live.relaxed_tpot_ms, round.output[static_cast<std::size_t>(live.segment)].tpot_ms);
      live.next_due = now + live.tpot_ms;
      live.plan_tpot_ms = live.tpot_ms;
      for (std::size_t s = static_cast<std::size_t>(live.segment); s < round.output.size(); ++s)
        live.plan_tpot_ms =
            std::min(live.plan_tpot_ms, std::max(live.relaxed_tpot_ms, round.output[s].tpot_ms));
    }
  }
  if (outcome.ended || live.in_round >= round.output_tokens()) {
    if (outcome.ended) live.meter.end_segment();
    end_round(live, now);
  }
}

void Replica::end_round(Live& live, double now) {
  live.met_token = live.met_token && live.meter.met_token();
  live.met_mean = live.met_mean && live.meter.met_mean();
  live.late_tokens += live.meter.late_tokens();
  live.worst_tpot = std::max(live.worst_tpot, live.meter.worst_tpot_ms());
  const double wait = live.current().tool_wait_ms;
  if (live.round + 1 == static_cast<int>(live.request->rounds.size())) {
    leave(live, now, Outcome::finished);
    return;
  }
  // The last token of the round has no KV yet: it is the first of the next prompt.
  live.phase = Live::Phase::tool_wait;
  policy_->left(*this, live);
  const int used = live.account.used;
  ledger_.release(live.account);
  if (wait <= settings_.tool_hold_ms && used <= ledger_.free()) {
    ledger_.hold(live.account, live.done);
    tool_waits_.push_back(&live);
  } else {
    if (on_drop) on_drop(live);
    live.done = 0;
  }
  ++live.round;
  on_tool(live, wait);
}

void Replica::leave(Live& live, double now, Outcome outcome) {
  live.outcome = outcome;
  live.finish = now;
  live.phase = Live::Phase::gone;
  policy_->left(*this, live);
  std::erase(tool_waits_, &live);
  drop_kv(live);
  --alive_;
  if (on_gone) on_gone(live);
}

void Replica::cancel(Live& live, double now, Outcome outcome, std::string reason) {
  if (live.phase == Live::Phase::gone) return;
  live.met_token = live.met_mean = false;
  if (!reason.empty()) live.reason = std::move(reason);
  if (outcome == Outcome::failed) ++counters_.kv_exhausted;
  leave(live, now, outcome);
}

void Replica::decline(Live& live, double now, std::string reason) {
  live.admission = Admission::declined;
  live.met_token = live.met_mean = false;
  live.reason = std::move(reason);
  leave(live, now, Outcome::declined);
}

}  // namespace ballast::serve
