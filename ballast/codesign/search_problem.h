// The search problem of codesign: networks of a space, devices described by hardware genes, or both.
#pragma once

#include <memory>
#include <optional>

#include "ballast/codesign/search.h"
#include "ballast/codesign/search_cost.h"

namespace ballast::codesign {

/// One value of the device that may change: a dotted path and what it may be, as `--gene cim.count=0,1,2,4,8`
/// gives it.
struct HardwareGene {
  std::string path;
  std::vector<std::string> values;
};
HardwareGene parse_hardware_gene(const std::string& text);

/// The device with these values.
System with_genes(const System& base, const std::vector<HardwareGene>& genes, const std::vector<int>& values);

/// What is wanted: objectives by name, and limits such as latency=3 (ms), energy=50 (uJ), area=2 (mm2).
struct Goals {
  std::vector<std::string> objectives = {"accuracy", "latency"};
  std::map<std::string, double> limits;
};
std::vector<std::string> score_names();
/// Parses "latency=3ms": units ms, us, uJ, mJ, mm2, M or none.
std::pair<std::string, double> parse_limit(const std::string& text);

using Accuracy = std::function<double(const Genotype&)>;  ///< percent; empty: cost-only studies

struct ProblemOptions {
  std::vector<HardwareGene> genes;
  Accuracy accuracy;
  Goals goals;
  std::optional<Genotype> fixed;  ///< search hardware alone for this network
  Blocks blocks = Blocks::hybrid;
};

/// Throws InvalidInput for unknown objectives (accuracy without an evaluator too), Unavailable when even the
/// smallest network breaks a limit, with the least value that can be reached.
Problem network_problem(const Space& space, const System& base, const ProblemOptions& options);

}  // namespace ballast::codesign
