#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "ballast/base/errors.h"
#include "ballast/loop/kernel.h"

namespace ballast::loop {
namespace {

class Scratch {
 public:
  std::byte* get(std::int64_t bytes) {
    if (bytes > size_) {
      size_ = (bytes + 63) / 64 * 64;
      memory_.reset(static_cast<std::byte*>(std::aligned_alloc(64, static_cast<std::size_t>(size_))));
      if (memory_ == nullptr)
        throw Unavailable("no memory for " + std::to_string(size_) + " bytes of kernel scratch");
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::int64_t size_ = 0;
};

struct Piece {
  std::size_t job;
  std::int64_t begin, end;
};

}  // namespace

std::vector<std::int64_t> cut_by_cost(std::span<const std::int64_t> costs, int parts) {
  std::int64_t total = 0;
  for (const std::int64_t c : costs) total += std::max<std::int64_t>(c, 0);
  std::vector<std::int64_t> cuts{0};
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    sum += std::max<std::int64_t>(costs[i], 0);
    // The k-th cut lies behind the first task with which k/parts of the cost is reached.
    const auto k = static_cast<std::int64_t>(cuts.size());
    if (k < parts && sum * parts >= total * k && i + 1 < costs.size())
      cuts.push_back(static_cast<std::int64_t>(i + 1));
  }
  cuts.push_back(static_cast<std::int64_t>(costs.size()));
  return cuts;
}

struct Launcher::State {
  explicit State(int n) : threads(n > 0 ? n : tbb::this_task_arena::max_concurrency()), arena(threads) {}
  int threads;
  tbb::task_arena arena;
  tbb::enumerable_thread_specific<Scratch> scratch;

  void run_piece(const Job& job, std::int64_t begin, std::int64_t end) {
    KernelFrame frame = job.frame;
    const std::int64_t bytes = job.kernel->signature().scratch_bytes;
    if (bytes > 0) frame.scratch = scratch.local().get(bytes);
    job.kernel->run(&frame, begin, end);
  }

  /// List scheduling of the longest processing time first: workers take the heaviest task that is left.
  void run_by_falling_cost(std::span<const Job> jobs, std::span<const std::int64_t> costs,
                           std::span<const std::int64_t> ends) {
    std::vector<std::size_t> order(costs.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
    std::atomic<std::size_t> next{0};
    arena.execute([&] {
      tbb::parallel_for(
          0, threads,
          [&](int) {
            for (std::size_t i = next++; i < order.size(); i = next++) {
              const auto task = static_cast<std::int64_t>(order[i]);
              const auto job =
                  static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), task) - ends.begin());
              const std::int64_t own = task - (job == 0 ? 0 : ends[job - 1]);
              run_piece(jobs[job], own, own + 1);
            }
          },
          tbb::simple_partitioner());
    });
  }
};

Launcher::Launcher(int threads) : state_(std::make_unique<State>(threads)) {}
Launcher::~Launcher() = default;
int Launcher::threads() const {
  return state_->threads;
}

void Launcher::run(const CompiledKernel& kernel, const KernelFrame& frame, Balance balance) {
  const Job job{&kernel, frame};
  run(std::span(&job, 1), balance);
}

void Launcher::run(std::span<const Job> jobs, Balance balance) {
  if (state_->threads == 1) {
    for (const Job& job : jobs) state_->run_piece(job, 0, job.kernel->num_tasks(&job.frame));
    return;
  }
  // All jobs' tasks as one list, cut together: a launch is as balanced as its sum.
  std::vector<Piece> pieces;
  std::vector<std::int64_t> costs;
  std::vector<std::int64_t> ends;
  for (const Job& job : jobs) {
    const std::int64_t tasks = job.kernel->num_tasks(&job.frame);
    for (std::int64_t t = 0; t < tasks; ++t)
      costs.push_back(balance == Balance::cost_prefix || balance == Balance::lpt
                          ? job.kernel->task_cost(&job.frame, t)
                          : 1);
    ends.push_back(static_cast<std::int64_t>(costs.size()));
  }
  const auto tasks = static_cast<std::int64_t>(costs.size());
  if (tasks == 0) return;
  if (balance == Balance::lpt) return state_->run_by_falling_cost(jobs, costs, ends);
  const int parts = balance == Balance::contiguous ? state_->threads
                    : balance == Balance::dynamic  ? static_cast<int>(std::min<std::int64_t>(tasks, 1 << 20))
                                                   : state_->threads * kPiecesPerWorker;
  const std::vector<std::int64_t> cuts = cut_by_cost(costs, parts);
  std::size_t job = 0;
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    for (std::int64_t at = cuts[i]; at < cuts[i + 1];) {
      while (at >= ends[job]) ++job;
      const std::int64_t start = job == 0 ? 0 : ends[job - 1];
      const std::int64_t end = std::min(cuts[i + 1], ends[job]);
      pieces.push_back({job, at - start, end - start});
      at = end;
    }
  }
  state_->arena.execute([&] {
    tbb::parallel_for(
        std::size_t{0}, pieces.size(),
        [&](std::size_t i) { state_->run_piece(jobs[pieces[i].job], pieces[i].begin, pieces[i].end); },
        tbb::simple_partitioner());
  });
}

}  // namespace ballast::loop
