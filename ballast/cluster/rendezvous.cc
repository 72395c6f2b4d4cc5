#include "ballast/cluster/rendezvous.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

namespace ballast::cluster {

MachineLost::MachineLost(int machine, std::uint32_t stage, std::uint32_t superstep, const std::string& reason)
    : Unavailable(fmt::format("machine {} was lost in stage {}, superstep {}: {}", machine, stage, superstep,
                              reason)),
      machine_(machine),
      stage_(stage),
      superstep_(superstep),
      reason_(reason) {}

namespace {
[[noreturn]] void no_stream() {
  throw Unavailable("this transport has no streams");
}
}  // namespace

void Transport::stream_open(int, const Where&) {
  no_stream();
}
void Transport::stream_send(int, int, Buffer&) {
  no_stream();
}
bool Transport::stream_receive(int, const Where&, bool, StreamFrame&) {
  no_stream();
}
void Transport::stream_close(int, const Where&) {
  no_stream();
}

Rendezvous::Rendezvous(int first, int machines, double timeout_s)
    : first_(first),
      machines_(machines),
      timeout_s_(timeout_s),
      spinning_(machines > 1 && static_cast<unsigned>(machines) <= std::thread::hardware_concurrency()),
      here_(static_cast<std::size_t>(machines), false) {}

void Rendezvous::throw_failure() const {
  throw MachineLost(failure_->machine, failure_->stage, failure_->superstep, failure_->reason);
}

std::string Rendezvous::absent() const {
  std::string list;
  int listed = 0;
  for (int i = 0; i < machines_; ++i) {
    if (here_[static_cast<std::size_t>(i)]) continue;
    if (++listed > 8) return list + ", ...";
    list += fmt::format("{}{}", list.empty() ? "" : ", ", first_ + i);
  }
  return list;
}

void Rendezvous::meet(int machine, Meeting kind, const Where& where) {
  std::unique_lock lock(mutex_);
  if (failure_) throw_failure();
  if (left_) {
    throw Unavailable(fmt::format("machine {} has ended while machine {} waits in stage '{}', superstep {}",
                                  *left_, machine, where.stage_name, where.superstep));
  }
  if (arrived_ == 0) {
    kind_ = kind;
    stage_ = where.stage;
    superstep_ = where.superstep;
  } else if (kind != kind_ || where.stage != stage_ || where.superstep != superstep_) {
    throw Unavailable(fmt::format(
        "machines do not agree where they are: machine {} is in stage {}, superstep {}, others in "
        "stage {}, superstep {}",
        machine, where.stage, where.superstep, stage_, superstep_));
  }
  here_[static_cast<std::size_t>(machine - first_)] = true;
  if (++arrived_ == machines_) {
    arrived_ = 0;
    here_.assign(here_.size(), false);
    generation_.fetch_add(1, std::memory_order_release);
    changed_.notify_all();
    return;
  }
  const std::uint64_t mine = generation_.load(std::memory_order_relaxed);
  if (spinning_) {
    lock.unlock();
    for (int turn = 0; turn < 2000; ++turn) {
      if (generation_.load(std::memory_order_acquire) != mine) return;
      __builtin_ia32_pause();
    }
    lock.lock();
  }
  const auto ready = [&] { return generation_ != mine || failure_ || left_; };
  if (!changed_.wait_for(lock, std::chrono::duration<double>(timeout_s_), ready)) {
    throw Unavailable(fmt::format("machine {} waits in stage '{}', superstep {} for machines {} since {} s",
                                  machine, where.stage_name, where.superstep, absent(), timeout_s_));
  }
  if (generation_ != mine) return;
  if (failure_) throw_failure();
  throw Unavailable(fmt::format("machine {} has ended while machine {} waits in stage '{}', superstep {}",
                                *left_, machine, where.stage_name, where.superstep));
}

void Rendezvous::leave(int machine) noexcept {
  const std::lock_guard lock(mutex_);
  if (!left_) left_ = machine;
  if (arrived_ > 0) changed_.notify_all();
}

void Rendezvous::fail(int machine, const Where& where, const std::string& reason) noexcept {
  const std::lock_guard lock(mutex_);
  if (failure_) return;
  failure_ = Failure{machine, where.stage, where.superstep, reason};
  changed_.notify_all();
}

void Rendezvous::stop_if_failed() const {
  const std::lock_guard lock(mutex_);
  if (failure_) throw_failure();
}

std::optional<Rendezvous::Failure> Rendezvous::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Rendezvous::reset() {
  const std::lock_guard lock(mutex_);
  arrived_ = 0;
  here_.assign(here_.size(), false);
  left_.reset();
  failure_.reset();
}

}  // namespace ballast::cluster
