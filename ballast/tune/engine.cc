#include "ballast/tune/engine.h"

#include <algorithm>
#include <utility>

#include "ballast/base/errors.h"
#include "ballast/model/threads.h"

namespace ballast::tune {
namespace {
double overlap(double a0, double a1, double b0, double b1) {
  return std::max(0.0, std::min(a1, b1) - std::max(a0, b0));
}
}  // namespace

Engine::Engine(EmulatedDevice& device, Schedule schedule, EngineOptions options)
    : device_(device), schedule_(std::move(schedule)), options_(options) {
  if (options_.slots < 1) throw InvalidInput("--slots", std::to_string(options_.slots), "at least 1");
  if (options_.chunk_bytes < 4)
    throw InvalidInput("--chunk-bytes", std::to_string(options_.chunk_bytes), "at least 4");
  for (const Stage stage : {kOffload, kUpdate, kUpload}) {
    workers_.emplace_back([this, stage] { work(stage); });
  }
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Engine::begin_step(std::int64_t step) {
  const std::lock_guard lock(mutex_);
  rethrow();
  step_ = step;
  if (schedule_.forward_waits_for_all && !schedule_.delayed) {
    BALLAST_CHECK(open_total_ == 0, "a step began before the last one's end");
  }
  std::erase_if(steps_, [](const auto& entry) { return entry.second.backward_done && entry.second.done(); });
  steps_[step];
  std::erase_if(finished_, [&](const Chunk& chunk) { return chunk.ticket.step + 2 < step; });
}

void Engine::submit(Transfer given) {
  BALLAST_CHECK(given.source.is_contiguous() && given.target.is_contiguous() &&
                given.source.numel() == given.target.numel());
  const auto transfer = std::make_shared<Transfer>(std::move(given));
  const std::int64_t total = transfer->source.numel();
  const std::int64_t size = std::max<std::int64_t>(1, options_.chunk_bytes / 4);
  const std::int64_t pieces = (total + size - 1) / size;
  const auto uncrossed = std::make_shared<std::atomic<std::int64_t>>(pieces);
  {
    const std::lock_guard lock(mutex_);
    const auto block = static_cast<std::size_t>(transfer->block);
    if (open_chunks_.size() <= block) open_chunks_.resize(block + 1);
    for (std::int64_t first = 0; first < total; first += size) {
      queues_[kOffload].push_back({.transfer = transfer,
                                   .first = first,
                                   .count = std::min(size, total - first),
                                   .ticket = {step_, transfer->block, arrivals_++},
                                   .buffer = {},
                                   .uncrossed = uncrossed});
      ++open_chunks_[block];
      ++open_total_;
      ++steps_[step_].submitted;
    }
    pending_bytes_ += total * 4;
  }
  changed_.notify_all();
}

void Engine::backward_done() {
  {
    const std::lock_guard lock(mutex_);
    steps_[step_].backward_done = true;
  }
  changed_.notify_all();
}

// Whether a chunk may be served by a stage now, by the schedule's gates.
bool Engine::open(Stage stage, const Chunk& chunk) const {
  const StepCounts& counts = steps_.at(chunk.ticket.step);
  switch (stage) {
    case kOffload:
      if (schedule_.offload_waits_for_backward && !counts.backward_done) return false;
      return slots_in_use_ < options_.slots || schedule_.update_waits_for_all ||
             schedule_.upload_waits_for_all;
    case kUpdate:
      return !schedule_.update_waits_for_all ||
             (counts.backward_done && counts.passed[kOffload] == counts.submitted);
    case kUpload:
      if (schedule_.delayed) {
        const auto next = steps_.find(chunk.ticket.step + 1);
        return settling_ || (next != steps_.end() && next->second.backward_done);
      }
      return !schedule_.upload_waits_for_all ||
             (counts.backward_done && counts.passed[kUpdate] == counts.submitted);
  }
  return false;
}

void Engine::work(Stage stage) {
  try {
    const model::PinnedScope pinned(device_.host_cores());
    std::unique_lock lock(mutex_);
    for (;;) {
      auto& queue = queues_[stage];
      std::vector<Chunk>::iterator best;
      changed_.wait(lock, [&] {
        if (stopping_) return true;
        if (failure_) return false;
        best = queue.end();
        for (auto chunk = queue.begin(); chunk != queue.end(); ++chunk) {
          if (!open(stage, *chunk)) continue;
          if (best == queue.end() ||
              service_key(schedule_, chunk->ticket) < service_key(schedule_, best->ticket)) {
            best = chunk;
          }
        }
        return best != queue.end();
      });
      if (stopping_) return;
      Chunk chunk = std::move(*best);
      queue.erase(best);
      if (stage == kOffload) {
        ++slots_in_use_;
        if (!free_buffers_.empty()) {
          chunk.buffer = std::move(free_buffers_.back());
          free_buffers_.pop_back();
        }
      }
      lock.unlock();
      chunk.times[2 * stage] = now();
      serve(stage, chunk);
      chunk.times[2 * stage + 1] = now();
      lock.lock();
      finish(stage, std::move(chunk));
      changed_.notify_all();
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
    changed_.notify_all();
  }
}

void Engine::cross(LinkChannel& channel, float* to, const float* from, std::int64_t count) {
  if (!options_.bf16_wire) {
    channel.copy(to, from, count * 4);
    return;
  }
  const HostScope host;
  const auto wide = [count](float* values) { return torch::from_blob(values, {count}, torch::kFloat32); };
  const at::Tensor sent = wide(const_cast<float*>(from)).to(torch::kBFloat16);
  const at::Tensor got = torch::empty_like(sent);
  channel.copy(got.data_ptr(), sent.data_ptr(), count * 2);
  wide(to).copy_(got);
}

void Engine::serve(Stage stage, Chunk& chunk) {
  const Transfer& transfer = *chunk.transfer;
  if (stage == kOffload && (!chunk.buffer.defined() || chunk.buffer.numel() < chunk.count)) {
    const HostScope host;
    chunk.buffer = torch::empty({chunk.count}, torch::kFloat32);
  }
  float* values = chunk.buffer.data_ptr<float>();
  switch (stage) {
    case kOffload:
      cross(device_.d2h(), values, transfer.source.data_ptr<float>() + chunk.first, chunk.count);
      if (--*chunk.uncrossed == 0) chunk.transfer->source.reset();
      break;
    case kUpdate: {
      const double start = now();
      transfer.update(chunk.first, chunk.count, values);
      if (const double rate = device_.host_rate(); rate > 0) {
        wait_until(start + static_cast<double>(chunk.count) / rate);
      }
      break;
    }
    case kUpload:
      cross(device_.h2d(), transfer.target.data_ptr<float>() + chunk.first, values, chunk.count);
      break;
  }
}

void Engine::finish(Stage stage, Chunk chunk) {
  ++steps_.at(chunk.ticket.step).passed[stage];
  const double start = chunk.times[2 * stage], end = chunk.times[2 * stage + 1];
  (stage == kOffload ? busy_.d2h : stage == kUpdate ? busy_.update : busy_.h2d) += end - start;
  if (options_.record) {
    constexpr const char* kNames[] = {"offload", "update", "upload"};
    constexpr Resource kResources[] = {Resource::d2h, Resource::host, Resource::h2d};
    intervals_.push_back({kResources[stage], kNames[stage], chunk.ticket.step, chunk.ticket.block,
                          chunk.transfer->unit, start, end});
  }
  if (stage == kOffload) pending_bytes_ -= chunk.count * 4;
  if (stage != kUpload) {
    queues_[stage + 1].push_back(std::move(chunk));
    return;
  }
  ++busy_.chunks;
  --slots_in_use_;
  free_buffers_.push_back(std::move(chunk.buffer));
  --open_chunks_[static_cast<std::size_t>(chunk.ticket.block)];
  --open_total_;
  chunk.transfer.reset();
  finished_.push_back(std::move(chunk));
}

void Engine::rethrow() {
  if (failure_) std::rethrow_exception(failure_);
}

template <typename Done>
void Engine::wait(std::unique_lock<std::mutex>& lock, Done done) {
  const double start = now();
  changed_.wait(lock, [&] { return failure_ || done(); });
  rethrow();
  account(start, now());
}

// Splits a wait by what the chunk that ended it last was doing meanwhile.
void Engine::account(double start, double end) {
  waits_.total += end - start;
  const Chunk* last = nullptr;
  for (const Chunk& chunk : finished_) {
    if (chunk.times[5] <= end + 1e-4 && (last == nullptr || chunk.times[5] > last->times[5])) last = &chunk;
  }
  double link = 0, update = 0;
  if (last != nullptr) {
    link = overlap(start, end, last->times[0], last->times[1]) +
           overlap(start, end, last->times[4], last->times[5]);
    update = overlap(start, end, last->times[2], last->times[3]);
  }
  waits_.link += link;
  waits_.update += update;
  waits_.other += end - start - link - update;
}

void Engine::wait_block(std::int64_t block) {
  std::unique_lock lock(mutex_);
  const auto index = static_cast<std::size_t>(block);
  wait(lock, [&] {
    if (schedule_.delayed) {
      return std::all_of(steps_.begin(), steps_.end(),
                         [&](const auto& entry) { return entry.first + 2 > step_ || entry.second.done(); });
    }
    if (schedule_.forward_waits_for_all) return open_total_ == 0;
    return open_chunks_.size() <= index || open_chunks_[index] == 0;
  });
}

void Engine::wait_pending_below(std::int64_t bytes) {
  std::unique_lock lock(mutex_);
  if (schedule_.offload_waits_for_backward) return;  // nothing will cross before BWD ends
  wait(lock, [&] { return pending_bytes_ <= bytes; });
}

void Engine::drain() {
  std::unique_lock lock(mutex_);
  settling_ = true;
  changed_.notify_all();
  wait(lock, [&] { return open_total_ == 0; });
  settling_ = false;
}

void Engine::set_transition(std::int64_t block) {
  const std::lock_guard lock(mutex_);
  schedule_.transition = block;
}

std::vector<Interval> Engine::take_intervals() {
  const std::lock_guard lock(mutex_);
  return std::exchange(intervals_, {});
}

Breakdown Engine::take_waits() {
  const std::lock_guard lock(mutex_);
  return std::exchange(waits_, {});
}

Engine::Busy Engine::take_busy() {
  const std::lock_guard lock(mutex_);
  return std::exchange(busy_, {});
}

}  // namespace ballast::tune
