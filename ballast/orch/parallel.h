// Phase 3 inside a machine: work over a range of indices on several threads of one oneTBB arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace ballast::orch::internal {

/// Calls work(begin, end) on disjoint ranges that cover 0..n-1, on at most `threads` threads, the caller
/// among them. Returns the CPU time, in ns, of the others. What `work` throws is thrown here.
std::uint64_t parallel_ranges(int threads, std::size_t n,
                              const std::function<void(std::size_t begin, std::size_t end)>& work);

}  // namespace ballast::orch::internal
