// What the suites of `ballast dynamic bench` share: systems on one model, answers compared before they are
// timed.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ballast/base/bench.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/models.h"
#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {

/// One way to run a model: passes and session.
struct System {
  std::string name;
  CompileOptions passes = {};
  SessionOptions session = {};
};

/// Every pass off: operators one by one, as DyNet has them.
inline CompileOptions unfused() {
  CompileOptions o;
  o.reuse = o.fuse = o.hoist = o.split_dense = o.coarsen = o.hfuse = o.ghost = o.phases = o.forks = false;
  return o;
}

/// Tensors of a result in order, without the constructors' numbers that flatten() gives.
inline void tensors_of(const Value& value, std::vector<float>& numbers) {
  numbers.insert(numbers.end(), value.elements.begin(), value.elements.end());
  for (const Value& field : value.fields) tensors_of(field, numbers);
}

/// Largest difference, relative to the larger of 1 and the number; infinite for other lengths.
inline double difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    most = std::max(most, std::abs(x - y) / std::max(1.0, std::abs(y)));
  }
  return most;
}

class Contest {
 public:
  Contest(const Module& module, std::vector<Instance> batch, std::uint64_t seed)
      : module_(module), batch_(std::move(batch)), parameters_(initial_parameters(module, seed)) {}

  const std::vector<Instance>& batch() const { return batch_; }
  const Parameters& parameters() const { return parameters_; }
  const std::vector<float>& answers() const { return expected_; }

  /// Compiles, runs once (which compiles the kernels) and compares with the first system's answers.
  Session& add(const System& system) {
    executables_.push_back(compile(module_, system.passes));
    sessions_.push_back(std::make_unique<Session>(executables_.back(), parameters_, system.session));
    Session& session = *sessions_.back();
    session.compile_kernels();
    std::vector<float> numbers;
    for (const Value& v : session.run(batch_)) tensors_of(v, numbers);
    if (expected_.empty()) expected_ = numbers;
    worst_ = std::max(worst_, difference(numbers, expected_));
    batches_.push_back(session.stats().batches);
    gathered_.push_back(session.stats().gathered_bytes);
    session.reset_stats();
    add(system.name, [this, &session] { return time_of([&] { session.run(batch_); }); });
    return session;
  }
  /// Another competitor, whose answers the caller has compared.
  void add(const std::string& name, std::function<double()> run) {
    contestants_.push_back({name, std::move(run)});
  }
  void compare(const std::vector<float>& answers) {
    worst_ = std::max(worst_, difference(answers, expected_));
  }

  std::string answers_note() const {
    return worst_ <= 1e-4 ? fmt::format("answers agree to {:.0e}", worst_)
                          : fmt::format("ANSWERS DIFFER by {:.0e}", worst_);
  }
  const Executable& executable(std::size_t i) const { return executables_[i]; }
  std::int64_t batches(std::size_t i) const { return batches_[i]; }
  std::int64_t gathered(std::size_t i) const { return gathered_[i]; }
  const RunStats& stats(std::size_t i) const { return sessions_[i]->stats(); }

  Comparison time(int rounds, std::uint64_t seed, double max_seconds = 8) {
    return interleave(contestants_, {.rounds = rounds, .max_seconds = max_seconds, .seed = seed});
  }

 private:
  const Module& module_;
  std::vector<Instance> batch_;
  Parameters parameters_;
  std::deque<Executable> executables_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Contestant> contestants_;
  std::vector<std::int64_t> batches_, gathered_;
  std::vector<float> expected_;
  double worst_ = 0;
};

inline void add_ratio(Bench& bench, const std::string& id, const std::string& what, const Comparison& timing,
                      const std::string& ours, const std::string& peer, std::optional<double> target,
                      const std::string& note) {
  bench.add({.id = id,
             .what = what,
             .unit = "s",
             .better = Better::lower,
             .target = target,
             .note = note,
             .comparison = timing,
             .ours_name = ours,
             .peer_name = peer});
}

/// Geometric mean of ratios, as a row of its own.
void add_mean(Bench& bench, const std::string& id, const std::string& what, const std::vector<double>& ratios,
              double target);

}  // namespace ballast::dynamic
