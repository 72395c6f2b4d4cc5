// What the mappers of mapping.cc, mapping_list.cc and mapping_ilp.cc share.
#pragma once

#include "ballast/codesign/mapping.h"

namespace ballast::codesign {

bool is_split(const Placement& placement);

/// The share of weights that the on-chip store holds, the same for every operator whose weights are read each
/// run.
double share_in_store(const Graph& graph, const System& system, const Mapping& mapping);

/// Cost of one operator where the placement puts it.
Cost node_cost(const Node& node, const System& system, const Placement& placement, double in_store);

/// Cycles, or microjoules with the static share of these cycles.
double objective_of(const Cost& cost, Objective objective, const System& system);

double value_of(const Run& run, Objective objective);

}  // namespace ballast::codesign
