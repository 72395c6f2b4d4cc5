// map and sweep: placements side by side, and how they change with the device.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/codesign/model_source.h"
#include "ballast/codesign/schedule.h"
#include "ballast/codesign/verbs.h"

namespace ballast::codesign {
namespace {

struct Options : NetworkOptions {
  std::string objective = "latency", set;
  std::vector<std::string> methods{"npu", "cim", "rule", "cut", "cut+split"};
};

Objective objective_from(const std::string& word) {
  cli::require_one_of("--objective", word, {"latency", "energy"});
  return word == "latency" ? Objective::latency : Objective::energy;
}

MapOptions options_of(const std::string& word, const std::string& objective) {
  MapOptions options{
      .method = Method::cut, .objective = objective_from(objective), .split = word == "cut+split"};
  auto names = method_names();
  names.emplace_back("cut+split");
  cli::require_one_of("--method", word, names);
  if (!options.split) options.method = method_from_string(word);
  return options;
}

std::string saving(double value, double base) {
  return fmt::format("{:+.1f}", 100 * (value / base - 1));
}

void map_model(const Options& options, const cli::Common& common) {
  const LoadedNet net = load_net(options.model, options.input_shapes);
  const System system = load_system(options.hardware);
  Table table(fmt::format("{} on {}: placements, schema seq (modelled)", options.model, system.name),
              {"method", "ms", "against npu %", "uJ", "against npu %", "on macros", "split", "moved kB",
               "ms with branches"});
  const Run base = evaluate(net.graph, system, Mapping(net.graph.nodes.size()));
  Json results = Json::array();
  for (const auto& word : options.methods) {
    const Mapping mapping = map_network(net.graph, system, options_of(word, options.objective));
    const Run run = evaluate(net.graph, system, mapping);
    const NetworkSchedule branch = schedule_network(net.graph, system, mapping, true);
    int on_macros = 0, split = 0;
    Json placed = Json::array();
    for (std::size_t n = 0; n < mapping.size(); ++n) {
      const bool is_split = mapping[n].npu_share > 0 && mapping[n].npu_share < 1;
      on_macros += mapping[n].device == Device::cim ? 1 : 0;
      split += is_split ? 1 : 0;
      placed.push_back({{"name", net.graph.nodes[n].name},
                        {"device", is_split ? "split" : to_string(mapping[n].device)},
                        {"resident", mapping[n].resident}});
    }
    table.row({word, fmt::format("{:.3f}", run.ms), saving(run.ms, base.ms),
               fmt::format("{:.1f}", run.energy.total_uj()),
               saving(run.energy.total_uj(), base.energy.total_uj()), std::to_string(on_macros),
               std::to_string(split), fmt::format("{:.0f}", static_cast<double>(run.transferred_bytes) / 1e3),
               fmt::format("{:.3f}", branch.ms())});
    results.push_back({{"method", word},
                       {"ms", run.ms},
                       {"energy_uj", run.energy.total_uj()},
                       {"branch_ms", branch.ms()},
                       {"placement", placed}});
  }
  if (common.for_people()) table.print(stdout);
  common.write_json({{"schema", "ballast.codesign.map/1"},
                     {"model", options.model},
                     {"hardware", system.name},
                     {"basis", "modelled"},
                     {"objective", options.objective},
                     {"results", results}});
  Report report("Placements of " + options.model);
  report.section("codesign map").table(table).command(common.command_line);
  common.write_report(report);
}

void sweep(const Options& options, const cli::Common& common) {
  const LoadedNet net = load_net(options.model, options.input_shapes);
  const auto equals = options.set.find('=');
  if (equals == std::string::npos)
    throw InvalidInput("--set", options.set, "PATH=VALUE,VALUE,..., such as cim.count=0,1,2,4,8");
  const std::string path = options.set.substr(0, equals);
  Table table(
      fmt::format("{} on {} as {} changes (modelled, schema seq)", options.model, options.hardware, path),
      {path, "npu ms", "cut ms", "cut+split ms", "saving %", "npu uJ", "cut uJ", "saving %"});
  Chart chart{
      .title = "Latency as " + path + " changes", .x_label = path, .y_label = "ms", .basis = Basis::modelled};
  Series npu_series{"npu only", {}, {}}, cut_series{"cut", {}, {}}, split_series{"cut+split", {}, {}};
  Json points = Json::array();
  for (std::size_t at = equals + 1; at <= options.set.size();) {
    const std::size_t comma = std::min(options.set.find(',', at), options.set.size());
    const std::string value = options.set.substr(at, comma - at);
    at = comma + 1;
    System system = load_system(options.hardware);
    apply_setting(system, path, value);
    // The baseline has no macros, so no static power of macros either.
    System alone = system;
    alone.cim.count = 0;
    const Objective objective = objective_from(options.objective);
    const Run npu = evaluate(net.graph, alone, Mapping(net.graph.nodes.size()));
    const Run cut = evaluate(net.graph, system,
                             map_network(net.graph, system, {.method = Method::cut, .objective = objective}));
    const Run split = evaluate(
        net.graph, system,
        map_network(net.graph, system, {.method = Method::cut, .objective = objective, .split = true}));
    table.row({value, fmt::format("{:.3f}", npu.ms), fmt::format("{:.3f}", cut.ms),
               fmt::format("{:.3f}", split.ms), saving(split.ms, npu.ms),
               fmt::format("{:.1f}", npu.energy.total_uj()), fmt::format("{:.1f}", cut.energy.total_uj()),
               saving(cut.energy.total_uj(), npu.energy.total_uj())});
    const double x = std::strtod(value.c_str(), nullptr);
    for (auto [series, y] :
         {std::pair{&npu_series, npu.ms}, {&cut_series, cut.ms}, {&split_series, split.ms}}) {
      series->xs.push_back(x);
      series->ys.push_back(y);
    }
    points.push_back({{"value", value},
                      {"npu_ms", npu.ms},
                      {"cut_ms", cut.ms},
                      {"split_ms", split.ms},
                      {"npu_uj", npu.energy.total_uj()},
                      {"cut_uj", cut.energy.total_uj()}});
  }
  chart.series = {npu_series, cut_series, split_series};
  if (common.for_people()) table.print(stdout);
  common.write_json({{"schema", "ballast.codesign.sweep/1"},
                     {"model", options.model},
                     {"hardware", options.hardware},
                     {"path", path},
                     {"basis", "modelled"},
                     {"points", points}});
  Report report("Sweep of " + path);
  report.section("codesign sweep").table(table).chart(chart).command(common.command_line);
  common.write_report(report);
}

}  // namespace

void add_map(cli::Program& program) {
  auto options = std::make_shared<Options>();
  auto verb = program.verb("map", "place a network's operators on NPU and macros: methods side by side",
                           {"ballast codesign map mobilenet_v2 --hw xr22-x8",
                            "ballast codesign map ppocr-rec --objective energy --json"});
  add_network_options(verb, *options);
  verb->add_option("--objective", options->objective, "latency or energy")->capture_default_str();
  verb->add_option("--method", options->methods, "npu, cim, rule, cut, cut+split, brute")->delimiter(',');
  verb.run([options](const cli::Common& common) { map_model(*options, common); });
}

void add_sweep(cli::Program& program) {
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("sweep", "how latency and energy change with one value of the device",
                   {"ballast codesign sweep mobilenet_v2 --hw xr22-x4 --set cim.count=0,1,2,4,8,16",
                    "ballast codesign sweep ppocr-rec --set npu.macs=64,128,256 --report sweep.html"});
  add_network_options(verb, *options);
  verb->add_option("--objective", options->objective, "latency or energy")->capture_default_str();
  verb->add_option("--set", options->set, "PATH=VALUE,VALUE,...")->required();
  verb.run([options](const cli::Common& common) { sweep(*options, common); });
}

}  // namespace ballast::codesign
