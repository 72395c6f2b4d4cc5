#include "ballast/codesign/search_problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::codesign {
namespace {

/// What all candidates share: a cache of block costs for each device that was met.
struct Shared {
  Space space;
  System base;
  ProblemOptions options;
  std::map<std::vector<int>, std::unique_ptr<BlockCosts>> costs;

  BlockCosts& at(const std::vector<int>& hardware) {
    auto& entry = costs[hardware];
    if (!entry) entry = std::make_unique<BlockCosts>(space, with_genes(base, options.genes, hardware));
    return *entry;
  }

  std::map<std::string, double> costs_of(const Candidate& c) {
    BlockCosts& device = at(c.hardware);
    const NetworkCost cost = device(c.genotype);
    return {{"latency", cost.ms},
            {"energy", cost.energy_uj},
            {"edp", cost.ms * cost.energy_uj},
            {"area", area_mm2(device.system())},
            {"params", cost.weights / 1e6},
            {"macs", cost.macs / 1e6}};
  }
};

double violation_of(const std::map<std::string, double>& scores, const Goals& goals) {
  double sum = 0;
  for (const auto& [name, most] : goals.limits) sum += std::max(0.0, scores.at(name) / most - 1);
  return sum;
}

std::vector<int> random_hardware(const std::vector<HardwareGene>& genes, Random& random) {
  std::vector<int> values;
  for (const auto& gene : genes) values.push_back(static_cast<int>(random.below(gene.values.size())));
  return values;
}

// The least that any device makes of the smallest network, for the sentence about limits that nothing meets.
void check_reachable(Shared& shared) {
  const auto& genes = shared.options.genes;
  Candidate smallest_one;
  smallest_one.genotype =
      shared.options.fixed ? *shared.options.fixed : smallest(shared.space, shared.options.blocks);
  std::size_t combinations = 1;
  for (const auto& gene : genes) combinations *= gene.values.size();
  std::map<std::string, double> least;
  bool feasible = false;
  for (std::size_t i = 0; i < std::min<std::size_t>(combinations, 4096); ++i) {
    std::size_t rest = i;
    smallest_one.hardware.clear();
    for (const auto& gene : genes) {
      smallest_one.hardware.push_back(static_cast<int>(rest % gene.values.size()));
      rest /= gene.values.size();
    }
    const auto scores = shared.costs_of(smallest_one);
    feasible = feasible || violation_of(scores, shared.options.goals) <= 0;
    for (const auto& [name, value] : scores) {
      const auto [at, fresh] = least.emplace(name, value);
      if (!fresh) at->second = std::min(at->second, value);
    }
    if (feasible) return;
  }
  std::string reachable;
  for (const auto& [name, most] : shared.options.goals.limits)
    reachable +=
        fmt::format("{}{} {:.4g} (limit {:.4g})", reachable.empty() ? "" : ", ", name, least.at(name), most);
  throw Unavailable(fmt::format("no network of {} meets the limits; the smallest reaches {}",
                                shared.space.name, reachable));
}

}  // namespace

HardwareGene parse_hardware_gene(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals + 1 == text.size())
    throw InvalidInput("--gene", text, "PATH=VALUE,VALUE,..., such as cim.count=0,1,2,4,8");
  HardwareGene gene{text.substr(0, equals), {}};
  for (std::size_t at = equals + 1; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    gene.values.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  System probe;
  for (const auto& value : gene.values) apply_setting(probe, gene.path, value);
  return gene;
}

System with_genes(const System& base, const std::vector<HardwareGene>& genes,
                  const std::vector<int>& values) {
  System system = base;
  for (std::size_t i = 0; i < genes.size(); ++i)
    apply_setting(system, genes[i].path, genes[i].values[static_cast<std::size_t>(values[i])]);
  return system;
}

std::vector<std::string> score_names() {
  return {"accuracy", "latency", "energy", "edp", "area", "params", "macs"};
}

std::pair<std::string, double> parse_limit(const std::string& text) {
  const auto equals = text.find('=');
  const std::string accepted =
      "NAME=VALUE with latency (ms, us), energy (uJ, mJ), edp, area (mm2), params (M), macs (M)";
  if (equals == std::string::npos) throw InvalidInput("--max", text, accepted);
  const std::string name = text.substr(0, equals);
  auto names = score_names();
  names.erase(names.begin());
  cli::require_one_of("--max", name, names);
  char* end = nullptr;
  const double value = std::strtod(text.c_str() + equals + 1, &end);
  const std::string unit = end;
  static const std::map<std::string, std::map<std::string, double>> units = {
      {"latency", {{"", 1}, {"ms", 1}, {"us", 1e-3}, {"s", 1e3}}},
      {"energy", {{"", 1}, {"uJ", 1}, {"mJ", 1e3}}},
      {"edp", {{"", 1}}},
      {"area", {{"", 1}, {"mm2", 1}}},
      {"params", {{"", 1}, {"M", 1}}},
      {"macs", {{"", 1}, {"M", 1}}}};
  const auto factor = units.at(name).find(unit);
  if (end == text.c_str() + equals + 1 || factor == units.at(name).end() || !(value > 0) ||
      !std::isfinite(value))
    throw InvalidInput("--max", text, accepted);
  return {name, value * factor->second};
}

Problem network_problem(const Space& space, const System& base, const ProblemOptions& options) {
  if (options.goals.objectives.empty())
    throw InvalidInput("--objectives is empty; accepted: accuracy, latency, ...");
  for (const auto& objective : options.goals.objectives) {
    cli::require_one_of("--objectives", objective, score_names());
    if (objective == "accuracy" && !options.accuracy)
      throw InvalidInput(
          "the objective accuracy needs --ckpt; accepted without it: latency, energy, edp, area, params, "
          "macs");
  }
  auto shared = std::make_shared<Shared>(Shared{space, base, options, {}});
  check_reachable(*shared);
  Problem problem;
  problem.draw = [shared](Random& random) {
    Candidate c;
    c.genotype = shared->options.fixed ? *shared->options.fixed
                                       : sample(shared->space, random, shared->options.blocks);
    c.hardware = random_hardware(shared->options.genes, random);
    return c;
  };
  const auto vary_hardware = [shared](Candidate& c, Random& random, double rate) {
    for (std::size_t i = 0; i < c.hardware.size(); ++i) {
      if (random.uniform() < std::max(rate, 0.2))
        c.hardware[i] = static_cast<int>(random.below(shared->options.genes[i].values.size()));
    }
  };
  problem.vary = [shared, vary_hardware](const Candidate& parent, Random& random, double rate) {
    Candidate c;
    c.hardware = parent.hardware;
    c.genotype = shared->options.fixed
                     ? parent.genotype
                     : mutate(shared->space, parent.genotype, random, rate, 0.5, shared->options.blocks);
    vary_hardware(c, random, rate);
    return c;
  };
  problem.cross = [shared](const Candidate& a, const Candidate& b, Random& random) {
    Candidate c;
    c.genotype = shared->options.fixed ? a.genotype : cross(shared->space, a.genotype, b.genotype, random);
    for (std::size_t i = 0; i < a.hardware.size(); ++i)
      c.hardware.push_back(random.below(2) == 0 ? a.hardware[i] : b.hardware[i]);
    return c;
  };
  problem.cheaper = [shared](const Candidate& c, Random& random) {
    Candidate next = c;
    if (!shared->options.fixed)
      next.genotype =
          cross(shared->space, c.genotype, smallest(shared->space, shared->options.blocks), random);
    if (!next.hardware.empty()) next.hardware = random_hardware(shared->options.genes, random);
    return next;
  };
  problem.key = [](const Candidate& c) {
    std::uint64_t key = c.genotype.hash();
    for (int value : c.hardware) key = mix64(key + static_cast<std::uint64_t>(value) + 1);
    return key;
  };
  problem.score = [shared](Candidate& c) {
    c.scores = shared->costs_of(c);
    c.violation = violation_of(c.scores, shared->options.goals);
    c.objectives.clear();
    // Accuracy is dear: candidates that break a limit do not get one.
    if (shared->options.accuracy)
      c.scores["accuracy"] = c.violation > 0 ? 0 : shared->options.accuracy(c.genotype);
    for (const auto& name : shared->options.goals.objectives)
      c.objectives.push_back(name == "accuracy" ? -c.scores.at(name) : c.scores.at(name));
  };
  return problem;
}

}  // namespace ballast::codesign
