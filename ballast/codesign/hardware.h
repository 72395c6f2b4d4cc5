// The device that a network is mapped on: one NPU, any number of compute-in-memory macros, memories and a
// link. Read from YAML; presets ship with the program. Every figure that follows from it is *modelled*.
//
//   System system = load_system("xr22-x4");            // a preset
//   System system = load_system("mine.yaml");          // a file
//   apply_setting(system, "cim.count", "8");           // --set cim.count=8
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace ballast::codesign {

/// A memory with its traffic cost; bytes per cycle are those of the system clock.
struct Memory {
  std::int64_t bytes = 0;
  double bytes_per_cycle = 1, read_pj_per_byte = 0, write_pj_per_byte = 0;
  double latency_cycles = 0;
};

/// `vector_array`: output micro-block uy x ux x uk with dot products of width `dot`, uy*ux*uk*dot
/// multiply-accumulates a cycle. `systolic`: pe_rows x pe_cols processing elements, weight- or
/// output-stationary. `roofline`: `macs` a cycle at any shape.
struct NpuDevice {
  enum class Model { vector_array, systolic, roofline };
  Model model = Model::vector_array;
  std::int64_t pe_rows = 16, pe_cols = 16;
  bool output_stationary = true;
  bool double_buffer = true;  ///< compute and traffic overlap, so the longest counts; else their sum
  double mm2_per_mac = 0.002;
  std::int64_t macs = 256;
  std::int64_t uy = 2, ux = 2, uk = 8, dot = 8;
  double pj_per_mac = 0.3;
  double layer_overhead_cycles = 200;
  double static_mw = 2;
};

/// `count` macros of rows x cols cells that hold weights and multiply a streamed input vector, bit-serially.
struct CimDevice {
  enum class Gating { full, row, none };
  std::int64_t count = 0;
  std::int64_t rows = 256, cols = 32, bank_depth = 8;
  std::int64_t weight_bits = 8, input_bits = 8, serial_bits = 1;
  std::int64_t rows_active = 0;  ///< analog limit of rows at once; 0: all
  double pj_per_mac = 0.081, write_pj_per_byte = 0.4, write_bytes_per_cycle = 32;
  bool ping_pong = true;
  Gating gating = Gating::row;
  double static_mw_each = 0.4;
  bool power_gate =
      false;  ///< no static power while nothing runs on the macros, against wake_cycles each time
  double wake_cycles = 0;
  bool analog = false;  ///< accuracies on it need a noise model (eval --adc-bits)
  std::int64_t adc_bits = 8;
  bool depthwise = false;       ///< takes depthwise and grouped convolutions, block-diagonally packed
  bool dynamic_matmul = false;  ///< takes products of activations, whose second operand is written each time
  double mm2_each = 0.202;      ///< of one macro with one bank of 64 Kib
  double layer_overhead_cycles = 200;
};

struct Link {
  double bytes_per_cycle = 16, setup_cycles = 50, pj_per_byte = 0.2;
};

/// What calibration found for one class of operators: cycles = compute * formula + memory * formula +
/// overhead.
struct Calibration {
  double compute = 1, memory = 1, overhead_cycles = 0;
};

class CostTable;

struct System {
  std::string name;
  double clock_mhz = 500;
  Memory weights, sram, dram;
  NpuDevice npu;
  CimDevice cim;
  Link link;
  double sram_mm2_per_mib = 1.4;
  std::map<std::string, Calibration> calibration;  ///< of the NPU, by class (cost_table.h)
  std::shared_ptr<const CostTable> table;          ///< rows that override the formulas

  double milliseconds(double cycles) const { return cycles / (clock_mhz * 1e3); }
  double static_mw() const { return npu.static_mw + static_cast<double>(cim.count) * cim.static_mw_each; }
};

/// Names of the shipped presets: npu-only, xr22-x1 ... xr22-x16, u55-32 ... u55-256, u65-256, u65-512,
/// diana-like, siracusa-like, dimc28, aimc28, host.
std::vector<std::string> preset_names();

/// The text of a preset or file, to be written with additions.
std::string system_text(const std::string& word);

/// Modelled silicon of NPU, SRAM and macros; what a bank beyond the first adds is a tenth of a macro.
double area_mm2(const System& system);

/// A preset by name, or a file ending in .yaml or .yml. Throws InvalidInput with line, column and the nearest
/// key.
System load_system(const std::string& word);
System parse_system(const std::string& yaml, const std::string& where);

/// Changes one value by its dotted path, as `--set` does; throws InvalidInput naming the nearest path.
void apply_setting(System& system, const std::string& path, const std::string& value);

}  // namespace ballast::codesign
