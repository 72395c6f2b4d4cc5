#include "ballast/index/batcher.h"

#include "ballast/base/errors.h"

namespace ballast::index {

Batcher::Batcher(OrderedIndex& index, BatcherOptions options) : index_(index), options_(options) {
  if (options.most == 0) throw InvalidInput("calls of a batch", "0", "at least 1");
  server_ = std::thread([this] { serve(); });
}

Batcher::~Batcher() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  server_.join();
}

Batcher::Call& Batcher::enqueue(std::unique_lock<std::mutex>& lock, Kind kind, Key key, Value value) {
  lock = std::unique_lock(mutex_);
  waiting_.push_back({kind, key, value, std::chrono::steady_clock::now(), {}, {}, {}, {}});
  // The first call starts the clock, the last of a full batch ends it; those between need no wake-up.
  if (waiting_.size() == 1 || waiting_.size() == options_.most) wake_.notify_one();
  return waiting_.back();
}

std::future<std::optional<Value>> Batcher::get(Key key) {
  std::unique_lock<std::mutex> lock;
  return enqueue(lock, Kind::get, key, 0).value_answer.get_future();
}
std::future<std::optional<Entry>> Batcher::predecessor(Key key) {
  std::unique_lock<std::mutex> lock;
  return enqueue(lock, Kind::predecessor, key, 0).entry_answer.get_future();
}
std::future<std::optional<Entry>> Batcher::successor(Key key) {
  std::unique_lock<std::mutex> lock;
  return enqueue(lock, Kind::successor, key, 0).entry_answer.get_future();
}
std::future<void> Batcher::insert(Key key, Value value) {
  std::unique_lock<std::mutex> lock;
  return enqueue(lock, Kind::insert, key, value).done.get_future();
}
std::future<bool> Batcher::erase(Key key) {
  std::unique_lock<std::mutex> lock;
  return enqueue(lock, Kind::erase, key, 0).flag_answer.get_future();
}

Batcher::Counters Batcher::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

void Batcher::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto deadline = waiting_.front().arrived + options_.max_delay;
    wake_.wait_until(lock, deadline, [&] { return stop_ || waiting_.size() >= options_.most; });
    std::vector<Call> calls = std::move(waiting_);
    waiting_.clear();
    counters_.calls += calls.size();
    lock.unlock();
    std::uint64_t batches = 0;
    for (std::size_t begin = 0, end; begin < calls.size(); begin = end, ++batches) {
      for (end = begin; end < calls.size() && calls[end].kind == calls[begin].kind;) ++end;
      run(std::span(calls).subspan(begin, end - begin));
    }
    lock.lock();
    counters_.batches += batches;
  }
}

void Batcher::run(std::span<Call> calls) {
  std::vector<Key> keys;
  std::vector<Entry> entries;
  for (const auto& call : calls) {
    keys.push_back(call.key);
    entries.push_back({call.key, call.value});
  }
  const Kind kind = calls.front().kind;
  try {
    if (kind == Kind::get) {
      const auto answers = index_.get(keys);
      for (std::size_t i = 0; i < calls.size(); ++i) calls[i].value_answer.set_value(answers[i]);
    } else if (kind == Kind::insert) {
      index_.insert(entries);
      for (auto& call : calls) call.done.set_value();
    } else if (kind == Kind::erase) {
      const auto answers = index_.erase(keys);
      for (std::size_t i = 0; i < calls.size(); ++i) calls[i].flag_answer.set_value(answers[i]);
    } else {
      const auto answers = kind == Kind::predecessor ? index_.predecessor(keys) : index_.successor(keys);
      for (std::size_t i = 0; i < calls.size(); ++i) calls[i].entry_answer.set_value(answers[i]);
    }
  } catch (...) {
    for (auto& call : calls) {
      if (kind == Kind::get) {
        call.value_answer.set_exception(std::current_exception());
      } else if (kind == Kind::insert) {
        call.done.set_exception(std::current_exception());
      } else if (kind == Kind::erase) {
        call.flag_answer.set_exception(std::current_exception());
      } else {
        call.entry_answer.set_exception(std::current_exception());
      }
    }
  }
}

}  // namespace ballast::index
