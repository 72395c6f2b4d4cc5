// One message's way through an instrumented graph: the ordered tracepoints that it passes, joined by its
// header stamp (never by position). Segments between neighbours add up to the whole exactly.
//
//   auto chain = analyse_chain(trace, {"ros2_image_pipeline:image_proc_rectify_cb_init", ...});
//   chain.complete[k].times_ns            // one a point, not decreasing
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/robot/harness/accounting.h"
#include "ballast/robot/trace/event.h"

namespace ballast::trace {

struct ChainMessage {
  std::int64_t key = 0;  ///< header stamp in nanoseconds
  std::vector<std::int64_t> times_ns;
  std::int64_t total_ns() const { return times_ns.back() - times_ns.front(); }
};

struct ChainAnalysis {
  std::vector<std::string> points;
  std::vector<ChainMessage> complete;  ///< in order of their first point
  std::size_t inputs = 0;              ///< keys seen at the first point = complete + incomplete
  std::size_t incomplete = 0, reordered = 0, duplicates = 0;
  std::vector<std::size_t> missing;  ///< how often each point was the first one missing
  std::uint64_t discarded = 0;       ///< events lost by the tracer: the analysis is invalid when > 0
};

/// Events of other names are ignored. `reordered` counts messages whose points come in another order.
ChainAnalysis analyse_chain(const Trace& trace, const std::vector<std::string>& points);

/// The four points of each operation, in order: cb_init, init, fini, cb_fini.
std::vector<std::string> chain_of_operations(const std::vector<std::string>& operations);
/// The operations of a trace in the order in which messages pass them first.
std::vector<std::string> operations_in(const Trace& trace);

struct ChainSummary {
  robot::LatencySummary total;
  std::vector<robot::LatencySummary> segments;  ///< points.size() - 1
};
ChainSummary summarise_chain(const ChainAnalysis& analysis);
Json to_json(const ChainAnalysis& analysis);

/// Grey against black on the same run: for every key in both, black_ns - grey_ns; negative ones are counted,
/// which a sound measurement has none of.
struct GreyBlack {
  std::size_t both = 0, negative = 0;
  double grey_median_ms = 0, black_median_ms = 0, ratio = 0;  ///< black / grey
};
GreyBlack compare_grey_black(const ChainAnalysis& grey, const std::vector<robot::Sent>& sent,
                             const std::vector<std::int64_t>& black_ns);

/// A Chrome/Perfetto timeline: callbacks and operations as slices.
Json to_chrome(const Trace& trace);

}  // namespace ballast::trace
