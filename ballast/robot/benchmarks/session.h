// One benchmark from start to result: launch, wait for the graph, functional check, trial run, runs at fixed
// rates, peak search, stop. Every state that fails says which; children are stopped whatever happens.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/robot/benchmarks/benchmark.h"
#include "ballast/robot/harness/search.h"
#include "ballast/robot/trace/target_chain.h"
#include "ballast/robot/wire/dds.h"

namespace ballast::robot {

struct SessionOptions {
  std::string slot;              ///< empty: the reference
  std::vector<double> rates_hz;  ///< empty: those of the benchmark
  bool peak = false;
  double lower_hz = 10, upper_hz = 0;  ///< of the search; upper 0: the benchmark's own
  bool compat = false;                 ///< search and conclude as ros2_benchmark does
  int iterations = 5;
  double seconds = 5;  ///< of one run
  Size size = Size::bench;
  std::uint64_t seed = 1;
  ArrivalOptions arrival = {};  ///< the rate is set from rates_hz
  Playback playback = Playback::sweeping;
  std::string executor;        ///< empty: the graph's own
  bool through_dds = false;    ///< messages between nodes of one process pass through DDS too
  std::string tracer = "off";  ///< of the component hosts: off, internal, lttng
  ros::ContextOptions context = {};
  std::string folder;  ///< where the graph file and logs go; empty: a temporary one
  std::function<void(const std::string& state)> progress = [](const std::string&) {};
};

/// A metric over iterations: the median with a bootstrap interval, or ros2_benchmark's trimmed mean.
struct Concluded {
  double value = 0, low = 0, high = 0;
};
Concluded conclude(const std::vector<double>& values, bool trimmed, std::uint64_t seed);

struct RateResult {
  double rate_hz = 0;
  std::vector<Run> runs;
  std::size_t valid = 0;  ///< runs that broke no rule
  Concluded median_ms, p99_ms, max_ms, mean_ms, loss_percent, throughput_hz;
};

struct SessionResult {
  std::string id, slot, executor, input;
  bool synthetic = false;
  Check check;
  std::vector<RateResult> rates;
  std::optional<PeakResult> peak;
  std::optional<Json> grey;  ///< stages inside the graph, when it was traced
  std::optional<trace::GreyBlack> grey_black;
  std::vector<std::string> invalid;  ///< why nothing of it counts; empty: it does
  bool valid() const { return invalid.empty(); }
};

/// Throws Unavailable when the graph does not start; a failed functional check is a result marked invalid.
SessionResult run_session(const Benchmark& benchmark, const SessionOptions& options);

/// The same for any graph file and input streams, without functional check.
SessionResult run_graph_session(const GraphSpec& graph, std::vector<Stream> streams,
                                const SessionOptions& options);

/// Schema ballast.robot.result/1.
Json to_json(const SessionResult& result);

}  // namespace ballast::robot
