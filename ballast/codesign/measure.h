// Times operators on this processor with libtorch, one thread, f32: a real device, on which the whole loop of
// measuring, calibrating and foretelling can be checked.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ballast/codesign/ir.h"

namespace ballast::codesign {

struct Timing {
  double median_us = 0, std_us = 0;
  int runs = 0;
};

/// The operator alone: median of `runs` runs after warm-up. Operators without a counterpart give 0 runs.
Timing time_operator(const Node& node, int runs = 15);

/// A table's text, a row for each different operator of the graphs, device npu, source measured.
std::string measure_host(const std::vector<Graph>& graphs, int runs, const std::function<void()>& tick = {});

}  // namespace ballast::codesign
