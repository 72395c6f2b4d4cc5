#include "ballast/kv/batcher.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <utility>

#include "ballast/base/cli.h"

namespace ballast::kv {

Batcher::Batcher(int machines, std::size_t batch, std::chrono::microseconds delay)
    : machines_(static_cast<std::size_t>(machines)), batch_(batch), delay_(delay), shares_(machines_) {}

void Batcher::submit(std::shared_ptr<Waiting> waiting) {
  const std::size_t n = waiting->command.operations.size();
  waiting->answers.resize(n);
  waiting->missing = n;
  waiting->since = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  for (std::uint32_t i = 0; i < n; ++i) queue_.push_back({waiting, i});
  changed_.notify_one();
}

void Batcher::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  changed_.notify_one();
}

void Batcher::abandon() {
  const std::lock_guard lock(mutex_);
  const auto let_go = [](std::vector<Place>& places) {
    for (auto& place : places) place.waiting->done = nullptr;
    places.clear();
  };
  let_go(queue_);
  for (auto& share : shares_) {
    let_go(share.reads);
    let_go(share.serial);
  }
}

int Batcher::close_batch() {
  std::unique_lock lock(mutex_);
  const auto patience = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  while (queue_.empty() && !stopping_ && !cli::interrupted()) {
    if (changed_.wait_for(lock, std::chrono::milliseconds(50)) == std::cv_status::timeout &&
        std::chrono::steady_clock::now() >= patience)
      return kIdle;
  }
  if (stopping_ || cli::interrupted()) return kStop;
  const auto until = queue_.front().waiting->since + delay_;
  while (queue_.size() < batch_ && !stopping_ &&
         changed_.wait_until(lock, until) != std::cv_status::timeout) {
  }
  if (stopping_) return kStop;

  absl::flat_hash_set<std::string> written;
  for (const auto& place : queue_) {
    if (writes(place.operation().kind)) written.insert(place.key());
  }
  int state = kIdle;
  for (auto& place : queue_) {
    Share& share = shares_[place.waiting->connection % machines_];
    const bool serial = written.contains(place.key());
    state |= serial ? kSerial : kReads;
    counts_.serial += serial;
    (serial ? share.serial : share.reads).push_back(std::move(place));
  }
  counts_.operations += queue_.size();
  ++counts_.batches;
  queue_.clear();
  return state;
}

Batcher::Share Batcher::take_share(int machine) {
  const std::lock_guard lock(mutex_);
  return std::exchange(shares_[static_cast<std::size_t>(machine)], Share{});
}

void Batcher::answer(const std::vector<Place>& places, std::vector<Answer> answers) {
  std::vector<std::shared_ptr<Waiting>> whole;
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < places.size(); ++i) {
      Waiting& waiting = *places[i].waiting;
      waiting.answers[places[i].index] = std::move(answers[i]);
      if (--waiting.missing > 0) continue;
      residence_us_.record(
          std::chrono::duration_cast<std::chrono::microseconds>(now - waiting.since).count());
      whole.push_back(places[i].waiting);
    }
  }
  for (auto& waiting : whole) std::exchange(waiting->done, nullptr)();
}

bool Batcher::is_whole(const Waiting& waiting) const {
  const std::lock_guard lock(mutex_);
  return waiting.missing == 0;
}

Batcher::Counts Batcher::counts() const {
  const std::lock_guard lock(mutex_);
  Counts counts = counts_;
  counts.p50_us = residence_us_.percentile(50);
  counts.p99_us = residence_us_.percentile(99);
  return counts;
}

}  // namespace ballast::kv
