// What an executor runs: subscriptions and timers, told apart by readiness, group and priority.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace ballast::ros {

/// Callbacks of a mutually exclusive group never run at the same time; those of a reentrant one may.
class CallbackGroup {
 public:
  enum class Kind { mutually_exclusive, reentrant };
  explicit CallbackGroup(Kind kind = Kind::mutually_exclusive) : kind_(kind) {}
  /// True when a callback may start now; it must be followed by leave().
  bool enter() { return kind_ == Kind::reentrant || !busy_.exchange(true, std::memory_order_acquire); }
  void leave() {
    if (kind_ == Kind::mutually_exclusive) busy_.store(false, std::memory_order_release);
  }

 private:
  Kind kind_;
  std::atomic<bool> busy_{false};
};

class Executable {
 public:
  virtual ~Executable() = default;
  /// Whether execute() may find work. `now_ns` is CLOCK_MONOTONIC.
  virtual bool ready(std::int64_t now_ns) const = 0;
  /// Runs at most one callback. Called by one thread at a time unless its group is reentrant.
  virtual void execute() = 0;
  /// When it becomes ready by itself (timers); INT64_MAX for never.
  virtual std::int64_t wakes_at() const { return INT64_MAX; }

  CallbackGroup* group = nullptr;
  int priority = 0;  ///< larger runs first under the prioritized executor
};

/// Nanoseconds of CLOCK_MONOTONIC.
std::int64_t monotonic_ns();
/// Nanoseconds of CLOCK_REALTIME.
std::int64_t realtime_ns();

}  // namespace ballast::ros
