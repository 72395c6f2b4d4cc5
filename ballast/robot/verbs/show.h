// Results as tables, charts and a line of progress.
#pragma once

#include <string>
#include <vector>

#include "ballast/base/report.h"
#include "ballast/robot/benchmarks/session.h"

namespace ballast::robot {

/// Rewrites one line on a terminal's standard error; "" clears it; nothing when piped.
void show_progress(const std::string& text);

Table result_table(const std::vector<SessionResult>& results);
/// Inside against outside of the graph, and the stages of each message.
Table grey_table(const std::vector<SessionResult>& results);

/// Table, latency distribution of each result's first rate, and the graph of each benchmark.
void fill_section(Section& section, const std::vector<SessionResult>& results, const std::string& command);

/// The cumulative distribution of latencies: share of messages (percent) at or below so many milliseconds.
Series distribution(const std::string& name, const std::vector<std::int64_t>& latencies_ns);

}  // namespace ballast::robot
