#include "ballast/index/pim/drivers.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace ballast::pim {

std::vector<Cost> run_batches(Machine& machine, const std::vector<DrivenBatch>& batches) {
  std::vector<Cost> costs(batches.size());
  std::exception_ptr failure;
  std::mutex mutex;
  const auto run_one = [&](std::uint32_t driver, std::size_t batch) {
    const Machine::Seat seat(driver);
    try {
      batches[batch].work();
      costs[batch] = machine.cost();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  for (std::size_t begin = 0, end; begin < batches.size() && !failure; begin = end) {
    end = begin + 1;
    if (!batches[begin].reads) {
      run_one(0, begin);
      continue;
    }
    while (end < batches.size() && batches[end].reads) ++end;
    const auto drivers =
        static_cast<std::uint32_t>(std::min<std::size_t>(machine.options().drivers, end - begin));
    std::atomic<std::size_t> next{begin};
    std::atomic<bool> failed{false};
    const auto drive = [&](std::uint32_t driver) {
      for (std::size_t batch = next++; batch < end && !failed; batch = next++) {
        run_one(driver, batch);
        const std::lock_guard lock(mutex);
        if (failure) failed = true;
      }
    };
    std::vector<std::thread> threads;
    for (std::uint32_t d = 1; d < drivers; ++d) threads.emplace_back(drive, d);
    drive(0);
    for (auto& thread : threads) thread.join();
  }
  if (failure) std::rethrow_exception(failure);
  return costs;
}

}  // namespace ballast::pim
