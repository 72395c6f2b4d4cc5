// Fits the formulas to a table: for each class of operators, factors on compute and traffic and an overhead,
// by non-negative least squares on relative errors; a fifth of the rows is held out and tells how good the
// fit is.
#pragma once

#include <cstdint>

#include "ballast/codesign/cost_table.h"
#include "ballast/codesign/hardware.h"

namespace ballast::codesign {

struct CalibrationReport {
  std::map<std::string, Calibration> factors;
  struct Row {
    std::string name;  ///< class
    int fitted = 0, held_out = 0;
    double mape = 0;  ///< percent, of the held-out rows
  };
  std::vector<Row> classes;
  int fitted = 0, held_out = 0, skipped_classes = 0;
  double mape = 0, r2 = 0, spearman = 0;  ///< of all held-out rows: percent, and two correlations
};

/// The NPU's rows of the table against the device's formulas. Classes of fewer than five rows keep the plain
/// formula and are counted. Throws InvalidInput when no class has enough.
CalibrationReport calibrate(const CostTable& table, const System& system, std::uint64_t seed);

/// The device's text with the factors added.
std::string with_calibration(const std::string& system_text,
                             const std::map<std::string, Calibration>& factors);

}  // namespace ballast::codesign
