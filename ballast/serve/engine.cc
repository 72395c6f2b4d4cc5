#include "ballast/serve/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

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
  if (job.think_tpot_ms > 0)
    round.output.push_back({Segment::Kind::think, job.max_tokens, job.think_tpot_ms});
  round.output.push_back({Segment::Kind::decode, job.max_tokens, job.tpot_ms});
  request.rounds.push_back(std::move(round));
  return request;
}

}  // namespace

Engine::Engine(const llama::Model& model, PerfModel perf, std::unique_ptr<Policy> policy,
               const EngineOptions& options)
    : model_(model), perf_(std::move(perf)), options_(options), executor_(model, options.executor) {
  perf_.kv_tokens = executor_.slots() * executor_.slot_tokens();
  perf_.max_batch_tokens = executor_.batch();
  ReplicaSettings settings;
  settings.kv_block = executor_.slot_tokens();  // a KV block is a whole slot: separate streams
  settings.expect_output = [](const Live& live) {
    return std::min(live.current().output.back().tokens, 256);
  };
  replica_ = std::make_unique<Replica>(perf_, std::move(policy), settings);
  replica_->on_gone = [this](Live& live) { finish(live); };
  replica_->on_drop = [this](Live& live) {
    if (live.executor_slot < 0) return;
    executor_.drop(live.executor_slot);
    slot_taken_[static_cast<std::size_t>(live.executor_slot)] = false;
    live.executor_slot = -1;
  };
  replica_->on_tool = [](Live&, double) {};
  if (options.ngram) drafter_ = std::make_unique<NgramDrafter>();
  slot_taken_.assign(static_cast<std::size_t>(executor_.slots()), false);
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
  const auto longest = static_cast<std::size_t>(executor_.slot_tokens());
  if (job.prompt.size() + static_cast<std::size_t>(job.max_tokens) > longest)
    throw InvalidInput(
        fmt::format("prompt ({} tokens) and max_tokens ({}) are longer than the context of {} tokens",
                    job.prompt.size(), job.max_tokens, longest));
  auto running = std::make_unique<Running>();
  running->sampler =
      std::make_unique<llama::Sampler>(model_, job.sampling);  // throws before anything is queued
  running->text = TextAssembler(job.stops);
  running->history = job.prompt;
  running->job = std::move(job);
  running->sink = std::move(sink);
  running->submitted_ms = now_ms();
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
    const StepBatch& batch = replica_->form(now);
    announce();
    if (!batch.empty()) step(batch);
    for (const Id id : gone_) running_.erase(id);
    gone_.clear();
    publish();
    if (!batch.empty()) continue;
    std::unique_lock lock(mutex_);
    const auto something = [this] {
      return stop_ || !arrivals_.empty() || !cancellations_.empty() || cancel_best_effort_;
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
}

void Engine::publish() {
  figures_.now_ms = now_ms();
  figures_.alive = replica_->alive();
  figures_.pending = replica_->policy().pending();
  figures_.best_effort = replica_->policy().best_effort();
  figures_.kv_total = replica_->ledger().total();
  figures_.kv_used = replica_->ledger().used();
  figures_.counters = replica_->counters();
  const std::lock_guard lock(mutex_);
  snapshot_ = figures_;
  if (const auto* slos = dynamic_cast<const SlosPolicy*>(&replica_->policy())) {
    if (figures_.counters.steps % 16 == 0) explanation_ = slos->explain();
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

void Engine::step(const StepBatch& batch) {
  std::vector<ExecutorItem> items;
  std::vector<std::vector<llama::Token>> verified(batch.items.size());
  BatchLoad load;
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    const BatchItem& item = batch.items[i];
    Live& live = *item.live;
    Running& running = of(live);
    if (live.executor_slot < 0) {
      const auto free = std::find(slot_taken_.begin(), slot_taken_.end(), false);
      BALLAST_CHECK(free != slot_taken_.end(), "the ledger granted more slots than there are");
      *free = true;
      live.executor_slot = static_cast<int>(free - slot_taken_.begin());
    }
    ExecutorItem work;
    work.slot = live.executor_slot;
    work.position = live.done;
    if (item.chunk > 0) {
      work.tokens = std::span(running.history)
                        .subspan(static_cast<std::size_t>(live.done), static_cast<std::size_t>(item.chunk));
      if (live.done + item.chunk == live.target) work.sampler = running.sampler.get();
      load.add_chunk(item.chunk, live.done);
    } else {
      verified[i] = {running.history.back()};
      if (drafter_ && item.verify > 1) {
        for (const llama::Token token : drafter_->propose(running.history, item.verify - 1))
          verified[i].push_back(token);
      }
      work.tokens = verified[i];
      work.drafted = static_cast<int>(verified[i].size()) - 1;
      work.sampler = running.sampler.get();
      load.add_decode(work.drafted + 1, live.done);
    }
    items.push_back(work);
  }
  const double start = now_ms();
  const ExecutorResult result = executor_.step(items);
  const double now = now_ms();
  figures_.last_step_ms = now - start;
  figures_.last_step_tokens = load.tokens;
  if (result.status != llama::DecodeStatus::ok) {
    ++failures_in_a_row_;
    std::vector<Live*> victims;
    for (const BatchItem& item : batch.items) victims.push_back(item.live);
    for (Live* live : victims)
      replica_->cancel(*live, now, Outcome::failed, "the engine failed in this step");
    return;
  }
  failures_in_a_row_ = 0;
  // The model's drift, slowly: a moving average of measured over predicted.
  const double predicted = perf_.step_ms(load);
  if (predicted > 0) figures_.model_scale += ((now - start) / predicted - figures_.model_scale) / 128;

  std::vector<StepOutcome> outcomes(batch.items.size());
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    outcomes[i].drafted = items[i].drafted;
    if (!result.tokens[i].empty()) deliver(of(*batch.items[i].live), result.tokens[i], now, outcomes[i]);
  }
  replica_->complete(now, outcomes);
}

void Engine::deliver(Running& running, const std::vector<llama::Token>& tokens, double now,
                     StepOutcome& outcome) {
  Event event;
  event.kind = Event::Kind::text;
  event.ms = now;
  const int before = running.live.in_round;
  for (const llama::Token token : tokens) {
    if (before + outcome.emitted >= running.job.max_tokens) break;
    ++outcome.emitted;
    running.history.push_back(token);
    event.tokens.push_back(token);
    if (model_.ends_generation(token)) {
      outcome.ended = running.ended_by_text = true;
      break;
    }
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
  if (before + outcome.emitted >= running.job.max_tokens) outcome.ended = true;
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
  event.prompt_tokens = static_cast<int>(running.job.prompt.size());
  event.output_tokens = live.in_round;
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
