#include "ballast/tune/simulate.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "ballast/base/errors.h"

namespace ballast::tune {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr int kSteps = 5;  // the last but one step's start to the last one's
                           // start is the steady state

struct Piece {
  Ticket ticket;
  std::int64_t unit = 0, bytes = 0;
  double times[6] = {};
};

struct Server {
  std::vector<Piece> queue;
  Piece served;
  double until = kNever;
};

struct Counts {
  std::int64_t submitted = 0, passed[3] = {};
  bool backward_done = false;
};

enum class Action { wait, apply, forward, ends, bucket, backward, done };
struct Operation {
  Action action;
  std::int64_t step, block;
};

class Model {
 public:
  Model(const Schedule& schedule, const StepCosts& costs, const SimulatedMachine& machine)
      : schedule_(schedule),
        costs_(costs),
        machine_(machine),
        steps_(kSteps + 1),
        open_(costs.forward.size()) {
    const auto blocks = static_cast<std::int64_t>(costs.forward.size());
    for (std::int64_t step = 0; step < kSteps; ++step) {
      for (std::int64_t block = 0; block < blocks; ++block) {
        program_.push_back({Action::wait, step, block});
        program_.push_back({Action::apply, step, block});
        program_.push_back({Action::forward, step, block});
      }
      program_.push_back({Action::ends, step, 0});
      for (std::int64_t block = blocks; block-- > 0;) {
        program_.push_back({Action::bucket, step, block});
        program_.push_back({Action::backward, step, block});
      }
      program_.push_back({Action::done, step, 0});
    }
  }

  SimulatedStep run(std::vector<Interval>* intervals) {
    while (position_ < program_.size() || device_until_ < kNever) {
      while (start_device() || start_servers()) {
      }
      const double next = std::min({device_until_, servers_[0].until, servers_[1].until, servers_[2].until});
      BALLAST_CHECK(next < kNever, "the modelled schedule stands still");
      time_ = next;
      if (device_until_ <= time_) finish_device();
      for (int stage = 0; stage < 3; ++stage) {
        if (servers_[stage].until <= time_) finish_server(stage);
      }
    }
    SimulatedStep result;
    const double from = starts_[kSteps - 2], to = starts_[kSteps - 1];
    result.seconds = to - from;
    // Waits of the steady step: those that ended in it.
    for (const auto& [wait, piece] : waits_) {
      if (wait.end <= from || wait.end > to + 1e-12) continue;
      const auto overlap = [&](int stage) {
        return std::max(0.0, std::min(wait.end, piece.times[2 * stage + 1]) -
                                 std::max(wait.start, piece.times[2 * stage]));
      };
      const double link = overlap(0) + overlap(2), update = overlap(1), whole = wait.end - wait.start;
      result.breakdown.link += link;
      result.breakdown.update += update;
      result.breakdown.other += std::max(0.0, whole - link - update);
    }
    result.breakdown.total = result.seconds;
    result.breakdown.compute =
        result.seconds - result.breakdown.link - result.breakdown.update - result.breakdown.other;
    if (intervals != nullptr) {
      for (const Interval& interval : bars_) {
        if (interval.end > from && interval.start < to) intervals->push_back(interval);
      }
    }
    return result;
  }

 private:
  bool may_pass(const Operation& operation) const {
    if (operation.action == Action::bucket) {
      if (machine_.bucket_bytes == 0 || schedule_.offload_waits_for_backward) return true;
      return pending_bytes_ <= machine_.bucket_bytes;
    }
    if (operation.action != Action::wait) return true;
    if (schedule_.delayed) {
      for (std::int64_t step = 0; step + 2 <= operation.step; ++step) {
        if (steps_[static_cast<std::size_t>(step)].passed[2] <
            steps_[static_cast<std::size_t>(step)].submitted)
          return false;
      }
      return true;
    }
    if (schedule_.forward_waits_for_all)
      return std::accumulate(open_.begin(), open_.end(), std::int64_t{0}) == 0;
    return open_[static_cast<std::size_t>(operation.block)] == 0;
  }

  // Starts the device's next operation if it is idle and nothing holds it; true
  // when something was started or passed.
  bool start_device() {
    if (device_until_ < kNever || position_ >= program_.size()) return false;
    const Operation& operation = program_[position_];
    if (!may_pass(operation)) {
      if (waiting_since_ < 0) waiting_since_ = time_;
      return false;
    }
    if (waiting_since_ >= 0) {
      if (time_ > waiting_since_) {
        waits_.push_back(
            {{Resource::device, "stall", operation.step, operation.block, -1, waiting_since_, time_}, last_});
        bars_.push_back(waits_.back().first);
      }
      waiting_since_ = -1;
    }
    const auto block = static_cast<std::size_t>(operation.block);
    double duration = 0;
    switch (operation.action) {
      case Action::wait:
        if (operation.block == 0) starts_.push_back(time_);
        break;
      case Action::apply:
        duration = operation.step > 0 ? costs_.apply[block] : 0;
        break;
      case Action::forward:
        duration = costs_.forward[block];
        break;
      case Action::ends:
        duration = costs_.ends;
        break;
      case Action::backward:
        duration = costs_.backward[block];
        break;
      case Action::bucket:
      case Action::done:
        break;
    }
    constexpr const char* kNames[] = {"wait", "apply", "forward", "ends", "bucket", "backward", "done"};
    if (duration > 0) {
      bars_.push_back({Resource::device, kNames[static_cast<int>(operation.action)], operation.step,
                       operation.block, -1, time_, time_ + duration});
    }
    device_until_ = time_ + duration;
    return true;
  }

  void finish_device() {
    const Operation operation = program_[position_++];
    device_until_ = kNever;
    Counts& counts = steps_[static_cast<std::size_t>(operation.step)];
    if (operation.action == Action::done) counts.backward_done = true;
    if (operation.action != Action::backward) return;
    const auto block = static_cast<std::size_t>(operation.block);
    for (std::size_t unit = 0; block < costs_.payload.size() && unit < costs_.payload[block].size(); ++unit) {
      for (std::int64_t left = costs_.payload[block][unit]; left > 0; left -= machine_.chunk_bytes) {
        const std::int64_t bytes = std::min(left, machine_.chunk_bytes);
        servers_[0].queue.push_back(
            {{operation.step, operation.block, arrivals_++}, static_cast<std::int64_t>(unit), bytes, {}});
        ++open_[block];
        ++counts.submitted;
        pending_bytes_ += bytes;
      }
    }
  }

  bool open(int stage, const Piece& piece) const {
    const Counts& counts = steps_[static_cast<std::size_t>(piece.ticket.step)];
    if (stage == 0) {
      if (schedule_.offload_waits_for_backward && !counts.backward_done) return false;
      return slots_ < machine_.slots || schedule_.update_waits_for_all || schedule_.upload_waits_for_all;
    }
    if (stage == 1) {
      return !schedule_.update_waits_for_all ||
             (counts.backward_done && counts.passed[0] == counts.submitted);
    }
    if (schedule_.delayed) return steps_[static_cast<std::size_t>(piece.ticket.step + 1)].backward_done;
    return !schedule_.upload_waits_for_all || (counts.backward_done && counts.passed[1] == counts.submitted);
  }

  bool start_servers() {
    bool started = false;
    for (int stage = 0; stage < 3; ++stage) {
      Server& server = servers_[stage];
      if (server.until < kNever) continue;
      if (machine_.link.half_duplex && stage != 1 && servers_[2 - stage].until < kNever) continue;
      auto best = server.queue.end();
      for (auto piece = server.queue.begin(); piece != server.queue.end(); ++piece) {
        if (!open(stage, *piece)) continue;
        if (best == server.queue.end() ||
            service_key(schedule_, piece->ticket) < service_key(schedule_, best->ticket)) {
          best = piece;
        }
      }
      if (best == server.queue.end()) continue;
      server.served = *best;
      server.queue.erase(best);
      if (stage == 0) ++slots_;
      const auto bytes = static_cast<double>(server.served.bytes);
      const double rate = stage == 0   ? machine_.link.d2h
                          : stage == 2 ? machine_.link.h2d
                                       : machine_.host_rate * 4;
      const double duration = (stage == 1 ? 0 : machine_.link.latency_s) + (rate > 0 ? bytes / rate : 0);
      server.served.times[2 * stage] = time_;
      server.until = time_ + duration;
      started = true;
    }
    return started;
  }

  void finish_server(int stage) {
    Server& server = servers_[stage];
    Piece piece = server.served;
    server.until = kNever;
    piece.times[2 * stage + 1] = time_;
    ++steps_[static_cast<std::size_t>(piece.ticket.step)].passed[stage];
    constexpr const char* kNames[] = {"offload", "update", "upload"};
    constexpr Resource kResources[] = {Resource::d2h, Resource::host, Resource::h2d};
    bars_.push_back({kResources[stage], kNames[stage], piece.ticket.step, piece.ticket.block, piece.unit,
                     piece.times[2 * stage], time_});
    if (stage == 0) {
      pending_bytes_ -= piece.bytes;
      last_ = piece;
    }
    if (stage < 2) {
      servers_[stage + 1].queue.push_back(piece);
      return;
    }
    --slots_;
    --open_[static_cast<std::size_t>(piece.ticket.block)];
    last_ = piece;
  }

  const Schedule& schedule_;
  const StepCosts& costs_;
  const SimulatedMachine& machine_;
  std::vector<Operation> program_;
  std::size_t position_ = 0;
  std::vector<Counts> steps_;
  std::vector<std::int64_t> open_;
  Server servers_[3];
  double time_ = 0, device_until_ = kNever, waiting_since_ = -1;
  std::int64_t arrivals_ = 0, pending_bytes_ = 0;
  int slots_ = 0;
  Piece last_;
  std::vector<double> starts_;
  std::vector<std::pair<Interval, Piece>> waits_;
  std::vector<Interval> bars_;
};

}  // namespace

double StepCosts::compute() const {
  double sum = ends;
  for (const auto* part : {&forward, &backward, &apply})
    sum = std::accumulate(part->begin(), part->end(), sum);
  return sum;
}

SimulatedStep simulate(const Schedule& schedule, const StepCosts& costs, const SimulatedMachine& machine,
                       std::vector<Interval>* intervals) {
  BALLAST_CHECK(costs.forward.size() == costs.backward.size() && costs.forward.size() == costs.apply.size());
  return Model(schedule, costs, machine).run(intervals);
}

}  // namespace ballast::tune
