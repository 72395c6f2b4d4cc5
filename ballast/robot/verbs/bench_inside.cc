#include "ballast/robot/verbs/bench_inside.h"

#include <fmt/format.h>

#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/statistics.h"
#include "ballast/robot/components/arm.h"
#include "ballast/robot/node/executable.h"
#include "ballast/robot/trace/session.h"
#include "ballast/robot/verbs/show.h"

namespace ballast::robot {
namespace {

SessionOptions session_options(const InsideOptions& options, const std::string& slot, double rate_hz,
                               double seconds, const std::string& tracer) {
  SessionOptions session{.slot = slot, .rates_hz = {rate_hz}, .iterations = 1, .seconds = seconds};
  session.seed = options.seed;
  session.tracer = tracer;
  session.context = options.context;
  return session;
}

/// Median time of the computation itself, from its tracepoints; nullopt when the output was wrong.
std::optional<double> kernel_ms(const SessionResult& result) {
  if (!result.check.passed || !result.grey) return std::nullopt;
  double sum = 0;
  for (const auto& segment : result.grey->at("segments")) {
    const auto from = segment.at("from").get<std::string>(), to = segment.at("to").get<std::string>();
    if (from.ends_with("_init") && !from.ends_with("_cb_init") && to.ends_with("_fini") &&
        !to.ends_with("_cb_fini"))
      sum += segment.at("latency").at("median_ms").get<double>();
  }
  return sum;
}

double mean_of(const SessionResult& result) {
  return result.rates.empty() || result.rates[0].runs.empty()
             ? std::nan("")
             : result.rates[0].runs[0].analysis().service.mean_ms;
}

}  // namespace

void bench_grey(Bench& bench, const InsideOptions& options) {
  const double seconds = options.quick ? 1.5 : 5;
  const std::vector<std::string> ids = options.quick ? std::vector<std::string>{"a2", "a5"}
                                                     : std::vector<std::string>{"a1", "a2", "a3", "a4", "a5"};
  std::size_t both = 0, negative = 0;
  double worst = 0;
  std::string which;
  std::vector<SessionResult> traced;
  for (const auto& id : ids) {
    cli::stop_if_interrupted();
    traced.push_back(run_session(find_benchmark(id), session_options(options, "", 10, seconds, "internal")));
    const auto& pair = traced.back().grey_black;
    if (!pair) continue;
    both += pair->both;
    negative += pair->negative;
    if (pair->ratio > worst) {
      worst = pair->ratio;
      which = id;
    }
  }
  bench.section().table(grey_table(traced));
  bench.add(
      {.id = "F5.order",
       .what = fmt::format("messages that came out before they were done, of {} seen by both methods", both),
       .unit = "messages",
       .ours = static_cast<double>(negative),
       .better = Better::lower,
       .target = 0,
       .basis = Basis::counted});
  bench.add({.id = "F5.ratio",
             .what = "black / grey below saturation (10 Hz), largest of the benchmarks",
             .unit = "times",
             .ours = worst,
             .better = Better::lower,
             .target = 1.5,
             .note = fmt::format(
                 "{} at 640x480; the difference is transport, discovery of both images, copies", which)});
  // Above saturation: three times what the computation alone allows.
  const auto& below = traced.back();
  const auto kernel = kernel_ms(below);
  if (kernel && *kernel > 0) {
    const double rate = std::min(2000.0, 3e3 / *kernel);
    const auto above = run_session(find_benchmark(ids.back()),
                                   session_options(options, "", rate, options.quick ? 1 : 2, "internal"));
    if (above.grey_black && below.grey_black)
      bench.add({.id = "F5.saturated",
                 .what = fmt::format("black / grey at {:.0f} Hz, above what {} can take", rate, ids.back()),
                 .unit = "times",
                 .ours = above.grey_black->ratio,
                 .peer = Peer{"the same at 10 Hz", below.grey_black->ratio},
                 .better = Better::higher,
                 .note = "messages wait in the reader's queue, which only the black box sees"});
  }
  // What tracing costs: interleaved, mean latency of the same benchmark with and without.
  std::vector<std::string> tracers{"internal"};
  if (trace::lttng_problem().empty()) tracers.push_back("lttng");
  const int rounds = options.quick ? 1 : 3;
  for (const auto& tracer : tracers) {
    std::vector<double> with, without;
    for (int i = 0; i < rounds; ++i) {
      cli::stop_if_interrupted();
      without.push_back(mean_of(
          run_session(find_benchmark("a2"), session_options(options, "", 30, options.quick ? 2 : 5, "off"))));
      with.push_back(mean_of(run_session(find_benchmark("a2"),
                                         session_options(options, "", 30, options.quick ? 2 : 5, tracer))));
    }
    double added = 0, base = 0;
    for (int i = 0; i < rounds; ++i) {
      added += with[static_cast<std::size_t>(i)] / rounds;
      base += without[static_cast<std::size_t>(i)] / rounds;
    }
    bench.add(
        {.id = fmt::format("F5.cost.{}", tracer),
         .what = fmt::format("a2 at 30 Hz, mean latency with the {} tracer against none, more by", tracer),
         .unit = "%",
         .ours = std::max(0.0, (added / base - 1) * 100),
         .better = Better::lower,
         .target = 3,
         .note = fmt::format("{:.1f} us on {:.3f} ms (3 % or 5 us)", (added - base) * 1e3, base)});
  }
}

void bench_kernels(Bench& bench, const InsideOptions& options) {
  struct Pair {
    const char *id, *what, *baseline_id, *baseline_slot, *ours_id, *ours_slot;
    double rate_hz, target;
  };
  const Pair pairs[] = {
      {"F6.a3.tbb", "a3 stereo matching, strips on two threads against one", "a3", "bm", "a3", "tbb", 10,
       1.6},
      {"F6.a4.tbb", "a4 depth to cloud, rows on two threads against one", "a4", "reference", "a4", "tbb", 10,
       1.6},
      {"F6.d3", "collision checks, Bullet against FCL, same scene and verdicts", "d2", "fcl", "d3", "bullet",
       100, 3},
  };
  const double seconds = options.quick ? 1 : 4;
  const int rounds = options.quick ? 1 : 3;
  for (const auto& pair : pairs) {
    std::vector<double> ours, baseline;
    for (int i = 0; i < rounds; ++i) {
      cli::stop_if_interrupted();
      const auto run = [&](const char* id, const char* slot, std::vector<double>& into) {
        if (const auto time = kernel_ms(run_session(
                find_benchmark(id), session_options(options, slot, pair.rate_hz, seconds, "internal"))))
          into.push_back(*time);
      };
      run(pair.baseline_id, pair.baseline_slot, baseline);
      run(pair.ours_id, pair.ours_slot, ours);
    }
    if (ours.empty() || baseline.empty()) continue;
    bench.add({.id = pair.id,
               .what = fmt::format("{}: median time of the computation", pair.what),
               .unit = "ms",
               .ours = median(ours),
               .peer = Peer{fmt::format("{} {}", pair.baseline_id, pair.baseline_slot), median(baseline)},
               .better = Better::lower,
               .target = pair.target});
  }
  // Both solvers on the same goals in this process: time of all, and how many were solved.
  Random random(options.seed, 0xa4);
  const ArmKinematics arm;
  const int goals = options.quick ? 300 : 3000;
  double ms[2] = {0, 0};
  int solved[2] = {0, 0};
  for (int i = 0; i < goals; ++i) {
    const auto goal = arm.forward(random_joints(random));
    for (int k = 0; k < 2; ++k) {
      const auto start = ros::monotonic_ns();
      solved[k] += arm.inverse(goal, JointVector{0, 0, -0.8, 0, 0.8, 0},
                               k == 0 ? ArmKinematics::Solver::newton : ArmKinematics::Solver::levenberg)
                       .has_value();
      ms[k] += static_cast<double>(ros::monotonic_ns() - start) * 1e-6;
    }
  }
  bench.add({.id = "F6.d5",
             .what = "inverse kinematics, Levenberg-Marquardt against Newton-Raphson, mean time of a goal",
             .unit = "ms",
             .ours = ms[1] / goals,
             .peer = Peer{"KDL Newton-Raphson with joint limits", ms[0] / goals},
             .better = Better::lower,
             .note = fmt::format("solved {:.1f} % against {:.1f} % of {} reachable goals",
                                 100.0 * solved[1] / goals, 100.0 * solved[0] / goals, goals)});
}

void bench_set(Bench& bench, const InsideOptions& options, bool perception) {
  std::vector<SessionResult> results;
  std::size_t wrong = 0;
  const auto start = ros::monotonic_ns();
  for (const auto& benchmark : benchmarks()) {
    if ((benchmark.category == "perception" || benchmark.category == "localization") != perception) continue;
    for (const auto& slot : benchmark.slots) {
      cli::stop_if_interrupted();
      show_progress(fmt::format("bench: {} {}", benchmark.id, slot));
      auto session = session_options(options, slot, benchmark.rates_hz.front(), 2, "off");
      session.iterations = options.quick ? 1 : 2;
      results.push_back(run_session(benchmark, session));
      wrong += !results.back().check.passed;
    }
  }
  const double minutes = static_cast<double>(ros::monotonic_ns() - start) * 1e-9 / 60;
  bench.section().table(result_table(results));
  const std::string half =
      perception ? "perception and localization" : "control, manipulation, navigation, transforms";
  bench.add(
      {.id = perception ? "F8.set.ab" : "F8.set.rest",
       .what = fmt::format("{}: every implementation at its first published rate, all of it took", half),
       .unit = "min",
       .ours = minutes,
       .better = Better::lower,
       .target = 7.5,
       .note = fmt::format("{} implementations; half of the 15 minutes for the whole set", results.size())});
  bench.add({.id = perception ? "F8.checks.ab" : "F8.checks.rest",
             .what = "implementations whose output failed its functional check",
             .unit = "implementations",
             .ours = static_cast<double>(wrong),
             .better = Better::lower,
             .target = 0,
             .basis = Basis::counted});
}

}  // namespace ballast::robot
