// What one operator costs on one device, from formulas on the device's description: cycles with what bounds
// them, and energy as a breakdown that sums to the total. Pure functions; everything here is *modelled*.
//
// The NPU is a vector array with output micro-blocks (its cycle formulas follow the public cost model of the
// Ethos-U compiler); a macro array multiplies a stored weight matrix by a streamed vector, bit-serially.
#pragma once

#include <string>

#include "ballast/codesign/hardware.h"
#include "ballast/codesign/ir.h"

namespace ballast::codesign {

enum class Device { npu, cim };
std::string to_string(Device device);

struct Energy {
  double mac_uj = 0, sram_uj = 0, weights_uj = 0, dram_uj = 0, link_uj = 0, cim_write_uj = 0, static_uj = 0;

  double total_uj() const {
    return mac_uj + sram_uj + weights_uj + dram_uj + link_uj + cim_write_uj + static_uj;
  }
  Energy& operator+=(const Energy& other);
};

struct Cost {
  double cycles = 0;  ///< with the layer's overhead
  double compute_cycles = 0, output_cycles = 0, memory_cycles = 0, weight_cycles = 0;
  double update_cycles = 0;  ///< writing cells
  double overhead_cycles = 0;
  std::string bound;                    ///< compute, output, memory, weights, table or calibration
  std::string provenance = "modelled";  ///< or the source that a cost table gives
  double utilisation = 0;               ///< MACs done over MACs that the device could do in these cycles
  Energy energy;                        ///< without static power, which is charged over the whole run
};

/// Whether the device can take the operator at all. The NPU takes everything; macros take static-weight dense
/// ones.
bool eligible(const Node& node, Device device, const System& system);

/// Cycles that the NPU's multiply array needs (exact arithmetic of micro-blocks).
double npu_compute_cycles(const Node& node, const NpuDevice& npu);
/// Cycles of its output stage: elements times the operation's cycles an element.
double npu_output_cycles(const Node& node, const NpuDevice& npu);

struct CimPlan {
  std::int64_t row_tiles, col_tiles, tiles, replicas;
  double compute_cycles, update_cycles;
  std::int64_t groups_per_tile;  ///< of grouped convolutions, 0 for others
};
/// How a dense operator lies on the macros. `resident`: its weights stay in the cells from run to run.
CimPlan plan_cim(const Node& node, const CimDevice& cim, bool resident);

/// `weights_in_store` is the share of this operator's weights that the on-chip store holds; the rest comes
/// from DRAM.
Cost cost_on(const Node& node, Device device, const System& system, double weights_in_store,
             bool resident = false);

/// Moving a tensor between the devices. It streams while its producer works, so only what does not fit into
/// the producer's `overlap_cycles` adds to the time, beside the set-up.
Cost transfer_cost(std::int64_t bytes, const System& system, double overlap_cycles = 0);

}  // namespace ballast::codesign
