// A fiber: a function with a stack of its own that can stop in the middle and go on later (Boost.Context does
// the switching). Stacks are reserved, committed page by page as they are used, and end in a guard page.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>

namespace ballast::dynamic {

/// What ends a fiber that is not needed any more; no error of a user's.
struct Cancelled {};

class Fiber {
 public:
  explicit Fiber(std::size_t stack_bytes);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// What the next resume() begins. The fiber must have ended, or never begun.
  void start(std::function<void()> body);
  /// Runs until the body suspends or ends. True once it has ended; rethrows what it ended with.
  bool resume();
  /// On the fiber: back to who resumed it. Throws Cancelled when the fiber is to end.
  void suspend();
  /// Ends a suspended fiber: its suspend() throws Cancelled. Nothing happens when it has ended.
  void cancel();
  /// On the fiber: ends it at once with this error, without unwinding its frames, which must own nothing.
  [[noreturn]] void leave(std::exception_ptr error);
  /// No frame may reach below this address.
  const char* limit() const { return memory_ + kMargin; }
  bool ended() const { return ended_; }

 private:
  static constexpr std::size_t kMargin = 64 << 10;  // for host functions called from the deepest frame
  friend struct FiberDoor;
  char* memory_ = nullptr;
  std::size_t bytes_;
  void* inside_ = nullptr;   // where the body stands
  void* outside_ = nullptr;  // who resumed it
  std::function<void()> body_;
  std::exception_ptr error_;
  bool ended_ = true, cancelled_ = false;
};

}  // namespace ballast::dynamic
