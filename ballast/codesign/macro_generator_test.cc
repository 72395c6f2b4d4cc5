#include "ballast/codesign/macro_generator.h"

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::codesign {
namespace {

// What ZigZag 3.9.1 prints for its macros `dimc` and `aimc`; the area's parts worked out by hand from the
// gates.
TEST(MacroGenerator, ReproducesPublishedClocksAndArea) {
  const MacroFigures digital = generate_macro({});
  EXPECT_NEAR(digital.clock_ns / 3.75708, 1, 1e-4);
  EXPECT_NEAR(digital.area_mm2 / 0.801811, 1, 1e-4);
  EXPECT_NEAR(digital.multipliers_mm2, 0.0805, 5e-5);
  EXPECT_NEAR(digital.trees_mm2, 0.6964, 5e-5);
  EXPECT_NEAR(digital.accumulators_mm2, 0.0249, 5e-5);
  const MacroFigures analog = generate_macro({.analog = true, .serial_bits = 2});
  EXPECT_NEAR(analog.clock_ns / 14.07244, 1, 1e-4);
}

TEST(MacroGenerator, PartsSumAndGrowTheRightWay) {
  for (const bool analog : {false, true}) {
    const MacroFigures f = generate_macro({.analog = analog});
    EXPECT_NEAR(f.area_mm2, f.multipliers_mm2 + f.trees_mm2 + f.accumulators_mm2 + f.converters_mm2, 1e-12);
    EXPECT_NEAR(f.pj_per_mac, f.multipliers_pj + f.trees_pj + f.accumulators_pj + f.converters_pj, 1e-12);
    EXPECT_GT(f.pj_per_mac, 0);
    // More bits never cost less energy; more rows never make a pass quicker.
    EXPECT_GE(generate_macro({.analog = analog, .weight_bits = 16}).pj_per_mac, f.pj_per_mac);
    EXPECT_GE(generate_macro({.analog = analog, .input_bits = 16}).pj_per_mac, f.pj_per_mac);
    EXPECT_GE(generate_macro({.analog = analog, .rows = 256}).clock_ns, f.clock_ns);
  }
  EXPECT_GT(generate_macro({.analog = true, .adc_bits = 10}).pj_per_mac,
            generate_macro({.analog = true}).pj_per_mac);
}

TEST(MacroGenerator, BadExtentsAreNamed) {
  EXPECT_THROW(generate_macro({.rows = 100}), InvalidInput);
  EXPECT_THROW(generate_macro({.rows = 0}), InvalidInput);
  EXPECT_THROW(generate_macro({.weight_bits = 0}), InvalidInput);
}

// The published 7 nm row is consistent in itself: 1024 multiply-accumulates every 5.5 ns, 5.83 pJ an access.
TEST(MacroTable, SevenNanometreRow) {
  const std::string text = read_file(BALLAST_SOURCE_DIR "/ballast/codesign/cim_macros.csv");
  const auto at = text.find("sram-7nm,");
  ASSERT_NE(at, std::string::npos);
  const std::string row = text.substr(at, text.find('\n', at) - at);
  EXPECT_NE(row.find(",351,372.4,5.5,1024,"), std::string::npos) << row;
  EXPECT_NEAR(2 * 1024 / 5.5, 372.4, 0.05);
  EXPECT_NEAR(2 * 1024 / 351.0, 5.83, 0.005);
}

}  // namespace
}  // namespace ballast::codesign
