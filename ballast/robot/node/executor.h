// The executors of ROS 2, side by side, so that each is a baseline for the others.
//
//   single       a wait-set rebuilt for every round; all that is ready runs in the order of declaration
//   static       the same over a list fixed at the start of spin()
//   multi(N)     N threads take ready callbacks whose group is free
//   prioritized  one thread; after every callback the ready one of highest priority (SCHED_FIFO where
//   allowed) events       one thread; callbacks run in the order in which their cause arrived
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ballast/robot/node/executable.h"

namespace ballast::ros {

enum class ExecutorKind { single, static_, multi, prioritized, events };

struct ExecutorOptions {
  ExecutorKind kind = ExecutorKind::single;
  int threads = 2;        ///< of multi
  bool realtime = false;  ///< ask for SCHED_FIFO; refused quietly where the user may not

  /// "single", "static", "multi(4)", "prioritized", "events". Throws InvalidInput.
  static ExecutorOptions parse(const std::string& text);
};
std::string to_string(const ExecutorOptions& options);

class Executor {
 public:
  static std::unique_ptr<Executor> make(const ExecutorOptions& options);
  virtual ~Executor() = default;

  /// Only while spin() is not running.
  void add(Executable& executable);
  void remove(Executable& executable);

  /// Runs callbacks until stop(). A callback's exception ends spin() with it.
  virtual void spin() = 0;
  void stop();
  /// From any thread: `executable` may have become ready.
  virtual void notify(Executable& executable);

 protected:
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }
  /// Sleeps until a notification later than `seen` or `until_ns`; returns the present count.
  std::uint64_t wait(std::uint64_t seen, std::int64_t until_ns);
  std::uint64_t notifications();
  /// Runs it when its group is free; false when not.
  static bool run(Executable& executable);

  std::vector<Executable*> executables_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::uint64_t notified_ = 0;
  std::atomic<bool> stopped_{false};
};

}  // namespace ballast::ros
