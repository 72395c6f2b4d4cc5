#include "ballast/orch/parallel.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <time.h>

#include <atomic>
#include <thread>

namespace ballast::orch::internal {
namespace {

std::uint64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

std::uint64_t parallel_ranges(int threads, std::size_t n,
                              const std::function<void(std::size_t, std::size_t)>& work) {
  constexpr std::size_t kGrain = 64;
  if (threads <= 1 || n <= kGrain) {
    if (n > 0) work(0, n);
    return 0;
  }
  const auto caller = std::this_thread::get_id();
  std::atomic<std::uint64_t> others{0};
  // What the caller wrote is seen by every range, and what a range wrote by the caller: oneTBB promises that
  // too, but a thread sanitizer cannot look into it.
  std::atomic<std::size_t> seen{0};
  seen.fetch_add(1, std::memory_order_release);
  tbb::task_arena arena(threads);
  arena.execute([&] {
    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, n, kGrain), [&](const auto& range) {
      seen.load(std::memory_order_acquire);
      const std::uint64_t before = thread_cpu_ns();
      work(range.begin(), range.end());
      if (std::this_thread::get_id() != caller) others += thread_cpu_ns() - before;
      seen.fetch_add(1, std::memory_order_release);
    });
  });
  seen.load(std::memory_order_acquire);
  return others;
}

}  // namespace ballast::orch::internal
