#include "ballast/codesign/hardware.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <functional>
#include <map>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/units.h"
#include "ballast/codesign/cost_table.h"
#include "ballast/codesign/macro_generator.h"
#include "ballast/codesign/preset_texts.h"

namespace ballast::codesign {
namespace {

// One setting: how text becomes the value. Throws InvalidInput for a value outside what it accepts.
using Setter = std::function<void(System&, const std::string&)>;

double number(const std::string& path, const std::string& text, double least, bool open) {
  double value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || rest != text.data() + text.size() || !std::isfinite(value) || value < least ||
      (open && value == least)) {
    throw InvalidInput(path, text, fmt::format("a number {} {}", open ? "above" : "of at least", least));
  }
  return value;
}

Setter positive(double& (*field)(System&), const char* path) {
  return [=](System& s, const std::string& text) { field(s) = number(path, text, 0, true); };
}
Setter at_least_zero(double& (*field)(System&), const char* path) {
  return [=](System& s, const std::string& text) { field(s) = number(path, text, 0, false); };
}
Setter whole(std::int64_t& (*field)(System&), const char* path, std::int64_t least) {
  return [=](System& s, const std::string& text) {
    const double value = number(path, text, static_cast<double>(least), false);
    if (value != std::floor(value) || value > 1e12)
      throw InvalidInput(path, text, fmt::format("a whole number of at least {}", least));
    field(s) = static_cast<std::int64_t>(value);
  };
}
Setter bytes(std::int64_t& (*field)(System&)) {
  return [=](System& s, const std::string& text) {
    field(s) = static_cast<std::int64_t>(Bytes::parse(text).count);
  };
}
Setter flag(bool& (*field)(System&), const char* path) {
  return [=](System& s, const std::string& text) {
    if (text != "true" && text != "false") throw InvalidInput(path, text, "true or false");
    field(s) = text == "true";
  };
}

#define FIELD(expression)   \
  [](System & s) -> auto& { \
    return s.expression;    \
  }

const std::map<std::string, Setter>& setters() {
  static const std::map<std::string, Setter> all = [] {
    std::map<std::string, Setter> m;
    m["name"] = [](System& s, const std::string& text) { s.name = text; };
    m["clock_mhz"] = positive(FIELD(clock_mhz), "clock_mhz");
    const auto memory = [&](const std::string& at, std::int64_t& (*size)(System&), double& (*rate)(System&),
                            double& (*read)(System&), double& (*write)(System&),
                            double& (*latency)(System&)) {
      m[at + ".bytes"] = bytes(size);
      m[at + ".bytes_per_cycle"] = positive(rate, "bytes_per_cycle");
      m[at + ".read_pj_per_byte"] = at_least_zero(read, "read_pj_per_byte");
      m[at + ".write_pj_per_byte"] = at_least_zero(write, "write_pj_per_byte");
      m[at + ".latency_cycles"] = at_least_zero(latency, "latency_cycles");
    };
    memory("memories.weights", FIELD(weights.bytes), FIELD(weights.bytes_per_cycle),
           FIELD(weights.read_pj_per_byte), FIELD(weights.write_pj_per_byte), FIELD(weights.latency_cycles));
    memory("memories.sram", FIELD(sram.bytes), FIELD(sram.bytes_per_cycle), FIELD(sram.read_pj_per_byte),
           FIELD(sram.write_pj_per_byte), FIELD(sram.latency_cycles));
    memory("memories.dram", FIELD(dram.bytes), FIELD(dram.bytes_per_cycle), FIELD(dram.read_pj_per_byte),
           FIELD(dram.write_pj_per_byte), FIELD(dram.latency_cycles));
    m["npu.macs"] = [](System& s, const std::string& text) {
      // The micro-block of each array size, as in the Ethos-U family.
      static const std::map<std::string, std::array<std::int64_t, 4>> blocks = {
          {"32", {1, 1, 4, 8}},  {"64", {1, 1, 8, 8}},   {"128", {1, 2, 8, 8}}, {"256", {2, 2, 8, 8}},
          {"512", {2, 4, 8, 8}}, {"1024", {4, 4, 8, 8}}, {"2048", {4, 8, 8, 8}}};
      const auto block = blocks.find(text);
      if (block == blocks.end()) throw InvalidInput("npu.macs", text, "32, 64, 128, 256, 512, 1024 or 2048");
      s.npu.macs = std::stoll(text);
      std::tie(s.npu.uy, s.npu.ux, s.npu.uk, s.npu.dot) = std::tuple_cat(block->second);
    };
    m["npu.model"] = [](System& s, const std::string& text) {
      cli::require_one_of("npu.model", text, {"vector_array", "systolic", "roofline"});
      s.npu.model = text == "vector_array" ? NpuDevice::Model::vector_array
                    : text == "systolic"   ? NpuDevice::Model::systolic
                                           : NpuDevice::Model::roofline;
    };
    m["npu.dataflow"] = [](System& s, const std::string& text) {
      cli::require_one_of("npu.dataflow", text, {"output_stationary", "weight_stationary"});
      s.npu.output_stationary = text == "output_stationary";
    };
    const auto pe = [&](const char* path, std::int64_t& (*field)(System&)) {
      m[path] = [field, path](System& s, const std::string& text) {
        whole(field, path, 1)(s, text);
        if (s.npu.model == NpuDevice::Model::systolic) s.npu.macs = s.npu.pe_rows * s.npu.pe_cols;
      };
    };
    pe("npu.pe_rows", FIELD(npu.pe_rows));
    pe("npu.pe_cols", FIELD(npu.pe_cols));
    m["npu.macs_per_cycle"] = whole(FIELD(npu.macs), "npu.macs_per_cycle", 1);
    m["npu.double_buffer"] = flag(FIELD(npu.double_buffer), "npu.double_buffer");
    m["npu.mm2_per_mac"] = at_least_zero(FIELD(npu.mm2_per_mac), "npu.mm2_per_mac");
    m["memories.sram.mm2_per_mib"] = at_least_zero(FIELD(sram_mm2_per_mib), "memories.sram.mm2_per_mib");
    m["cim.power_gate"] = flag(FIELD(cim.power_gate), "cim.power_gate");
    m["cim.wake_cycles"] = at_least_zero(FIELD(cim.wake_cycles), "cim.wake_cycles");
    m["cim.analog"] = flag(FIELD(cim.analog), "cim.analog");
    m["cim.adc_bits"] = whole(FIELD(cim.adc_bits), "cim.adc_bits", 1);
    m["cim.depthwise"] = flag(FIELD(cim.depthwise), "cim.depthwise");
    m["cim.dynamic_matmul"] = flag(FIELD(cim.dynamic_matmul), "cim.dynamic_matmul");
    // Energy a multiply-accumulate and area of a macro that nobody has published, from what stands above this
    // key.
    m["cim.generate"] = [](System& s, const std::string& text) {
      if (text != "true" && text != "false") throw InvalidInput("cim.generate", text, "true or false");
      if (text == "false") return;
      const MacroFigures figures = generate_macro({.analog = s.cim.analog,
                                                   .rows = s.cim.rows,
                                                   .cols = s.cim.cols,
                                                   .weight_bits = s.cim.weight_bits,
                                                   .input_bits = s.cim.input_bits,
                                                   .serial_bits = s.cim.serial_bits,
                                                   .adc_bits = s.cim.adc_bits});
      s.cim.pj_per_mac = figures.pj_per_mac;
      // area_mm2() scales mm2_each by cells; this macro's area is its own.
      s.cim.mm2_each =
          figures.area_mm2 * 65536 / static_cast<double>(s.cim.rows * s.cim.cols * s.cim.weight_bits);
    };
    m["cim.mm2_each"] = at_least_zero(FIELD(cim.mm2_each), "cim.mm2_each");
    m["npu.pj_per_mac"] = at_least_zero(FIELD(npu.pj_per_mac), "npu.pj_per_mac");
    m["npu.layer_overhead_cycles"] =
        at_least_zero(FIELD(npu.layer_overhead_cycles), "npu.layer_overhead_cycles");
    m["npu.static_mw"] = at_least_zero(FIELD(npu.static_mw), "npu.static_mw");
    m["cim.count"] = whole(FIELD(cim.count), "cim.count", 0);
    m["cim.rows"] = whole(FIELD(cim.rows), "cim.rows", 1);
    m["cim.cols"] = whole(FIELD(cim.cols), "cim.cols", 1);
    m["cim.bank_depth"] = whole(FIELD(cim.bank_depth), "cim.bank_depth", 1);
    m["cim.weight_bits"] = whole(FIELD(cim.weight_bits), "cim.weight_bits", 1);
    m["cim.input_bits"] = whole(FIELD(cim.input_bits), "cim.input_bits", 1);
    m["cim.serial_bits"] = whole(FIELD(cim.serial_bits), "cim.serial_bits", 1);
    m["cim.rows_active"] = whole(FIELD(cim.rows_active), "cim.rows_active", 0);
    m["cim.pj_per_mac"] = at_least_zero(FIELD(cim.pj_per_mac), "cim.pj_per_mac");
    m["cim.write_pj_per_byte"] = at_least_zero(FIELD(cim.write_pj_per_byte), "cim.write_pj_per_byte");
    m["cim.write_bytes_per_cycle"] = positive(FIELD(cim.write_bytes_per_cycle), "cim.write_bytes_per_cycle");
    m["cim.ping_pong"] = flag(FIELD(cim.ping_pong), "cim.ping_pong");
    m["cim.gating"] = [](System& s, const std::string& text) {
      cli::require_one_of("cim.gating", text, {"full", "row", "none"});
      s.cim.gating = text == "full"  ? CimDevice::Gating::full
                     : text == "row" ? CimDevice::Gating::row
                                     : CimDevice::Gating::none;
    };
    m["cim.static_mw_each"] = at_least_zero(FIELD(cim.static_mw_each), "cim.static_mw_each");
    m["cim.layer_overhead_cycles"] =
        at_least_zero(FIELD(cim.layer_overhead_cycles), "cim.layer_overhead_cycles");
    m["link.bytes_per_cycle"] = positive(FIELD(link.bytes_per_cycle), "link.bytes_per_cycle");
    m["link.setup_cycles"] = at_least_zero(FIELD(link.setup_cycles), "link.setup_cycles");
    m["link.pj_per_byte"] = at_least_zero(FIELD(link.pj_per_byte), "link.pj_per_byte");
    return m;
  }();
  return all;
}

#undef FIELD

// calibration.CLASS.compute and the like; classes are those of class_of() in cost_table.h.
void apply_calibration(System& system, const std::string& path, const std::string& value) {
  const auto dot = path.find('.');
  const std::string part = dot == std::string::npos ? "" : path.substr(dot + 1);
  cli::require_one_of("calibration." + path.substr(0, dot), part, {"compute", "memory", "overhead_cycles"});
  Calibration& calibration = system.calibration[path.substr(0, dot)];
  (part == "compute"  ? calibration.compute
   : part == "memory" ? calibration.memory
                      : calibration.overhead_cycles) = number("calibration." + path, value, 0, false);
}

void read_map(System& system, const YAML::Node& map, const std::string& prefix, const std::string& where) {
  for (const auto& entry : map) {
    const auto mark = entry.first.Mark();
    const std::string path = prefix.empty() ? entry.first.Scalar() : prefix + "." + entry.first.Scalar();
    try {
      if (entry.second.IsMap()) {
        read_map(system, entry.second, path, where);
      } else if (entry.second.IsScalar()) {
        apply_setting(system, path, entry.second.Scalar());
      } else {
        throw InvalidInput(path, "a list", "one value");
      }
    } catch (const InvalidInput& error) {
      const std::string text = error.what();
      if (text.starts_with(where)) throw;
      throw InvalidInput(fmt::format("{}:{}:{}: {}", where, mark.line + 1, mark.column + 1, text));
    }
  }
}

}  // namespace

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const auto& preset : kPresetTexts) names.emplace_back(preset.name);
  return names;
}

void apply_setting(System& system, const std::string& path, const std::string& value) {
  if (path.starts_with("calibration.")) {
    apply_calibration(system, path.substr(12), value);
    return;
  }
  if (path == "cost_tables") {
    system.table = std::make_shared<const CostTable>(CostTable::read(value));
    return;
  }
  const auto setter = setters().find(path);
  if (setter == setters().end()) {
    std::vector<std::string> paths;
    for (const auto& [name, unused] : setters()) paths.push_back(name);
    const auto close = cli::nearest(path, paths);
    throw InvalidInput(fmt::format("'{}' is no setting of a device{}", path,
                                   close ? fmt::format("; did you mean '{}'?", *close) : ""));
  }
  setter->second(system, value);
}

System parse_system(const std::string& yaml, const std::string& where) {
  System system;
  YAML::Node root;
  try {
    root = YAML::Load(yaml);
  } catch (const YAML::Exception& error) {
    throw InvalidInput(
        fmt::format("{}:{}:{}: {}", where, error.mark.line + 1, error.mark.column + 1, error.msg));
  }
  if (!root.IsMap())
    throw InvalidInput(fmt::format("{}: not a device description; accepted: a YAML map", where));
  read_map(system, root, "", where);
  if (system.sram.bytes <= 0) throw InvalidInput(fmt::format("{}: memories.sram.bytes is missing", where));
  return system;
}

std::string system_text(const std::string& word) {
  if (word.ends_with(".yaml") || word.ends_with(".yml")) return read_file(word, 1 << 20);
  cli::require_one_of("--hw", word, preset_names());
  for (const auto& preset : kPresetTexts) {
    if (word == preset.name) return preset.text;
  }
  throw InvalidInput("--hw", word, "a preset or a .yaml file");
}

double area_mm2(const System& system) {
  const CimDevice& cim = system.cim;
  const double macro = cim.mm2_each * static_cast<double>(cim.rows * cim.cols * cim.weight_bits) / 65536 *
                       (0.9 + 0.1 * static_cast<double>(cim.bank_depth));
  return system.npu.mm2_per_mac * static_cast<double>(system.npu.macs) +
         system.sram_mm2_per_mib * static_cast<double>(system.sram.bytes) / (1 << 20) +
         macro * static_cast<double>(cim.count);
}

System load_system(const std::string& word) {
  if (word.ends_with(".yaml") || word.ends_with(".yml")) return parse_system(read_file(word, 1 << 20), word);
  cli::require_one_of("--hw", word, preset_names());
  for (const auto& preset : kPresetTexts) {
    if (word == preset.name) return parse_system(preset.text, std::string("preset ") + preset.name);
  }
  throw InvalidInput("--hw", word, "a preset or a .yaml file");
}

}  // namespace ballast::codesign
