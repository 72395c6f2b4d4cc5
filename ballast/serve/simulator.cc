#include "ballast/serve/simulator.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <queue>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"

namespace ballast::serve {

Metric metric_from_string(const std::string& word) {
  cli::require_one_of("--metric", word, {"token", "mean"});
  return word == "token" ? Metric::token : Metric::mean;
}
std::string to_string(Metric metric) {
  return metric == Metric::token ? "token" : "mean";
}

double RunResult::attainment(Metric which) const {
  if (requests.empty()) return 1;
  const auto met = std::count_if(requests.begin(), requests.end(), [&](const Live& live) {
    return live.outcome == Outcome::finished && (which == Metric::token ? live.met_token : live.met_mean);
  });
  return static_cast<double>(met) / static_cast<double>(requests.size());
}

double RunResult::admitted_attainment(Metric which) const {
  int admitted = 0, met = 0;
  for (const Live& live : requests) {
    if (live.ever_best_effort || live.admission != Admission::admitted) continue;
    ++admitted;
    met += live.outcome == Outcome::finished && (which == Metric::token ? live.met_token : live.met_mean) ? 1
                                                                                                          : 0;
  }
  return admitted == 0 ? 1 : static_cast<double>(met) / admitted;
}

std::int64_t RunResult::steps() const {
  std::int64_t sum = 0;
  for (const ReplicaCounters& counters : replicas) sum += counters.steps;
  return sum;
}

double RunResult::quantile_slowdown(double q) const {
  std::vector<double> values;
  for (const Live& live : requests) {
    if (live.outcome == Outcome::finished) values.push_back(live.slowdown);
  }
  return quantile(values, q);
}

double RunResult::quantile_tpot(double q) const {
  std::vector<double> values;
  for (const Live& live : requests) {
    if (live.outcome == Outcome::finished) values.push_back(live.worst_tpot);
  }
  return quantile(values, q);
}

int RunResult::count(Admission admission) const {
  return static_cast<int>(std::count_if(requests.begin(), requests.end(),
                                        [&](const Live& live) { return live.admission == admission; }));
}

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

class Simulation {
 public:
  Simulation(const std::vector<Request>& requests, const PerfModel& perf, const PolicyFactory& policy,
             const SimulationSettings& settings)
      : requests_(requests),
        settings_(settings),
        noise_(settings.seed, 0x6e6f697365),
        pick_(settings.seed, 0x7069636b) {
    ReplicaSettings replica_settings;
    replica_settings.kv_block = settings.kv_block;
    replica_settings.record_tokens = settings.record_tokens;
    replica_settings.tool_hold_ms = settings.tool_hold_ms;
    for (int i = 0; i < settings.replicas; ++i) {
      Station station;
      station.replica = std::make_unique<Replica>(perf, policy(), replica_settings);
      station.replica->on_tool = [this, i](Live& live, double wait) {
        tools_.push({now_ + wait, static_cast<std::size_t>(&live - result_.requests.data()), i});
      };
      station.replica->on_gone = [this](Live&) { ++gone_; };
      stations_.push_back(std::move(station));
    }
    divide();
    result_.requests.resize(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (i > 0 && requests[i].arrival_ms < requests[i - 1].arrival_ms)
        throw InvalidInput(fmt::format("request {} arrives before request {}: sort the trace", i, i - 1));
      result_.requests[i].request = &requests[i];
    }
  }

  RunResult run() {
    const auto start = std::chrono::steady_clock::now();
    std::size_t next = 0;
    while (gone_ < requests_.size()) {
      double now = next < requests_.size() ? requests_[next].arrival_ms : kNever;
      if (!tools_.empty()) now = std::min(now, tools_.top().ms);
      if (!moves_.empty()) now = std::min(now, moves_.top().ms);
      for (const Station& station : stations_) now = std::min(now, station.until);
      BALLAST_CHECK(now < kNever, "requests are left, but nothing is going to happen");
      now_ = now;
      for (Station& station : stations_) {
        if (station.until > now) continue;
        if (station.busy) complete(station);
        station.until = kNever;
        station.idle = true;
      }
      while (!tools_.empty() && tools_.top().ms <= now) {
        const Later tool = tools_.top();
        tools_.pop();
        Station& station = stations_[static_cast<std::size_t>(tool.station)];
        station.replica->arrive(result_.requests[tool.request], now, t0(station));
        station.idle = station.idle || !station.busy;
      }
      while (!moves_.empty() && moves_.top().ms <= now) {
        const Later move = moves_.top();
        moves_.pop();
        Station& station = stations_[static_cast<std::size_t>(move.station)];
        station.replica->adopt(result_.requests[move.request], now, t0(station));
        station.idle = station.idle || !station.busy;
      }
      while (next < requests_.size() && requests_[next].arrival_ms <= now) route(result_.requests[next++]);
      for (Station& station : stations_) {
        if (!station.busy && station.idle) form(station);
      }
    }
    finish();
    result_.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(result_);
  }

 private:
  struct Station {
    std::unique_ptr<Replica> replica;
    bool busy = false;      // a batch is in flight
    bool idle = true;       // something happened: form a batch
    double until = kNever;  // the batch's end, or when to look again
    std::vector<StepOutcome> outcomes;
    const StepBatch* batch = nullptr;
  };
  // A request that arrives at a station later: its tool returns, or its KV memory has been moved there.
  struct Later {
    double ms;
    std::size_t request;
    int station;
    bool operator>(const Later& other) const {
      return ms != other.ms ? ms > other.ms : request > other.request;
    }
  };

  double t0(const Station& station) const { return station.busy ? station.until : now_; }

  double load(std::size_t i) const { return stations_[i].replica->policy().outstanding(); }

  // The roles that the policy gives to the replicas.
  void divide() {
    const Division division = stations_.front().replica->policy().division();
    if (!division.any()) return;
    const int count = settings_.replicas;
    if (count < 2)
      throw InvalidInput("--policy", stations_.front().replica->policy().name(),
                         "a policy of one replica: this one divides a fleet of two or more");
    if (division.by_pace) {
      double tightest = kNever, loosest = 0;
      for (const Request& request : requests_) {
        tightest = std::min(tightest, pace(request));
        loosest = std::max(loosest, pace(request));
      }
      border_ms_ = (tightest + loosest) / 2;
      // With one pace there is nothing to keep apart.
      if (loosest > tightest)
        tight_ = static_cast<std::size_t>(
            std::clamp(division.tight > 0 ? division.tight : count / 2, 1, count - 1));
      return;
    }
    const double share = static_cast<double>(division.prefill) / (division.prefill + division.decode);
    entries_ =
        static_cast<std::size_t>(std::clamp(static_cast<int>(std::lround(count * share)), 1, count - 1));
    for (std::size_t i = 0; i < entries_; ++i)
      stations_[i].replica->on_prefilled = [this](Live& live) { move_on(live); };
  }

  static double pace(const Request& request) { return request.rounds.front().output.front().tpot_ms; }

  // Its KV memory goes to the decode replica with the least to do.
  void move_on(const Live& live) {
    const double ms = live.done * settings_.kv_bytes_per_token / (settings_.kv_gbytes_per_s * 1e6);
    std::size_t to = entries_;
    for (std::size_t s = entries_; s < stations_.size(); ++s) to = load(s) < load(to) ? s : to;
    moves_.push({now_ + ms, static_cast<std::size_t>(&live - result_.requests.data()), static_cast<int>(to)});
  }

  void arrive_at(std::size_t i, Live& live) {
    stations_[i].replica->arrive(live, now_, t0(stations_[i]));
    stations_[i].idle = true;
  }

  void route(Live& live) {
    if (tight_ > 0) {
      const bool tight = pace(*live.request) < border_ms_;
      const std::size_t size = tight ? tight_ : stations_.size() - tight_;
      arrive_at((tight ? 0 : tight_) + (tight ? turn_tight_++ : turn_++) % size, live);
      return;
    }
    const std::size_t count = entries_ > 0 ? entries_ : stations_.size();
    std::size_t first = turn_++ % count;
    auto least = [&] {
      std::size_t best = 0;
      for (std::size_t i = 1; i < count; ++i) best = load(i) < load(best) ? i : best;
      return best;
    };
    if (settings_.routing.first == Routing::Balancer::least_tokens) first = least();
    if (settings_.routing.first == Routing::Balancer::power_of_two) {
      const std::size_t a = pick_.below(count), b = pick_.below(count);
      first = load(a) <= load(b) ? a : b;
    }
    if (settings_.routing.hand_over && count > 1) {
      const std::size_t limit =
          settings_.routing.limit > 0 ? static_cast<std::size_t>(settings_.routing.limit) : count;
      for (std::size_t asked = 0; asked < std::min(limit, count); ++asked) {
        Station& station = stations_[(first + asked) % count];
        if (!station.replica->offer(live, now_, t0(station))) continue;
        if (asked > 0) ++result_.handed_over;
        station.idle = true;
        return;
      }
      if (limit >= count) first = least();
    }
    arrive_at(first, live);
  }

  void form(Station& station) {
    station.idle = false;
    const StepBatch& batch = station.replica->form(now_);
    if (batch.empty()) {
      // Requests that wait although nothing runs become hopeless, hence best-effort, with time alone.
      const Policy& policy = station.replica->policy();
      if (policy.pending() + policy.best_effort() > 0) station.until = now_ + 1;
      return;
    }
    double ms = station.replica->perf().step_ms(batch.load);
    if (settings_.noise > 0) ms *= std::exp(settings_.noise * noise_.normal());
    station.batch = &batch;
    station.busy = true;
    station.until = now_ + ms;
  }

  void complete(Station& station) {
    station.busy = false;
    station.outcomes.clear();
    for (const BatchItem& item : station.batch->items) {
      const Live& live = *item.live;
      StepOutcome outcome;
      if (item.chunk > 0) {
        outcome.emitted = live.done + item.chunk == live.target ? 1 : 0;
      } else {
        // Drafted token i of this position is right with probability alpha, the same in every policy.
        int accepted = 0;
        while (accepted < item.verify - 1 &&
               Random(settings_.seed + 1,
                      mix64(live.request->id) + static_cast<std::uint64_t>(live.target + accepted))
                       .uniform() < settings_.alpha)
          ++accepted;
        outcome.emitted = std::min(1 + accepted, live.current().output_tokens() - live.in_round);
      }
      station.outcomes.push_back(outcome);
    }
    station.replica->complete(now_, station.outcomes);
  }

  void finish() {
    result_.end_ms = now_;
    for (const Station& station : stations_) {
      result_.replicas.push_back(station.replica->counters());
      if (const PlanStatistics* plans = station.replica->policy().plans()) {
        result_.plan_ms.insert(result_.plan_ms.end(), plans->ms.begin(), plans->ms.end());
        result_.plans_truncated += plans->truncated;
        result_.plans_overcommitted += plans->overcommitted;
      }
      BALLAST_CHECK(station.replica->ledger().used() == 0 && station.replica->ledger().committed() == 0,
                    "KV blocks are left over after the last request");
    }
  }

  const std::vector<Request>& requests_;
  SimulationSettings settings_;
  Random noise_, pick_;
  std::vector<Station> stations_;
  std::priority_queue<Later, std::vector<Later>, std::greater<>> tools_, moves_;
  RunResult result_;
  std::size_t gone_ = 0, turn_ = 0, turn_tight_ = 0;
  std::size_t entries_ = 0;  ///< prefill replicas, the first ones; 0: all do both
  std::size_t tight_ = 0;    ///< replicas for tight paces, the first ones; 0: paces are mixed
  double border_ms_ = 0;     ///< paces below are tight
  double now_ = 0;
};

}  // namespace

RunResult simulate(const std::vector<Request>& requests, const PerfModel& perf, const PolicyFactory& policy,
                   const SimulationSettings& settings) {
  if (settings.replicas < 1)
    throw InvalidInput("--replicas", std::to_string(settings.replicas), "at least 1");
  return Simulation(requests, perf, policy, settings).run();
}

}  // namespace ballast::serve
