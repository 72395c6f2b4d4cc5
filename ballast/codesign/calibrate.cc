#include "ballast/codesign/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/codesign/cost_model.h"
#include "ballast/codesign/pareto.h"
#include "ballast/cost/nnls.h"

namespace ballast::codesign {
namespace {

struct Sample {
  double compute, memory, cycles;
};

Sample sample_of(const CostTable::Row& row, const System& plain) {
  const Cost cost = cost_on(row.node, Device::npu, plain, 1);
  return {std::max(cost.compute_cycles, cost.output_cycles), std::max(cost.memory_cycles, cost.weight_cycles),
          row.entry.latency_us * plain.clock_mhz};
}

Calibration fit(const std::vector<Sample>& samples) {
  cost::Matrix a{.rows = samples.size(), .cols = 3, .values = std::vector<double>(3 * samples.size())};
  for (std::size_t i = 0; i < samples.size(); ++i) {
    a(i, 0) = samples[i].compute / samples[i].cycles;
    a(i, 1) = samples[i].memory / samples[i].cycles;
    a(i, 2) = 1 / samples[i].cycles;
  }
  const auto solution = cost::nnls(a, std::vector<double>(samples.size(), 1.0));
  return {.compute = solution.x[0], .memory = solution.x[1], .overhead_cycles = solution.x[2]};
}

}  // namespace

CalibrationReport calibrate(const CostTable& table, const System& system, std::uint64_t seed) {
  System plain = system;
  plain.table = nullptr;
  plain.calibration.clear();
  std::map<std::string, std::vector<const CostTable::Row*>> by_class;
  for (const auto& row : table.rows()) {
    if (row.device == "npu") by_class[class_of(row.node)].push_back(&row);
  }
  CalibrationReport report;
  std::vector<double> predicted, actual;
  for (auto& [name, rows] : by_class) {
    if (rows.size() < 5) {
      ++report.skipped_classes;
      continue;
    }
    Random random(seed, mix64(std::hash<std::string>{}(name)));
    random.shuffle(rows);
    const std::size_t held = std::max<std::size_t>(1, rows.size() / 5);
    std::vector<Sample> seen;
    for (std::size_t i = held; i < rows.size(); ++i) seen.push_back(sample_of(*rows[i], plain));
    const Calibration factors = fit(seen);
    report.factors[name] = factors;
    CalibrationReport::Row& line = report.classes.emplace_back();
    line = {.name = name, .fitted = static_cast<int>(seen.size()), .held_out = static_cast<int>(held)};
    for (std::size_t i = 0; i < held; ++i) {
      const Sample s = sample_of(*rows[i], plain);
      const double told = factors.compute * s.compute + factors.memory * s.memory + factors.overhead_cycles;
      line.mape += 100 * std::abs(told / s.cycles - 1) / static_cast<double>(held);
      predicted.push_back(told);
      actual.push_back(s.cycles);
    }
    report.fitted += line.fitted;
    report.held_out += line.held_out;
  }
  if (report.factors.empty())
    throw InvalidInput(
        "the table has no class of operators with at least five rows for the npu; accepted: more rows");
  double mean = 0;
  for (double y : actual) mean += y / static_cast<double>(actual.size());
  double residual = 0, total = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    report.mape += 100 * std::abs(predicted[i] / actual[i] - 1) / static_cast<double>(actual.size());
    residual += (actual[i] - predicted[i]) * (actual[i] - predicted[i]);
    total += (actual[i] - mean) * (actual[i] - mean);
  }
  report.r2 = total > 0 ? 1 - residual / total : 0;
  report.spearman = spearman(predicted, actual);
  return report;
}

std::string with_calibration(const std::string& text, const std::map<std::string, Calibration>& factors) {
  if (text.find("\ncalibration:") != std::string::npos)
    throw InvalidInput("the device is calibrated already; accepted: one without a calibration");
  std::string out = text + (text.ends_with('\n') ? "" : "\n") + "calibration:\n";
  for (const auto& [name, c] : factors)
    out += fmt::format("  {}: {{compute: {:.6g}, memory: {:.6g}, overhead_cycles: {:.6g}}}\n", name,
                       c.compute, c.memory, c.overhead_cycles);
  return out;
}

}  // namespace ballast::codesign
