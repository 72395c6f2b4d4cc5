// One step of the engine: what a batch says goes to llama.cpp, what comes out goes to the requests.
#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/serve/engine_running.h"

namespace ballast::serve {

// Finds a slot for a request that has none, with what is there already of its tokens.
void Engine::seat(Running& running) {
  Live& live = running.live;
  const bool restore = !running.saved.empty();
  // At least the last token is computed here: its logits are wanted.
  const auto place = slots_.take(running.history, restore ? 0 : static_cast<std::size_t>(live.target) - 1);
  live.executor_slot = place.slot;
  if (restore) {
    executor_.drop(place.slot);
    if (executor_.context().restore(place.slot, running.saved)) {
      slots_.holds(place.slot, running.history, running.saved_tokens);
      figures_.swapped_tokens += running.saved_tokens;
    }
    running.saved.clear();
    return;
  }
  if (place.from >= 0) {
    executor_.drop(place.slot);
    executor_.context().share_prefix(place.from, place.slot, place.keep);
  } else {
    executor_.drop(place.slot, place.keep);
  }
  figures_.shared_tokens += place.keep;
}

void Engine::step(const StepBatch& batch) {
  std::vector<DraftWish> wishes;
  std::vector<std::size_t> wishing(batch.items.size(), batch.items.size());
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    const BatchItem& item = batch.items[i];
    Running& running = of(*item.live);
    if (item.live->executor_slot < 0) seat(running);
    if (drafter_ && item.chunk == 0 && item.verify > 1) {
      wishing[i] = wishes.size();
      wishes.push_back({item.live->executor_slot, running.history, item.verify - 1});
    }
  }
  const double start = now_ms();
  std::vector<std::vector<llama::Token>> guesses;
  if (!wishes.empty()) guesses = drafter_->propose(wishes);

  std::vector<ExecutorItem> items;
  std::vector<std::size_t> owner;  // [executor item]: item of the batch
  std::vector<std::vector<llama::Token>> verified(batch.items.size());
  std::vector<int> drafted(batch.items.size(), 0);
  BatchLoad load;
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    const BatchItem& item = batch.items[i];
    Live& live = *item.live;
    Running& running = of(live);
    ExecutorItem work;
    work.slot = live.executor_slot;
    work.top_logprobs = running.job.top_logprobs;
    if (item.chunk > 0) {
      // Tokens that were taken over from another request, or came back from host memory, are there already.
      const int end = live.done + item.chunk;
      work.position = std::max(live.done, static_cast<int>(slots_.content(live.executor_slot).size()));
      if (end == live.target) {
        work.position = std::min(work.position, end - 1);
        work.sampler = running.sampler.get();
      }
      if (work.position >= end) continue;
      executor_.drop(work.slot, work.position);
      work.tokens = std::span(running.history)
                        .subspan(static_cast<std::size_t>(work.position),
                                 static_cast<std::size_t>(end - work.position));
      load.add_chunk(end - work.position, work.position);
    } else {
      work.position = live.done;
      verified[i] = {running.history.back()};
      if (wishing[i] < wishes.size()) {
        const auto& guess = guesses[wishing[i]];
        verified[i].insert(verified[i].end(), guess.begin(), guess.end());
      }
      work.tokens = verified[i];
      work.drafted = drafted[i] = static_cast<int>(verified[i].size()) - 1;
      work.sampler = running.sampler.get();
      load.add_decode(work.drafted + 1, live.done);
      load.draft_steps = std::max(load.draft_steps, work.drafted);
    }
    items.push_back(work);
    owner.push_back(i);
  }
  std::vector<StepOutcome> outcomes(batch.items.size());
  ExecutorResult result;
  if (!items.empty()) {
    result = executor_.step(items);
    if (result.status == llama::DecodeStatus::no_room) {
      // Kept prefixes give way first.
      ++figures_.kv_slot_misses;
      for (const int slot : slots_.retained()) {
        executor_.drop(slot);
        slots_.release(slot, false);
      }
      result = executor_.step(items);
    }
    if (options_.fault && options_.fault()) result.status = llama::DecodeStatus::failed;
  }
  const double now = now_ms();
  figures_.last_step_ms = now - start;
  figures_.last_step_tokens = load.tokens;
  if (result.status != llama::DecodeStatus::ok) {
    fail_step(batch, now);
    return;
  }
  failures_in_a_row_ = 0;
  watch_model(load, now - start);
  for (std::size_t k = 0; k < items.size(); ++k) {
    const std::size_t i = owner[k];
    Running& running = of(*batch.items[i].live);
    const Live& live = running.live;
    outcomes[i].drafted = drafted[i];
    if (!result.tokens[k].empty()) deliver(running, result.tokens[k], result.logprobs[k], now, outcomes[i]);
    const int holds =
        batch.items[i].chunk > 0 ? live.done + batch.items[i].chunk : live.done + outcomes[i].emitted;
    // A text that ended inside of what was verified leaves more behind than it counts.
    executor_.drop(live.executor_slot, holds);
    slots_.holds(live.executor_slot, running.history, holds);
  }
  replica_->complete(now, outcomes);
}

void Engine::fail_step(const StepBatch& batch, double now) {
  if (++failures_in_a_row_ >= 3) down_ = true;
  std::vector<Live*> victims;
  for (const BatchItem& item : batch.items) victims.push_back(item.live);
  for (Live* live : victims) {
    // What the library left of the step is not known: nothing of it is kept.
    const int slot = live->executor_slot;
    replica_->cancel(*live, now, Outcome::failed, "the engine failed in this step");
    executor_.drop(slot);
    slots_.release(slot, false);
  }
}

void Engine::watch_model(const BatchLoad& load, double ms) {
  if (load.tokens == 0) return;
  const bool before = monitor_.drifted();
  monitor_.record(load, ms, fitted_.step_ms(load));
  if (monitor_.drifted() && !before) ++figures_.drift_warnings;
  if (!options_.online_fit || replica_->counters().steps % 32 != 0) return;
  if (auto better = monitor_.refit(fitted_)) {
    fitted_ = *better;
    replica_->perf() = std::move(*better);
    ++figures_.refits;
  }
  replica_->perf().scale = std::clamp(monitor_.scale(), 0.25, 8.0);
}

void Engine::deliver(Running& running, const std::vector<llama::Token>& tokens,
                     const std::vector<llama::TokenLogprob>& logprobs, double now, StepOutcome& outcome) {
  Event event;
  event.kind = Event::Kind::text;
  event.ms = now;
  const int before = running.live.in_round, most = running.job.max_tokens - running.job.resumed;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const llama::Token token = tokens[i];
    if (before + outcome.emitted >= most) break;
    ++outcome.emitted;
    running.history.push_back(token);
    event.tokens.push_back(token);
    if (model_.ends_generation(token)) {
      outcome.ended = running.ended_by_text = true;
      break;
    }
    if (i < logprobs.size()) event.logprobs.push_back(logprobs[i]);
    const std::string piece = model_.piece(token);
    if (running.job.think_tpot_ms > 0 && running.live.segment == 0 && !running.job.think_until.empty()) {
      running.thinking += piece;
      if (running.thinking.find(running.job.think_until) != std::string::npos) {
        outcome.next_segment = true;
        running.job.think_until.clear();
      }
    }
    event.text += running.text.add(piece);
    if (running.text.stopped()) {
      outcome.ended = running.ended_by_text = true;
      break;
    }
  }
  if (before + outcome.emitted >= most) outcome.ended = true;
  if (before == 0) running.first_ms = now;
  running.last_ms = now;
  figures_.output_tokens += outcome.emitted;
  running.sink(std::move(event));
}

void Engine::finish(Live& live) {
  Running& running = of(live);
  Event event;
  event.kind = Event::Kind::done;
  event.ms = live.finish;
  event.text = running.text.finish();
  event.prompt_tokens = static_cast<int>(running.job.prompt.size()) - running.job.resumed;
  event.output_tokens = live.in_round + running.job.resumed;
  event.admission = live.admission;
  event.reason = live.reason;
  switch (live.outcome) {
    case Outcome::finished:
      event.finish_reason = running.ended_by_text ? "stop" : "length";
      ++figures_.finished;
      figures_.met += live.met_token ? 1 : 0;
      break;
    case Outcome::declined:
      event.finish_reason = "declined";
      event.retry_after_ms = std::max(1000.0, live.idle_ms);
      ++figures_.declined;
      break;
    case Outcome::cancelled:
      event.finish_reason = "cancelled";
      ++figures_.cancelled;
      break;
    default:
      event.finish_reason = "failed";
      ++figures_.failed;
      break;
  }
  if (live.in_round > 0) {
    event.ttft_ms = running.first_ms - live.stage_arrival;
    event.slowdown = live.slowdown;
    if (live.in_round > 1) event.tpot_ms = (running.last_ms - running.first_ms) / (live.in_round - 1);
  }
  event.met = live.outcome == Outcome::finished && live.met_token;
  publish();  // who asks for figures after this answer finds it counted
  running.sink(std::move(event));
  --open_;
  gone_.push_back(running.id);
}

}  // namespace ballast::serve
