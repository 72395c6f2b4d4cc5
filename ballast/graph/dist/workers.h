// The threads of one machine (techniques L2 and C2): loops over blocks of equal work, and a piece of work
// beside an exchange. A machine's own thread is one of them; what helpers spend is added to its account.
//
//   Workers workers(4, false);
//   workers.run(blocks.size(), [&](std::size_t b) { ... });            // any block on any thread
//   workers.beside([&] { compute(); }, [&] { in = me.exchange(...); });
//   me.add_cpu_ns(workers.take_cpu_ns());
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace ballast::graph {

/// Memory nodes of this computer, at least 1.
int numa_nodes();

class Workers {
 public:
  /// `fixed`: block i of n always goes to the same thread, so that memory lies where it is first touched
  /// (L7).
  Workers(int threads, bool fixed);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int threads() const { return threads_; }
  /// work(i) for i = 0..n-1, each once; returns when all have ended.
  void run(std::size_t n, const std::function<void(std::size_t)>& work);
  /// Runs `work` on another thread while `other` runs on this one; when none comes free, after it. Both have
  /// ended on return, also when `other` throws.
  void beside(const std::function<void()>& work, const std::function<void()>& other);
  /// CPU time that threads other than the callers have spent since the last call.
  std::uint64_t take_cpu_ns();

 private:
  struct Arena;
  int threads_;
  bool fixed_;
  std::unique_ptr<Arena> arena_;
};

}  // namespace ballast::graph
