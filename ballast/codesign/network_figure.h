// The network drawn operator by operator, each on the device that runs it.
#pragma once

#include "ballast/base/report.h"
#include "ballast/codesign/mapping.h"

namespace ballast::codesign {

/// Boxes in the network's order, left to right and line by line; colour by device, split operators in two,
/// height by cycles (logarithmic), weights that stay in the cells outlined, a mark where a tensor changes
/// devices.
Figure network_figure(const Graph& graph, const Mapping& mapping, const Run& run, const std::string& title);

}  // namespace ballast::codesign
