#include "ballast/codesign/macro_generator.h"

#include <fmt/format.h>

#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::codesign {
namespace {

// 28 nm standard cells at 0.9 V: capacitance in fF, area in um2, delay in ns.
struct Gate {
  double ff, um2, ns;
};
constexpr double kVolt = 0.9;
constexpr Gate kNand{0.7, 0.614, 0.0478};
constexpr Gate kXor{1.5 * kNand.ff, 2.4 * kNand.um2, 2.4 * kNand.ns};
constexpr Gate kFlipFlop{3 * kNand.ff, 6 * kNand.um2, 0};
// A full adder: three NANDs and two XORs.
constexpr double kAdderFf = 3 * kNand.ff + 2 * kXor.ff, kAdderUm2 = 3 * kNand.um2 + 2 * kXor.um2;
constexpr double kInToSum = 2 * kXor.ns, kInToCarry = kXor.ns + 2 * kNand.ns, kCarryToCarry = 2 * kNand.ns;
constexpr double kLineFf = 0.35;  // of a bit or word line, each cell

// Energy of switching that capacitance at half the cycles, in pJ.
double switching_pj(double ff) {
  return 0.5 * ff * kVolt * kVolt * 1e-3;
}

/// Part of a data path: adders (or flip-flops) and the longest way through them.
struct Stage {
  double adders = 0, flip_flops = 0, ns = 0;
  double um2() const { return adders * kAdderUm2 + flip_flops * kFlipFlop.um2; }
  double pj() const { return switching_pj(adders * kAdderFf + flip_flops * kFlipFlop.ff); }
};

// Sums `inputs` numbers of `bits` bits.
Stage adder_tree(double inputs, double bits) {
  const double levels = std::log2(inputs);
  return {.adders = inputs * (bits + 1) - (bits + levels + 1),
          .ns = (levels - 1) * kInToSum + kInToCarry + (bits + levels - 2) * kCarryToCarry};
}

// Sums `inputs` numbers of `bits` bits, each shifted by one place against the last.
Stage place_value_tree(double inputs, double bits) {
  const double levels = std::log2(inputs);
  return {.adders = bits * (inputs - 1) + inputs * (levels - 0.5),
          .ns = (levels - 1) * kInToSum + kInToCarry + (bits - 1) * kCarryToCarry};
}

Stage accumulator(double width, double input_bits) {
  return {.adders = width, .flip_flops = width, .ns = kInToCarry + (width - input_bits - 1) * kCarryToCarry};
}

}  // namespace

double MacroFigures::tops(const MacroSpec& spec) const {
  const double passes =
      std::ceil(static_cast<double>(spec.input_bits) / static_cast<double>(spec.serial_bits));
  return 2 * static_cast<double>(spec.rows * spec.cols) / (clock_ns * passes) * 1e-3;
}

MacroFigures generate_macro(const MacroSpec& spec) {
  for (const auto& [what, value] : {std::pair{"rows", spec.rows},
                                    {"cols", spec.cols},
                                    {"weight_bits", spec.weight_bits},
                                    {"input_bits", spec.input_bits},
                                    {"serial_bits", spec.serial_bits},
                                    {"adc_bits", spec.adc_bits}}) {
    if (value < 1 || value > 4096)
      throw InvalidInput(fmt::format("macro {}", what), std::to_string(value), "1 to 4096");
  }
  if ((spec.rows & (spec.rows - 1)) != 0 || spec.rows < 2)
    throw InvalidInput("macro rows", std::to_string(spec.rows), "a power of two from 2");
  const auto n = static_cast<double>(spec.rows), columns = static_cast<double>(spec.cols),
             w = static_cast<double>(spec.weight_bits), i = static_cast<double>(spec.input_bits),
             s = static_cast<double>(spec.serial_bits), r = static_cast<double>(spec.adc_bits);
  const double levels = std::log2(n), macs = n * columns, passes = std::ceil(i / s);
  MacroFigures f;
  double ns = kNand.ns;
  double multipliers_ff = 0, trees_um2 = 0, trees_pj = 0, accumulators_um2 = 0, accumulators_pj = 0,
         converters_pj = 0;
  const auto add_stage = [&](const Stage& stage, double count, double& um2, double& pj) {
    um2 += count * stage.um2();
    pj += count * stage.pj();
    ns += stage.ns;
  };
  if (!spec.analog) {
    multipliers_ff = macs * w * s * kNand.ff;
    f.multipliers_mm2 = macs * w * s * kNand.um2 * 1e-6;
    add_stage(adder_tree(n, w), s * columns, trees_um2, trees_pj);
    if (s > 1) add_stage(place_value_tree(s, w + levels), columns, trees_um2, trees_pj);
    const double before = w + levels + (s > 1 ? s : 0);
    if (s < i) add_stage(accumulator(i + levels + w, before), columns, accumulators_um2, accumulators_pj);
  } else {
    multipliers_ff = macs * w * kLineFf;
    ns += r * (0.00653 * n + 0.640);
    f.converters_mm2 = columns * w * std::pow(10, -0.0369 * r + 1.206) * std::pow(2, r) * 1e-6;
    converters_pj = columns * w * (100 * r + 0.001 * std::pow(4, r)) * kVolt * kVolt * 1e-3;
    if (s > 1) converters_pj += n * 50 * s * kVolt * kVolt * 1e-3;
    if (w > 1) add_stage(place_value_tree(w, r), columns, trees_um2, trees_pj);
    if (s < i) add_stage(accumulator(i + r + w, r + w), columns, accumulators_um2, accumulators_pj);
  }
  f.clock_ns = ns;
  f.trees_mm2 = trees_um2 * 1e-6;
  f.accumulators_mm2 = accumulators_um2 * 1e-6;
  f.area_mm2 = f.multipliers_mm2 + f.trees_mm2 + f.accumulators_mm2 + f.converters_mm2;
  const double each = passes / macs;
  f.multipliers_pj = switching_pj(multipliers_ff) * each;
  f.trees_pj = trees_pj * each;
  f.accumulators_pj = accumulators_pj * each;
  f.converters_pj = converters_pj * each;
  f.pj_per_mac = f.multipliers_pj + f.trees_pj + f.accumulators_pj + f.converters_pj;
  return f;
}

}  // namespace ballast::codesign
