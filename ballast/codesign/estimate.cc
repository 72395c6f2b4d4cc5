#include <fmt/format.h>

#include <map>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/codesign/mapping.h"
#include "ballast/codesign/model_source.h"
#include "ballast/codesign/verbs.h"

namespace ballast::codesign {
namespace {

struct Options : NetworkOptions {
  std::vector<std::string> settings;
  bool layers = false, no_fusion = false;
};

void estimate(const Options& options, const cli::Common& common) {
  const LoadedNet net = load_net(options.model, options.input_shapes, !options.no_fusion);
  System system = load_system(options.hardware);
  for (const auto& setting : options.settings) {
    const auto equals = setting.find('=');
    if (equals == std::string::npos) throw InvalidInput("--set", setting, "PATH=VALUE, such as cim.count=8");
    apply_setting(system, setting.substr(0, equals), setting.substr(equals + 1));
  }
  const Graph& graph = net.graph;
  const Run run = evaluate(graph, system, Mapping(graph.nodes.size()));
  if (!net.import.unsupported.empty() && common.for_people()) {
    fmt::print("note: costed as plain element-wise work: {}\n", fmt::join(net.import.unsupported, ", "));
  }

  Table classes(
      fmt::format(
          "{} on {}, all on the NPU (modelled): {:.1f} MMAC, {} of weights, {} operators ({} in the file)",
          graph.name.empty() ? options.model : graph.name, system.name,
          static_cast<double>(graph.macs()) / 1e6,
          to_string(Bytes{static_cast<std::uint64_t>(graph.weight_bytes())}), graph.nodes.size(),
          net.import.operators),
      {"class", "operators", "MMAC", "kcycles", "share %", "uJ", "utilisation %"});
  struct Sum {
    int count = 0;
    double macs = 0, cycles = 0, energy = 0;
  };
  std::map<std::string, Sum> sums;
  Json layers = Json::array();
  Table rows("Every operator (modelled)",
             {"operator", "class", "fused", "MMAC", "kcycles", "bound", "utilisation %", "macro kcycles"});
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    const Cost& cost = run.nodes[n].cost;
    auto& sum = sums[to_string(node.op)];
    ++sum.count;
    sum.macs += static_cast<double>(node.macs);
    sum.cycles += cost.cycles;
    sum.energy += cost.energy.total_uj();
    const bool movable = eligible(node, Device::cim, system);
    const double macro = movable ? cost_on(node, Device::cim, system, 1).cycles : 0;
    rows.row({node.name, to_string(node.op), std::to_string(node.fused.size()),
              fmt::format("{:.2f}", static_cast<double>(node.macs) / 1e6),
              fmt::format("{:.1f}", cost.cycles / 1e3), cost.bound,
              fmt::format("{:.0f}", 100 * cost.utilisation),
              movable ? fmt::format("{:.1f}", macro / 1e3) : "-"});
    layers.push_back({{"name", node.name},
                      {"class", to_string(node.op)},
                      {"macs", node.macs},
                      {"cycles", cost.cycles},
                      {"bound", cost.bound},
                      {"energy_uj", cost.energy.total_uj()},
                      {"cim_cycles", movable ? Json(macro) : Json(nullptr)}});
  }
  for (const auto& [name, sum] : sums) {
    classes.row(
        {name, std::to_string(sum.count), fmt::format("{:.1f}", sum.macs / 1e6),
         fmt::format("{:.0f}", sum.cycles / 1e3), fmt::format("{:.1f}", 100 * sum.cycles / run.cycles),
         fmt::format("{:.1f}", sum.energy),
         fmt::format("{:.0f}", sum.cycles > 0
                                   ? 100 * sum.macs / (sum.cycles * static_cast<double>(system.npu.macs))
                                   : 0)});
  }
  if (common.for_people()) {
    classes.print(stdout);
    if (options.layers) rows.print(stdout);
    fmt::print("latency {:.3f} ms, energy {:.1f} uJ of which static {:.1f} (modelled)\n", run.ms,
               run.energy.total_uj(), run.energy.static_uj);
  }
  common.write_json({{"schema", "ballast.codesign.estimate/1"},
                     {"model", options.model},
                     {"hardware", system.name},
                     {"basis", "modelled"},
                     {"macs", graph.macs()},
                     {"weight_bytes", graph.weight_bytes()},
                     {"cycles", run.cycles},
                     {"ms", run.ms},
                     {"energy_uj", run.energy.total_uj()},
                     {"layers", layers}});
  Report report("Cost of " + options.model);
  report.section("codesign estimate").table(classes).table(rows).command(common.command_line);
  common.write_report(report);
}

}  // namespace

void add_network_options(cli::Verb& verb, NetworkOptions& options) {
  verb->add_option("model", options.model,
                   "an .onnx file, ppocr-rec|det|cls, mobilenet_v2, or alphanet-a0..a6")
      ->required();
  verb->add_option("--hw", options.hardware, "a preset or a .yaml file")->capture_default_str();
  verb->add_option("--input-shape", options.input_shapes,
                   "NAME:1x3x224x224, where the file leaves dimensions open");
}

void add_estimate(cli::Program& program) {
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "estimate", "what a network costs on a device, operator by operator",
      {"ballast codesign estimate ppocr-cls --hw xr22-x4 --layers",
       "ballast codesign estimate model.onnx --input-shape x:1x3x224x224 --hw mine.yaml --json"});
  add_network_options(verb, *options);
  verb->add_option("--set", options->settings, "change one value of the device: cim.count=8");
  verb->add_flag("--layers", options->layers, "list every operator");
  verb->add_flag("--no-fusion", options->no_fusion, "cost the operators as they stand in the file");
  verb.run([options](const cli::Common& common) { estimate(*options, common); });
}

}  // namespace ballast::codesign
