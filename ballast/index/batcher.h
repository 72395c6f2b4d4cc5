// Single calls from many threads, turned into batches with a bound on how long a call waits.
//
//   Batcher batcher(index, {.most = 4096, .max_delay = std::chrono::microseconds(500)});
//   std::future<std::optional<Value>> answer = batcher.get(key);      // any thread
//   batcher.insert(key, value).get();
//
// One thread of its own owns the index: it takes what has come in when `most` calls wait or the oldest has
// waited `max_delay`, and runs them in order of arrival, neighbouring calls of one kind as one batch. So
// every call sees the calls that the same thread made before it. A batch that fails gives its exception to
// each of its callers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "ballast/index/types.h"

namespace ballast::index {

struct BatcherOptions {
  std::size_t most = 4096;
  std::chrono::microseconds max_delay{500};
};

class Batcher {
 public:
  /// The index must outlive it and be used by nobody else meanwhile. Throws InvalidInput for most = 0.
  explicit Batcher(OrderedIndex& index, BatcherOptions options = {});
  /// Runs what still waits.
  ~Batcher();
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  std::future<std::optional<Value>> get(Key key);
  std::future<std::optional<Entry>> predecessor(Key key);
  std::future<std::optional<Entry>> successor(Key key);
  std::future<void> insert(Key key, Value value);
  std::future<bool> erase(Key key);

  struct Counters {
    std::uint64_t calls = 0, batches = 0;
  };
  Counters counters() const;

 private:
  enum class Kind { get, predecessor, successor, insert, erase };
  struct Call {
    Kind kind;
    Key key;
    Value value;
    std::chrono::steady_clock::time_point arrived;
    std::promise<std::optional<Value>> value_answer;
    std::promise<std::optional<Entry>> entry_answer;
    std::promise<void> done;
    std::promise<bool> flag_answer;
  };
  Call& enqueue(std::unique_lock<std::mutex>& lock, Kind kind, Key key, Value value);
  void serve();
  void run(std::span<Call> calls);

  OrderedIndex& index_;
  BatcherOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Call> waiting_;
  bool stop_ = false;
  Counters counters_;
  std::thread server_;
};

}  // namespace ballast::index
