// space: how many networks there are, some of them, and what one of them is made of.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/codesign/plan.h"
#include "ballast/codesign/space.h"
#include "ballast/codesign/verbs.h"

namespace ballast::codesign {
namespace {

struct Options {
  std::string what = "count", space = "h4h-28", genotype;
  int networks = 5;
};

void describe(const Space& space, const Genotype& g, const cli::Common& common) {
  const Graph graph = to_graph(space, g);
  Table table(
      fmt::format("{} (counted): {:.2f} MMAC, {:.1f} k weights", to_string(g),
                  static_cast<double>(graph.macs()) / 1e6, static_cast<double>(graph.weight_bytes()) / 1e3),
      {"operator", "class", "channels", "map", "kMAC", "kB out"});
  for (const auto& node : graph.nodes) {
    table.row({node.name, to_string(node.op), fmt::format("{} -> {}", node.c * node.groups, node.k),
               fmt::format("{} x {}", node.oy, node.ox),
               fmt::format("{:.0f}", static_cast<double>(node.macs) / 1e3),
               fmt::format("{:.1f}", static_cast<double>(node.out_bytes) / 1e3)});
  }
  if (common.for_people()) table.print(stdout);
  common.write_json(to_json(space, g));
  Report report("A network of " + space.name);
  report.section("codesign space describe").table(table).command(common.command_line);
  common.write_report(report);
}

void run(const Options& options, const cli::Common& common) {
  cli::require_one_of("space", options.what, {"count", "sample", "describe"});
  const Space space = load_space(options.space);
  if (options.what == "count") {
    const std::uint64_t all = count(space, Blocks::hybrid), conv = count(space, Blocks::conv_only);
    const auto text = [](std::uint64_t n) {
      return n == UINT64_MAX ? std::string("more than 2^64") : std::to_string(n);
    };
    if (common.for_people())
      fmt::print("{}: {} networks (counted), of which {} with convolutions only\n", space.name, text(all),
                 text(conv));
    common.write_json({{"schema", "ballast.codesign.space/1"},
                       {"space", space.name},
                       {"networks", text(all)},
                       {"conv_only", text(conv)}});
    return;
  }
  Random random(common.seed);
  if (options.what == "describe") {
    const Genotype g = options.genotype == "largest"    ? largest(space, Blocks::hybrid)
                       : options.genotype == "smallest" ? smallest(space, Blocks::hybrid)
                       : options.genotype.empty()       ? sample(space, random, Blocks::hybrid)
                                                        : genotype_from_json(read_json(options.genotype));
    describe(space, g, common);
    return;
  }
  if (options.networks < 1) throw InvalidInput("--networks", std::to_string(options.networks), "at least 1");
  Table table(fmt::format("Networks drawn from {} (counted)", space.name), {"genotype", "MMAC", "k weights"});
  Json all = Json::array();
  for (int i = 0; i < options.networks; ++i) {
    const Genotype g = sample(space, random, Blocks::hybrid);
    const Graph graph = to_graph(space, g);
    table.row({to_string(g), fmt::format("{:.2f}", static_cast<double>(graph.macs()) / 1e6),
               fmt::format("{:.1f}", static_cast<double>(graph.weight_bytes()) / 1e3)});
    all.push_back(to_json(space, g));
  }
  if (common.for_people()) table.print(stdout);
  common.write_json(all);
}

}  // namespace

void add_space(cli::Program& program) {
  auto options = std::make_shared<Options>();
  auto verb = program.verb("space", "the networks that a search may choose from: count, sample or describe",
                           {"ballast codesign space count --space h4h-28",
                            "ballast codesign space describe --genotype largest --space h4h-224"});
  verb->add_option("what", options->what, "count, sample or describe")->capture_default_str();
  verb->add_option("--space", options->space, "h4h-28, h4h-224 or a .yaml file")->capture_default_str();
  verb->add_option("--genotype", options->genotype,
                   "largest, smallest or a .json file; empty: one drawn by --seed");
  verb->add_option("--networks", options->networks, "how many to draw")->capture_default_str();
  verb.run([options](const cli::Common& common) { run(*options, common); });
}

}  // namespace ballast::codesign
