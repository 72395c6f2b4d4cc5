// HdrHistogram's interval log: one line an interval, each a whole histogram, so that any span of time can be
// put together again later. Read and written by HdrHistogram's own tools.
//
//   HistogramLog log;
//   log.start_epoch_s = 1764000000;
//   log.intervals.push_back({.tag = "ttft", .start_s = 0, .length_s = 1, .histogram = second});
//   log.write("run.hlog");
//   HistogramLog::read("run.hlog").total("ttft").percentile(99);
//
//   #[Histogram log format version 1.3]
//   #[StartTime: 1764000000.000 (seconds since epoch)]
//   #[BaseTime: 1764000000.000 (seconds since epoch)]
//   "StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
//   Tag=ttft,0.000,1.000,2.769,HISTFAAAAEV42pN...
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ballast/base/histogram.h"

namespace ballast {

struct HistogramInterval {
  std::string tag = {};  ///< without commas, blanks and line ends; empty: none
  double start_s = 0;    ///< since the log's start
  double length_s = 0;
  Histogram histogram{};
};

struct HistogramLog {
  double start_epoch_s = 0;  ///< seconds since 1970; 0: not said
  double max_unit = 1e6;     ///< the column Interval_Max is the maximum over this (ns in ms)
  std::vector<HistogramInterval> intervals = {};

  /// All intervals of the tag merged; an empty histogram when there are none.
  Histogram total(std::string_view tag = {}) const;

  /// Throws InvalidInput for a tag that the format cannot hold.
  std::string to_text() const;
  void write(const std::string& path) const;

  /// Comments and the legend are passed over; times may be absolute or relative, as in HdrHistogram's reader.
  /// Throws InvalidInput with the line for anything else that is not an interval.
  static HistogramLog parse(std::string_view text, const std::string& name);
  static HistogramLog read(const std::string& path);
};

}  // namespace ballast
