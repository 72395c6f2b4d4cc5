#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/serve/engine_running.h"
#include "ballast/serve/slos_policy.h"

namespace ballast::serve {

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

}  // namespace ballast::serve
