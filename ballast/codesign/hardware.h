// The device that a network is mapped on: one NPU, any number of compute-in-memory macros, memories and a
// link. Read from YAML; presets ship with the program. Every figure that follows from it is *modelled*.
//
//   System system = load_system("xr22-x4");            // a preset
//   System system = load_system("mine.yaml");          // a file
//   apply_setting(system, "cim.count", "8");           // --set cim.count=8
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ballast::codesign {

/// A memory with its traffic cost; bytes per cycle are those of the system clock.
struct Memory {
  std::int64_t bytes = 0;
  double bytes_per_cycle = 1, read_pj_per_byte = 0, write_pj_per_byte = 0;
  double latency_cycles = 0;
};

/// Output micro-block uy x ux x uk with dot products of width `dot`: uy*ux*uk*dot multiply-accumulates a
/// cycle.
struct NpuDevice {
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
  double layer_overhead_cycles = 200;
};

struct Link {
  double bytes_per_cycle = 16, setup_cycles = 50, pj_per_byte = 0.2;
};

struct System {
  std::string name;
  double clock_mhz = 500;
  Memory weights, sram, dram;
  NpuDevice npu;
  CimDevice cim;
  Link link;

  double milliseconds(double cycles) const { return cycles / (clock_mhz * 1e3); }
  double static_mw() const { return npu.static_mw + static_cast<double>(cim.count) * cim.static_mw_each; }
};

/// Names of the shipped presets: npu-only, xr22-x1 ... xr22-x16, u55-128, u55-256.
std::vector<std::string> preset_names();

/// A preset by name, or a file ending in .yaml or .yml. Throws InvalidInput with line, column and the nearest
/// key.
System load_system(const std::string& word);
System parse_system(const std::string& yaml, const std::string& where);

/// Changes one value by its dotted path, as `--set` does; throws InvalidInput naming the nearest path.
void apply_setting(System& system, const std::string& path, const std::string& value);

}  // namespace ballast::codesign
