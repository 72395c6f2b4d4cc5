// A place where a fixed number of threads meet again and again, which a failed party cannot turn into a wait
// without end: `fail` wakes everyone with MachineLost, and a meeting that is not complete in time names who
// is missing.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ballast/cluster/transport.h"

namespace ballast::cluster {

enum class Meeting : std::uint32_t { none, exchange, allgather, stream };

class Rendezvous {
 public:
  /// Parties are `first`, `first` + 1, ...; `machines` of them.
  Rendezvous(int first, int machines, double timeout_s);

  /// Waits for all parties. Throws MachineLost if one has failed, Unavailable if one has left, calls
  /// something else, or does not come in time.
  void meet(int machine, Meeting kind, const Where& where);
  void leave(int machine) noexcept;
  void fail(int machine, const Where& where, const std::string& reason) noexcept;
  /// Before a new run.
  void reset();

  struct Failure {
    int machine;
    std::uint32_t stage, superstep;
    std::string reason;
  };
  /// Throws MachineLost if a party has failed.
  void stop_if_failed() const;
  /// The first failure since reset().
  std::optional<Failure> failure() const;

 private:
  [[noreturn]] void throw_failure() const;
  std::string absent() const;

  const int first_, machines_;
  const double timeout_s_;
  const bool spinning_;  ///< every party has a core of its own: looking a while is faster than sleeping
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<std::uint64_t> generation_{0};  ///< meetings so far
  int arrived_ = 0;
  std::vector<bool> here_;
  Meeting kind_ = Meeting::none;
  std::uint32_t stage_ = 0, superstep_ = 0;
  std::optional<int> left_;
  std::optional<Failure> failure_;
};

}  // namespace ballast::cluster
