// compare and sweep: one network on several devices, and on one whose values change.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/codesign/mapping.h"
#include "ballast/codesign/model_source.h"
#include "ballast/codesign/verbs.h"

namespace ballast::codesign {
namespace {

struct Options : NetworkOptions {
  std::string objective = "latency", set;
  std::vector<std::string> devices;
};

Objective objective_from(const std::string& word) {
  cli::require_one_of("--objective", word, {"latency", "energy"});
  return word == "latency" ? Objective::latency : Objective::energy;
}

std::string saving(double value, double base) {
  return fmt::format("{:+.1f}", 100 * (value / base - 1));
}

void compare(const Options& options, const cli::Common& common) {
  const LoadedNet net = load_net(options.model, options.input_shapes);
  Table table(fmt::format("{}, placed by cut+split on each device (modelled, schema seq)", options.model),
              {"device", "mm2", "npu ms", "ms", "against npu %", "npu uJ", "uJ", "against npu %", "TOPS/W"});
  Json rows = Json::array();
  for (const auto& word : options.devices) {
    const System system = load_system(word);
    System alone = system;
    alone.cim.count = 0;
    const Run npu = evaluate(net.graph, alone, Mapping(net.graph.nodes.size()));
    const Run best = evaluate(
        net.graph, system,
        map_network(net.graph, system,
                    {.method = Method::cut, .objective = objective_from(options.objective), .split = true}));
    const double tops = 2 * static_cast<double>(net.graph.macs()) / best.energy.total_uj() * 1e-6;
    table.row({system.name, fmt::format("{:.2f}", area_mm2(system)), fmt::format("{:.3f}", npu.ms),
               fmt::format("{:.3f}", best.ms), saving(best.ms, npu.ms),
               fmt::format("{:.1f}", npu.energy.total_uj()), fmt::format("{:.1f}", best.energy.total_uj()),
               saving(best.energy.total_uj(), npu.energy.total_uj()), fmt::format("{:.2f}", tops)});
    rows.push_back({{"device", system.name},
                    {"area_mm2", area_mm2(system)},
                    {"npu_ms", npu.ms},
                    {"ms", best.ms},
                    {"npu_uj", npu.energy.total_uj()},
                    {"energy_uj", best.energy.total_uj()}});
  }
  if (common.for_people()) table.print(stdout);
  common.write_json({{"schema", "ballast.codesign.compare/1"},
                     {"model", options.model},
                     {"basis", "modelled"},
                     {"devices", rows}});
  Report report("Devices for " + options.model);
  report.section("codesign compare").table(table).command(common.command_line);
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

void add_compare(cli::Program& program) {
  auto options = std::make_shared<Options>();
  options->devices = {"npu-only", "xr22-x4", "xr22-x8", "diana-like", "siracusa-like"};
  auto verb =
      program.verb("compare", "one network on several devices side by side",
                   {"ballast codesign compare mobilenet_v2 --hw xr22-x4 xr22-x8 diana-like",
                    "ballast codesign compare model.onnx --input-shape x:1x3x224x224 --hw a.yaml b.yaml"});
  verb->add_option("model", options->model, "an .onnx file or a network by name")->required();
  verb->add_option("--hw", options->devices, "presets or .yaml files");
  verb->add_option("--input-shape", options->input_shapes,
                   "NAME:1x3x224x224, where the file leaves dimensions open");
  verb->add_option("--objective", options->objective, "latency or energy")->capture_default_str();
  verb.run([options](const cli::Common& common) { compare(*options, common); });
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
