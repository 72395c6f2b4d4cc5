#include "ballast/codesign/cost_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "ballast/base/errors.h"
#include "ballast/codesign/cost_table.h"

namespace ballast::codesign {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

// Cycles an output element by operation, for 32, 64, 128, 256 and 512 MACs.
struct OutputRates {
  double plain[5], max_pool[5], multiply[5], add[5], wide[5], table[5], relu[5];
};
constexpr OutputRates kRates = {
    .plain = {2, 1, 0.5, 0.25, 0.125},
    .max_pool = {1, 0.5, 0.25, 0.125, 0.0625},
    .multiply = {3, 1.5, 0.75, 0.375, 0.1875},
    .add = {6, 3, 1.5, 0.75, 0.375},
    .wide = {2.5, 1.25, 1, 0.875, 0.4375},
    .table = {1, 1, 1, 1, 0.5},
    .relu = {1, 1, 0.5, 0.25, 0.125},
};

std::size_t size_class(const NpuDevice& npu) {
  return npu.macs <= 32 ? 0 : npu.macs <= 64 ? 1 : npu.macs <= 128 ? 2 : npu.macs <= 256 ? 3 : 4;
}

double activation_rate(const std::string& activation, std::size_t size) {
  if (activation.empty()) return 0;
  if (activation.starts_with("Relu") || activation == "Clip") return kRates.relu[size];
  return kRates.table[size];
}

double operation_rate(const Node& node, std::size_t size) {
  switch (node.op) {
    case Op::pool:
      return node.source_op == "MaxPool" ? kRates.max_pool[size] : kRates.plain[size];
    case Op::elementwise:
      if (node.source_op == "Mul") return kRates.multiply[size];
      if (node.source_op == "Add" || node.source_op == "Sub") return kRates.add[size];
      return kRates.wide[size];
    case Op::activation:
      return std::max(kRates.plain[size], activation_rate(node.source_op, size));
    case Op::softmax:
    case Op::layer_norm:
      return 4 * kRates.wide[size];  // maximum or mean, subtract, exponent or square, scale
    default:
      return kRates.plain[size];
  }
}

// Bytes over the SRAM port when output channels and positions are tiled so that tile and weights fit: the
// split of least traffic among the divisors by powers of two.
struct Traffic {
  double activation_reads, weight_reads;
};
Traffic tiled_traffic(const Node& node, std::int64_t sram_bytes) {
  const double in = static_cast<double>(node.in_bytes), w = static_cast<double>(node.weight_bytes);
  if (node.macs == 0 || node.weight_bytes == 0) return {in, w};
  Traffic best{in, w};
  double least = std::numeric_limits<double>::infinity();
  const std::int64_t positions = std::max<std::int64_t>(1, node.oy * node.ox * node.batch);
  for (std::int64_t kt = node.k;; kt = ceil_div(kt, 2)) {
    for (std::int64_t mt = positions;; mt = ceil_div(mt, 2)) {
      const double fits = w * static_cast<double>(kt) / static_cast<double>(node.k) +
                          (in + static_cast<double>(node.out_bytes)) * static_cast<double>(mt) /
                              static_cast<double>(positions);
      if (fits <= static_cast<double>(sram_bytes) || (kt == 1 && mt == 1)) {
        const Traffic traffic{in * static_cast<double>(ceil_div(node.k, kt)),
                              w * static_cast<double>(ceil_div(positions, mt))};
        if (traffic.activation_reads + traffic.weight_reads < least) {
          least = traffic.activation_reads + traffic.weight_reads;
          best = traffic;
        }
        break;  // a smaller tile only adds traffic
      }
      if (mt == 1) break;
    }
    if (kt == 1) break;
  }
  return best;
}

// Folds of rows x columns elements, each filled, streamed through and drained (SCALE-Sim's analytical form):
// output stationary with positions on rows and channels on columns, or weight stationary with the reduction
// on rows.
double systolic_cycles(const Node& node, const NpuDevice& npu) {
  const std::int64_t positions = node.oy * node.ox, reduction = node.c * node.fy * node.fx;
  const std::int64_t groups = node.op == Op::depthwise_conv || node.op == Op::group_conv ? node.groups : 1;
  const std::int64_t channels = node.k / groups;
  const std::int64_t on_rows = npu.output_stationary ? positions : reduction;
  const std::int64_t streamed = npu.output_stationary ? reduction : positions;
  const std::int64_t folds = ceil_div(on_rows, npu.pe_rows) * ceil_div(channels, npu.pe_cols);
  return static_cast<double>(node.batch * groups * folds * (2 * npu.pe_rows + npu.pe_cols + streamed - 2));
}

void finish(Cost& cost, double overhead) {
  const std::pair<double, const char*> parts[] = {{cost.compute_cycles, "compute"},
                                                  {cost.output_cycles, "output"},
                                                  {cost.memory_cycles, "memory"},
                                                  {cost.weight_cycles, "weights"}};
  const auto top = std::max_element(std::begin(parts), std::end(parts),
                                    [](auto& a, auto& b) { return a.first < b.first; });
  cost.cycles = top->first + overhead;
  cost.overhead_cycles = overhead;
  cost.bound = top->second;
}

// Rows of a table and calibrated factors take the place of the formula's cycles.
void apply_measurements(Cost& cost, const Node& node, Device device, const System& system) {
  if (system.table) {
    if (const auto entry = system.table->find(node, to_string(device))) {
      cost.cycles = entry->latency_us * system.clock_mhz;
      cost.compute_cycles = cost.cycles;
      cost.output_cycles = cost.memory_cycles = cost.weight_cycles = cost.update_cycles =
          cost.overhead_cycles = 0;
      cost.bound = "table";
      cost.provenance = entry->source + (entry->exact ? "" : " (interpolated)");
      if (entry->energy_uj) {
        cost.energy = {};
        cost.energy.mac_uj = *entry->energy_uj;
      }
      return;
    }
  }
  const auto factor =
      device == Device::npu ? system.calibration.find(class_of(node)) : system.calibration.end();
  if (factor == system.calibration.end()) return;
  const Calibration& c = factor->second;
  const double memory = std::max(cost.memory_cycles, cost.weight_cycles);
  cost.cycles =
      c.compute * std::max(cost.compute_cycles, cost.output_cycles) + c.memory * memory + c.overhead_cycles;
  cost.bound = "calibration";
  cost.provenance = "modelled, calibrated";
}

void charge_weights(Cost& cost, double bytes, double in_store, const System& system) {
  const double stored = bytes * in_store, dram = bytes - stored;
  cost.weight_cycles =
      std::max(stored / system.weights.bytes_per_cycle,
               dram > 0 ? dram / system.dram.bytes_per_cycle + system.dram.latency_cycles : 0);
  cost.energy.weights_uj += stored * system.weights.read_pj_per_byte * 1e-6;
  cost.energy.dram_uj += dram * system.dram.read_pj_per_byte * 1e-6;
}

Cost npu_cost(const Node& node, const System& system, double in_store) {
  Cost cost;
  if (node.op == Op::reshape) {
    cost.bound = "none";
    return cost;
  }
  cost.compute_cycles = npu_compute_cycles(node, system.npu);
  cost.output_cycles = npu_output_cycles(node, system.npu);
  const Traffic traffic = tiled_traffic(node, system.sram.bytes);
  const double out = static_cast<double>(node.out_bytes);
  cost.memory_cycles =
      (traffic.activation_reads + out) / system.sram.bytes_per_cycle + system.sram.latency_cycles;
  charge_weights(cost, traffic.weight_reads, in_store, system);
  cost.energy.mac_uj = static_cast<double>(node.macs) * system.npu.pj_per_mac * 1e-6;
  cost.energy.sram_uj =
      (traffic.activation_reads * system.sram.read_pj_per_byte + out * system.sram.write_pj_per_byte) * 1e-6;
  finish(cost, system.npu.layer_overhead_cycles);
  if (!system.npu.double_buffer) {
    cost.cycles = std::max(cost.compute_cycles, cost.output_cycles) + cost.memory_cycles +
                  cost.weight_cycles + cost.overhead_cycles;
  }
  apply_measurements(cost, node, Device::npu, system);
  cost.utilisation =
      cost.cycles > 0 ? static_cast<double>(node.macs) / (cost.cycles * static_cast<double>(system.npu.macs))
                      : 0;
  return cost;
}

Cost cim_cost(const Node& node, const System& system, double in_store, bool resident) {
  const CimDevice& cim = system.cim;
  const CimPlan plan = plan_cim(node, cim, resident);
  const auto vectors = static_cast<double>(node.oy * node.ox * node.batch);
  const double out = static_cast<double>(node.out_bytes);
  Cost cost;
  cost.compute_cycles = plan.compute_cycles;
  cost.update_cycles = plan.update_cycles;
  // Inputs are broadcast to all column tiles of a group of macros; further groups stream them again.
  const double passes =
      static_cast<double>(ceil_div(plan.col_tiles, std::max<std::int64_t>(1, cim.count / plan.row_tiles)));
  const double inputs = vectors * static_cast<double>(node.c * node.fy * node.fx * node.groups) *
                        static_cast<double>(cim.input_bits) / 8 * std::max(1.0, passes);
  cost.memory_cycles = (inputs + out) / system.sram.bytes_per_cycle;
  const std::int64_t second_operand = node.batch * node.k * node.c;  // of a product of activations
  const double written =
      resident ? 0
               : static_cast<double>((node.op == Op::matmul_dynamic ? second_operand : node.weight_bytes) *
                                     plan.replicas);
  if (!resident && node.op != Op::matmul_dynamic)
    charge_weights(cost, static_cast<double>(node.weight_bytes), in_store, system);
  const auto rows = static_cast<double>(node.c * node.fy * node.fx);
  double cells = rows * static_cast<double>(node.k);
  if (cim.gating == CimDevice::Gating::row) cells = rows * static_cast<double>(plan.col_tiles * cim.cols);
  // Groups of a depthwise layer lie on the diagonal of shared tiles: whole rows are charged, most cells of
  // them idle.
  if (cim.gating == CimDevice::Gating::row && plan.groups_per_tile > 0)
    cells = rows * static_cast<double>(node.groups) * static_cast<double>(cim.cols);
  if (cim.gating == CimDevice::Gating::none) cells = static_cast<double>(plan.tiles * cim.rows * cim.cols);
  cost.energy.mac_uj = vectors * cells * cim.pj_per_mac * 1e-6;
  cost.energy.cim_write_uj = written * cim.write_pj_per_byte * 1e-6;
  cost.energy.sram_uj = (inputs * system.sram.read_pj_per_byte + out * system.sram.write_pj_per_byte) * 1e-6;
  finish(cost, cim.layer_overhead_cycles + (cim.power_gate ? cim.wake_cycles : 0));
  // Cells are written while others compute, or before them.
  const double busy = cim.ping_pong ? std::max(plan.compute_cycles, plan.update_cycles)
                                    : plan.compute_cycles + plan.update_cycles;
  if (busy + cost.overhead_cycles > cost.cycles) {
    cost.cycles = busy + cost.overhead_cycles;
    cost.bound = plan.update_cycles > plan.compute_cycles ? "cell writes" : "compute";
  }
  apply_measurements(cost, node, Device::cim, system);
  const double peak = static_cast<double>(cim.count * cim.rows * cim.cols) *
                      static_cast<double>(cim.serial_bits) / static_cast<double>(cim.input_bits);
  cost.utilisation = static_cast<double>(node.macs) / (cost.cycles * peak);
  return cost;
}

}  // namespace

std::string to_string(Device device) {
  return device == Device::npu ? "npu" : "cim";
}

Energy& Energy::operator+=(const Energy& other) {
  mac_uj += other.mac_uj;
  sram_uj += other.sram_uj;
  weights_uj += other.weights_uj;
  dram_uj += other.dram_uj;
  link_uj += other.link_uj;
  cim_write_uj += other.cim_write_uj;
  static_uj += other.static_uj;
  return *this;
}

bool eligible(const Node& node, Device device, const System& system) {
  if (device == Device::npu) return true;
  if (system.cim.count == 0) return false;
  const bool grouped = node.op == Op::depthwise_conv || node.op == Op::group_conv;
  return node.static_dense() || (grouped && system.cim.depthwise) ||
         (node.op == Op::matmul_dynamic && system.cim.dynamic_matmul);
}

double npu_compute_cycles(const Node& node, const NpuDevice& npu) {
  if (node.macs == 0) return 0;
  const auto blocks = static_cast<double>(ceil_div(node.oy, npu.uy) * ceil_div(node.ox, npu.ux) * node.batch);
  const auto kernel = static_cast<double>(node.fy * node.fx);
  if (npu.model == NpuDevice::Model::roofline)
    return std::ceil(static_cast<double>(node.macs) / static_cast<double>(npu.macs));
  if (npu.model == NpuDevice::Model::systolic) return systolic_cycles(node, npu);
  if (node.op == Op::depthwise_conv) {
    // Kernel elements are taken four at a time and the dot lanes idle.
    return blocks * static_cast<double>(ceil_div(node.k, npu.uk)) * 4 *
           static_cast<double>(ceil_div(node.fy * node.fx, 4));
  }
  const std::int64_t groups = node.op == Op::group_conv ? node.groups : 1;
  // With a single micro-block in x and y the array waits two cycles at each kernel step.
  const double stall = blocks == 1 ? 2 * static_cast<double>(ceil_div(node.k, npu.uk)) * kernel : 0;
  return blocks * static_cast<double>(groups) * static_cast<double>(ceil_div(node.k / groups, npu.uk)) *
             kernel * static_cast<double>(ceil_div(node.c, npu.dot)) +
         stall;
}

double npu_output_cycles(const Node& node, const NpuDevice& npu) {
  const std::size_t size = size_class(npu);
  // Beyond the published sizes an array of twice the multipliers has twice the output lanes.
  const double beyond = std::min(1.0, 512.0 / static_cast<double>(npu.macs));
  return static_cast<double>(node.out_elements()) * beyond *
         std::max(operation_rate(node, size), activation_rate(node.activation, size));
}

CimPlan plan_cim(const Node& node, const CimDevice& cim, bool resident) {
  BALLAST_CHECK(cim.count > 0);
  CimPlan plan{};
  plan.row_tiles = ceil_div(node.c * node.fy * node.fx, cim.rows);
  plan.col_tiles = ceil_div(node.k, cim.cols);
  plan.tiles = plan.row_tiles * plan.col_tiles;
  if (node.op == Op::depthwise_conv || node.op == Op::group_conv) {
    // Several groups share a tile along its diagonal.
    const std::int64_t rows = node.c * node.fy * node.fx,
                       columns = std::max<std::int64_t>(1, node.k / node.groups);
    plan.groups_per_tile = std::max<std::int64_t>(1, std::min(cim.rows / rows, cim.cols / columns));
    plan.row_tiles = ceil_div(rows, cim.rows);
    plan.col_tiles = ceil_div(columns, cim.cols);
    plan.tiles = ceil_div(node.groups, plan.groups_per_tile) * plan.row_tiles * plan.col_tiles;
  } else if (node.op == Op::matmul_dynamic) {
    plan.tiles *= node.batch;  // each product of the batch has operands of its own
  }
  plan.replicas = std::max<std::int64_t>(1, cim.count / plan.tiles);
  const std::int64_t vectors = node.oy * node.ox * (node.op == Op::matmul_dynamic ? 1 : node.batch);
  const std::int64_t serial = ceil_div(cim.input_bits, cim.serial_bits);
  const std::int64_t activations = cim.rows_active > 0 ? ceil_div(cim.rows, cim.rows_active) : 1;
  const std::int64_t turns =
      plan.tiles <= cim.count ? ceil_div(vectors, plan.replicas) : ceil_div(plan.tiles, cim.count) * vectors;
  plan.compute_cycles = static_cast<double>(turns * serial * activations);
  const std::int64_t written_each = cim.rows * cim.cols * cim.weight_bits / 8;
  plan.update_cycles =
      resident ? 0
               : static_cast<double>(ceil_div(plan.tiles * plan.replicas, cim.count) * written_each) /
                     cim.write_bytes_per_cycle;
  return plan;
}

Cost cost_on(const Node& node, Device device, const System& system, double weights_in_store, bool resident) {
  BALLAST_CHECK(eligible(node, device, system), node.name);
  return device == Device::npu ? npu_cost(node, system, weights_in_store)
                               : cim_cost(node, system, weights_in_store, resident);
}

Cost transfer_cost(std::int64_t bytes, const System& system, double overlap_cycles) {
  Cost cost;
  cost.cycles = system.link.setup_cycles +
                std::max(0.0, static_cast<double>(bytes) / system.link.bytes_per_cycle - overlap_cycles);
  cost.energy.link_uj = static_cast<double>(bytes) * system.link.pj_per_byte * 1e-6;
  cost.bound = "link";
  return cost;
}

}  // namespace ballast::codesign
