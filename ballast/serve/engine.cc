#include "ballast/serve/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/serve/slos_policy.h"

namespace ballast::serve {

struct Engine::Running {
  Id id = 0;
  Job job;
  Sink sink;
  Request request;
  Live live;
  std::unique_ptr<llama::Sampler> sampler;
  TextAssembler text;
  std::vector<llama::Token> history;  ///< prompt and output
  std::string thinking;               ///< output so far, until the thinking segment ends
  std::vector<std::byte> saved;       ///< KV memory of a preempted request, of its first saved_tokens tokens
  int saved_tokens = 0;
  bool announced = false;
  bool ended_by_text = false;
  double submitted_ms = 0, first_ms = 0, last_ms = 0;
};

namespace {

Request request_of(const Job& job, Engine::Id id) {
  Request request;
  request.id = id;
  request.tenant = job.tenant;
  request.weight = job.weight;
  request.on_miss = job.on_miss;
  Round round;
  round.prompt = static_cast<int>(job.prompt.size());
  round.ttft_slowdown = job.ttft_slowdown;
  round.ttft_ms = job.ttft_ms;
  const int tokens = job.max_tokens - job.resumed;
  if (job.think_tpot_ms > 0) round.output.push_back({Segment::Kind::think, tokens, job.think_tpot_ms});
  round.output.push_back({Segment::Kind::decode, tokens, job.tpot_ms});
  request.rounds.push_back(std::move(round));
  return request;
}

}  // namespace

Engine::Engine(const llama::Model& model, PerfModel perf, std::unique_ptr<Policy> policy,
               const EngineOptions& options)
    : model_(model),
      perf_(std::move(perf)),
      options_(options),
      executor_(model, options.executor),
      slots_(executor_.slots(), options.share_prefixes && model.can_drop_suffix()) {
  options_.executor.slot_tokens = std::min(executor_.slot_tokens(), executor_.context().cells());
  perf_.max_batch_tokens = executor_.batch();
  perf_.max_sequences = executor_.slots();
  ReplicaSettings settings;
  const bool streams = options.executor.pool == llama::KvPool::streams;
  if (streams) {
    // Separate streams: a KV block is a whole slot.
    perf_.kv_tokens = executor_.slots() * executor_.slot_tokens();
    settings.kv_block = executor_.slot_tokens();
  } else {
    perf_.kv_tokens = executor_.context().cells();
    options_.executor.slot_tokens = std::min(options.executor.slot_tokens, perf_.kv_tokens);
  }
  settings.expect_output = [](const Live& live) {
    return std::min(live.current().output.back().tokens, 256);
  };
  settings.may_start = [this](const Live& live) {
    if (live.executor_slot >= 0) return true;
    if (starting_ >= slots_.free()) return false;
    ++starting_;
    return true;
  };
  replica_ = std::make_unique<Replica>(perf_, std::move(policy), settings);
  replica_->on_gone = [this](Live& live) { finish(live); };
  replica_->on_drop = [this](Live& live) {
    if (live.executor_slot < 0) return;
    const int slot = std::exchange(live.executor_slot, -1);
    Running& running = of(live);
    if (options_.swap && live.phase != Live::Phase::gone && live.done > 0) {
      running.saved = executor_.context().save(slot);
      running.saved_tokens = static_cast<int>(slots_.content(slot).size());
    }
    if (!slots_.shares()) executor_.drop(slot);
    slots_.release(slot, slots_.shares());
  };
  replica_->on_tool = [](Live&, double) {};
  if (options.draft) {
    auto drafter = std::make_unique<ModelDrafter>(*options.draft, model, executor_.slots(),
                                                  options_.executor.slot_tokens, options.executor.threads);
    replica_->perf().draft_ms = perf_.draft_ms = drafter->measure_step_ms();
    drafter_ = std::move(drafter);
  } else if (options.ngram) {
    drafter_ = std::make_unique<NgramDrafter>();
  }
  fitted_ = perf_;
  thread_ = std::thread([this] { loop(); });
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

double Engine::now_ms() const {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
}

Engine::Id Engine::submit(Job job, Sink sink) {
  if (job.prompt.empty()) throw InvalidInput("the prompt is empty");
  if (job.max_tokens < 1) throw InvalidInput("max_tokens", std::to_string(job.max_tokens), "at least 1");
  if (down_) throw Unavailable("the engine has failed several times in a row and takes no new requests");
  const auto longest = static_cast<std::size_t>(slot_tokens());
  if (job.prompt.size() + static_cast<std::size_t>(job.max_tokens - job.resumed) > longest)
    throw InvalidInput(
        fmt::format("prompt ({} tokens) and max_tokens ({}) are longer than the context of {} tokens",
                    job.prompt.size(), job.max_tokens, longest));
  auto running = std::make_unique<Running>();
  running->sampler =
      std::make_unique<llama::Sampler>(model_, job.sampling);  // throws before anything is queued
  running->text = TextAssembler(job.stops);
  running->history = job.prompt;
  // What another server has given of this answer: its text is out already, its state is built anew.
  for (const llama::Token token : std::span(job.prompt).last(static_cast<std::size_t>(job.resumed))) {
    running->sampler->accept(token);
    running->text.add(model_.piece(token));
    running->thinking += model_.piece(token);
  }
  if (running->text.stopped()) throw InvalidInput("the tokens to resume from hold a stop text");
  running->job = std::move(job);
  running->sink = std::move(sink);
  running->submitted_ms = now_ms() - running->job.waited_ms;
  Id id;
  {
    const std::lock_guard lock(mutex_);
    if (open_ >= executor_.slots() + options_.max_pending)
      throw Unavailable(fmt::format("overloaded: {} requests are waiting", options_.max_pending));
    id = running->id = next_id_++;
    running->request = request_of(running->job, id);
    running->live.request = &running->request;
    ++open_;
    arrivals_.push_back(std::move(running));
  }
  wake_.notify_one();
  return id;
}

void Engine::cancel(Id id) {
  {
    const std::lock_guard lock(mutex_);
    cancellations_.push_back(id);
  }
  wake_.notify_one();
}

void Engine::cancel_best_effort() {
  {
    const std::lock_guard lock(mutex_);
    cancel_best_effort_ = true;
  }
  wake_.notify_one();
}

void Engine::embed(std::vector<llama::Token> tokens, std::function<void(std::vector<float>)> result) {
  {
    const std::lock_guard lock(mutex_);
    embeddings_.push_back({std::move(tokens), std::move(result), now_ms()});
  }
  wake_.notify_one();
}

bool Engine::idle() const {
  return open_ == 0;
}

EngineSnapshot Engine::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

Json Engine::explain() const {
  const std::lock_guard lock(mutex_);
  return explanation_;
}

Engine::Running& Engine::of(Live& live) {
  return *running_.at(live.request->id);
}

void Engine::take_commands(double now) {
  std::deque<std::unique_ptr<Running>> arrivals;
  std::vector<Id> cancellations;
  bool all_best_effort = false;
  {
    const std::lock_guard lock(mutex_);
    arrivals.swap(arrivals_);
    cancellations.swap(cancellations_);
    std::swap(all_best_effort, cancel_best_effort_);
  }
  for (auto& arrival : arrivals) {
    Running& running = *arrival;
    running_.emplace(running.id, std::move(arrival));
    figures_.prompt_tokens += static_cast<std::int64_t>(running.history.size());
    replica_->arrive(running.live, running.submitted_ms, now);  // its clock runs since then
  }
  for (const Id id : cancellations) {
    if (const auto found = running_.find(id); found != running_.end())
      replica_->cancel(found->second->live, now);
  }
  if (all_best_effort) {
    std::vector<Live*> victims;
    for (auto& [id, running] : running_) {
      if (running->live.admission != Admission::admitted) victims.push_back(&running->live);
    }
    for (Live* live : victims) replica_->cancel(*live, now);
  }
}

void Engine::loop() {
  while (!stop_) {
    const double now = now_ms();
    take_commands(now);
    starting_ = 0;
    const StepBatch& batch = replica_->form(now);
    announce();
    if (!batch.empty()) step(batch);
    embed_one(!batch.empty());
    for (const Id id : gone_) running_.erase(id);
    gone_.clear();
    publish();
    if (!batch.empty()) continue;
    std::unique_lock lock(mutex_);
    const auto something = [this] {
      return stop_ || !arrivals_.empty() || !cancellations_.empty() || cancel_best_effort_ ||
             !embeddings_.empty();
    };
    // Requests that wait while nothing runs become hopeless, hence best-effort, with time alone.
    const bool waiting = replica_->policy().pending() + replica_->policy().best_effort() > 0;
    wake_.wait_for(lock, waiting ? std::chrono::milliseconds(1) : std::chrono::milliseconds(500), something);
  }
  const double now = now_ms();
  take_commands(now);
  std::vector<Live*> left;
  for (auto& [id, running] : running_) left.push_back(&running->live);
  for (Live* live : left) replica_->cancel(*live, now, Outcome::cancelled, "the server stops");
  for (const Embedding& wish : embeddings_) wish.result({});
}

void Engine::publish() {
  figures_.now_ms = now_ms();
  figures_.alive = replica_->alive();
  figures_.pending = replica_->policy().pending();
  figures_.best_effort = replica_->policy().best_effort();
  figures_.kv_total = replica_->ledger().total();
  figures_.kv_used = replica_->ledger().used();
  figures_.counters = replica_->counters();
  figures_.model_scale = monitor_.scale();
  const std::lock_guard lock(mutex_);
  snapshot_ = figures_;
  if (const auto* slos = dynamic_cast<const SlosPolicy*>(&replica_->policy())) {
    if (figures_.counters.steps % 16 == 0) explanation_ = slos->explain();
    snapshot_.acceptance = slos->acceptance();
    const auto& times = slos->plans()->ms;
    snapshot_.plan_ms.assign(times.end() - std::min<std::ptrdiff_t>(256, std::ssize(times)), times.end());
  }
}

void Engine::announce() {
  for (auto& [id, running] : running_) {
    if (running->announced || running->live.admission == Admission::pending ||
        running->live.admission == Admission::declined)
      continue;
    running->announced = true;
    if (running->live.admission == Admission::admitted)
      ++figures_.admitted;
    else
      ++figures_.went_best_effort;
    Event event;
    event.kind = Event::Kind::admitted;
    event.ms = now_ms();
    event.admission = running->live.admission;
    running->sink(std::move(event));
  }
}

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

// One embedding between two steps: at once when nothing runs, else when it has waited for a second.
void Engine::embed_one(bool busy) {
  Embedding wish;
  {
    const std::lock_guard lock(mutex_);
    if (embeddings_.empty() || (busy && now_ms() - embeddings_.front().asked_ms < 1000)) return;
    wish = std::move(embeddings_.front());
    embeddings_.pop_front();
  }
  ++figures_.embeddings;
  wish.result(embedding_of(wish.tokens));
}

std::vector<float> Engine::embedding_of(const std::vector<llama::Token>& tokens) {
  try {
    if (!embedder_)
      embedder_ =
          std::make_unique<llama::Context>(model_, llama::ContextOptions{.cells = slot_tokens(),
                                                                         .batch = slot_tokens(),
                                                                         .threads = options_.executor.threads,
                                                                         .embeddings = true});
    embedder_->clear();
    llama::Batch batch(embedder_->batch_capacity());
    for (std::size_t i = 0; i < tokens.size(); ++i) batch.add(tokens[i], static_cast<int>(i), 0, true);
    if (embedder_->decode(batch) != llama::DecodeStatus::ok) return {};
    const auto row = embedder_->embedding(0);
    std::vector<float> result(row.begin(), row.end());
    double square = 0;
    for (const float value : result) square += static_cast<double>(value) * value;
    if (!(square > 0)) return {};
    for (float& value : result) value = static_cast<float>(value / std::sqrt(square));
    return result;
  } catch (const std::exception&) {
    return {};
  }
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
