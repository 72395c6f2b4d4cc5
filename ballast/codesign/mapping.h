// Which operator runs where, and what the whole network then costs.
//
// Schema `seq`: one device works at a time. The latency is the sum of the operators' cycles and of every
// tensor that has to change devices (once, however many operators read it there; it streams while its
// producer works). For two devices that sum is a cut of a graph, so `Method::cut` finds the best placement
// exactly, for any shape of network. Schema `seq+split`: a dense operator may be divided by output channels,
// so that both devices end together.
#pragma once

#include <string>
#include <vector>

#include "ballast/codesign/cost_model.h"

namespace ballast::codesign {

enum class Method { npu, cim, rule, cut, brute };
std::vector<std::string> method_names();
Method method_from_string(const std::string& word);

enum class Objective { latency, energy };

struct Placement {
  Device device = Device::npu;
  double npu_share = 1;   ///< of the output channels; strictly between 0 and 1: split over both devices
  bool resident = false;  ///< weights stay in the macros' cells
};
using Mapping = std::vector<Placement>;  // by node

struct NodeRun {
  Cost cost;
  double transfer_cycles = 0;  ///< spent before it, to bring its inputs over
};

/// What a mapping gives. All figures are modelled.
struct Run {
  double cycles = 0, ms = 0;
  Energy energy;
  std::vector<NodeRun> nodes;
  std::int64_t transferred_bytes = 0;
  double npu_busy_cycles = 0, cim_busy_cycles = 0;
};

struct MapOptions {
  Method method = Method::cut;
  Objective objective = Objective::latency;
  bool split = false;
  bool residents = true;  ///< weights may stay in the cells from run to run
};

/// Cost of a mapping in schema `seq` (with splits where the mapping has them).
Run evaluate(const Graph& graph, const System& system, const Mapping& mapping);

/// The mapping of this method. `brute` refuses more than 16 eligible operators.
Mapping map_network(const Graph& graph, const System& system, const MapOptions& options);

}  // namespace ballast::codesign
