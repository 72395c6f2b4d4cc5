#include "ballast/graph/dist/workers.h"

#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <time.h>

#include <atomic>
#include <filesystem>
#include <thread>

namespace ballast::graph {
namespace {

std::uint64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

int numa_nodes() {
  std::error_code error;
  int nodes = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/devices/system/node", error)) {
    const std::string name = entry.path().filename().string();
    nodes += name.starts_with("node") && name.size() > 4 && name[4] >= '0' && name[4] <= '9';
  }
  return nodes > 0 ? nodes : 1;
}

struct Workers::Arena {
  explicit Arena(int threads) : arena(threads) {}
  tbb::task_arena arena;
  std::atomic<std::uint64_t> others{0};

  template <typename Work>
  void timed(std::thread::id caller, const Work& work) {
    if (std::this_thread::get_id() == caller) {
      work();
      return;
    }
    const std::uint64_t before = thread_cpu_ns();
    work();
    others += thread_cpu_ns() - before;
  }
};

// One slot more than threads: while this machine's own thread waits for an exchange, a helper computes.
Workers::Workers(int threads, bool fixed)
    : threads_(threads), fixed_(fixed), arena_(std::make_unique<Arena>(threads + 1)) {}
Workers::~Workers() = default;

void Workers::run(std::size_t n, const std::function<void(std::size_t)>& work) {
  if (threads_ <= 1 || n <= 1) {
    for (std::size_t i = 0; i < n; ++i) work(i);
    return;
  }
  const auto caller = std::this_thread::get_id();
  // As many strands as threads take blocks in turn, or each its fixed share of them.
  const auto strands = static_cast<std::size_t>(threads_);
  std::atomic<std::size_t> next{0};
  arena_->arena.execute([&] {
    tbb::parallel_for(
        std::size_t{0}, strands,
        [&](std::size_t strand) {
          arena_->timed(caller, [&] {
            if (fixed_) {
              for (std::size_t i = n * strand / strands; i < n * (strand + 1) / strands; ++i) work(i);
            } else {
              for (std::size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n;) work(i);
            }
          });
        },
        tbb::static_partitioner());
  });
}

void Workers::beside(const std::function<void()>& work, const std::function<void()>& other) {
  const auto caller = std::this_thread::get_id();
  tbb::task_group group;
  arena_->arena.execute([&] { group.run([&] { arena_->timed(caller, work); }); });
  try {
    other();
  } catch (...) {
    arena_->arena.execute([&] { group.wait(); });
    throw;
  }
  arena_->arena.execute([&] { group.wait(); });
}

std::uint64_t Workers::take_cpu_ns() {
  return arena_->others.exchange(0);
}

}  // namespace ballast::graph
