// Clock, area and energy of a compute-in-memory macro from its extents, for macros that nobody has published.
// The formulas are those of the public in-memory-computing cost model of ZigZag (Houshmand et al., JSSC 2023;
// Sun et al., 2024) for 28 nm, whose clock and area figures they reproduce. Everything here is *modelled*.
//
//   digital   one NAND a cell and input bit, an adder tree a column, a place-value tree over the serial bits,
//   an accumulator analog    a converter a weight-bit column, a place-value tree over the weight bits, an
//   accumulator
#pragma once

#include <cstdint>

namespace ballast::codesign {

struct MacroSpec {
  bool analog = false;
  std::int64_t rows = 128, cols = 128;  ///< inputs of a dot product, weights side by side
  std::int64_t weight_bits = 8, input_bits = 8, serial_bits = 1, adc_bits = 8;
};

struct MacroFigures {
  double clock_ns = 0;    ///< of one pass of `serial_bits` input bits
  double area_mm2 = 0;    ///< without the cells
  double pj_per_mac = 0;  ///< of a whole multiply-accumulate, all passes
  // The area's parts, mm2.
  double multipliers_mm2 = 0, trees_mm2 = 0, accumulators_mm2 = 0, converters_mm2 = 0;
  // The energy's parts, pJ a multiply-accumulate.
  double multipliers_pj = 0, trees_pj = 0, accumulators_pj = 0, converters_pj = 0;

  double tops(const MacroSpec& spec) const;
  double tops_per_watt() const { return 2 / pj_per_mac; }
};

/// Throws InvalidInput for bits or rows outside 1 to 4096, or rows that are no power of two.
MacroFigures generate_macro(const MacroSpec& spec);

}  // namespace ballast::codesign
