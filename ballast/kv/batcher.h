// Between connections and machines: operations wait here until a batch closes, and their answers find the way
// back. Keys that someone writes in a batch go to the serial class, so that a pipeline sees its own writes
// and every increment another number; all other reads go through orch, which no hot key can hurt.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "ballast/base/histogram.h"
#include "ballast/kv/commands.h"

namespace ballast::kv {

/// A command that waits for its answers. Filled by machines; `done` is called once, by the last of them.
struct Waiting {
  Command command;
  std::vector<Answer> answers = {};
  std::size_t missing = 0;
  std::uint64_t connection = 0;
  std::chrono::steady_clock::time_point since = {};
  std::function<void()> done = {};
};

class Batcher {
 public:
  Batcher(int machines, std::size_t batch, std::chrono::microseconds delay);

  void submit(std::shared_ptr<Waiting> waiting);
  void stop();
  /// Lets go of all commands that will not be answered any more.
  void abandon();

  /// One operation of a waiting command.
  struct Place {
    std::shared_ptr<Waiting> waiting;
    std::uint32_t index;
    const std::string& key() const { return waiting->command.operations[index].first; }
    const Operation& operation() const { return waiting->command.operations[index].second; }
  };
  struct Share {
    std::vector<Place> reads, serial;
  };
  enum State : int { kIdle = 0, kReads = 1, kSerial = 2, kStop = 4 };
  /// Called by machine 0: waits until a batch closes (or half a second has passed), and deals it out.
  int close_batch();
  /// This machine's share of the batch, after machine 0 has told that there is one. Operations of one
  /// connection are in one share, in their order.
  Share take_share(int machine);
  /// Answers of one share.
  void answer(const std::vector<Place>& places, std::vector<Answer> answers);

  /// Whether all answers of a command are there.
  bool is_whole(const Waiting& waiting) const;

  struct Counts {
    std::uint64_t batches = 0, operations = 0, serial = 0;
    std::int64_t p50_us = 0, p99_us = 0;
  };
  Counts counts() const;

 private:
  const std::size_t machines_, batch_;
  const std::chrono::microseconds delay_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Place> queue_;
  std::vector<Share> shares_;
  bool stopping_ = false;
  Counts counts_;
  Histogram residence_us_{HistogramRange{.lowest = 1, .highest = 3'600'000'000, .significant_digits = 2}};
};

}  // namespace ballast::kv
