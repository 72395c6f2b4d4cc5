#include "ballast/codesign/bench_costs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/statistics.h"
#include "ballast/codesign/calibrate.h"
#include "ballast/codesign/mapping_list.h"
#include "ballast/codesign/measure.h"
#include "ballast/codesign/nets.h"
#include "ballast/codesign/plan.h"
#include "ballast/codesign/schedule.h"
#include "ballast/codesign/search_problem.h"

namespace ballast::codesign {
namespace {

System alone(System system) {
  system.cim.count = 0;
  return system;
}

double volume(const SearchResult& found, const Point& reference) {
  std::vector<Point> points;
  for (const auto& c : found.front) points.push_back(c.objectives);
  return hypervolume(points, reference);
}

}  // namespace

void schema_rows(Bench& bench) {
  const Graph graph = mobilenet_v2();
  const System system = load_system("xr22-x8");
  const Mapping npu(graph.nodes.size());
  const Mapping split = map_network(graph, system, {.method = Method::cut, .split = true});
  for (const char* word : {"seq", "branch", "prefetch", "branch+prefetch", "branch+prefetch+tile",
                           "branch+prefetch+tile+frame"}) {
    const Schema schema = schema_from_string(word);
    const double base = schedule_network(graph, alone(system), npu, schema).frame_ms;
    // More overlap may prefer layers whole on one device, so both placements are tried.
    double ours = 1e300;
    for (const Mapping& mapping : {split, map_network(graph, system, {.method = Method::cut})})
      ours = std::min(ours, schedule_network(graph, system, mapping, schema).frame_ms);
    bench.add(
        {.id = fmt::format("schema.mobilenet_v2.{}", to_string(schema)),
         .what = "latency (frame: time a frame) saved over the NPU alone with the same overlaps, xr22-x8",
         .unit = "%",
         .ours = 100 * (1 - ours / base),
         .better = Better::higher,
         .target = schema.frames == 1 && schema.tiles > 1 ? std::optional(50.0) : std::nullopt,
         .basis = Basis::modelled,
         .note = fmt::format("{:.3f} ms against {:.3f} ms", ours, base)});
  }
  // The same silicon spent on multipliers instead of macros.
  for (const char* name : {"mobilenet_v2", "alphanet-a0"}) {
    const Graph net = make_net(name);
    System larger = alone(system);
    while (area_mm2(larger) < area_mm2(system) && larger.npu.macs < 2048)
      apply_setting(larger, "npu.macs", std::to_string(larger.npu.macs * 2));
    const Run bigger = evaluate(net, larger, Mapping(net.nodes.size()));
    const Run ours = evaluate(net, system, map_network(net, system, {.method = Method::cut, .split = true}));
    bench.add({.id = fmt::format("iso-area.{}", name),
               .what = "latency saved over an NPU without macros of at least the same area",
               .unit = "%",
               .ours = 100 * (1 - ours.ms / bigger.ms),
               .better = Better::higher,
               .basis = Basis::modelled,
               .note = fmt::format("{} MACs, {:.2f} mm2 against {:.2f} mm2; energy {:+.0f} %",
                                   larger.npu.macs, area_mm2(larger), area_mm2(system),
                                   100 * (ours.energy.total_uj() / bigger.energy.total_uj() - 1))});
  }
}

void mapper_rows(Bench& bench) {
  const Graph graph = mobilenet_v2();
  const System system = load_system("xr22-x8");
  double split_ms = 0, whole_ms = 0, gap = 0;
  const double seconds = time_of([&] {
    const IlpResult found = ilp_mapping(graph, system, {.split = true});
    split_ms = evaluate(graph, system, found.mapping).ms;
    gap = found.gap;
  });
  bench.add(
      {.id = "speed.ilp",
       .what = fmt::format("integer program of MobileNetV2's {} operators with splits", graph.nodes.size()),
       .unit = "s",
       .ours = seconds,
       .better = Better::lower,
       .target = 10,
       .note = fmt::format("{:.3f} ms (modelled), gap {:.1f} %", split_ms, 100 * gap)});
  whole_ms = evaluate(graph, system, map_network(graph, system, {.method = Method::cut, .split = true})).ms;
  bench.add({.id = "mapping.greedy-splits",
             .what = "one greedy pass of splits after the cut, over the integer program's latency",
             .unit = "%",
             .ours = 100 * (whole_ms / split_ms - 1),
             .better = Better::lower,
             .basis = Basis::modelled,
             .note = "below zero: eighths against the program's quarters"});
}

void search_rows(Bench& bench, int evaluations) {
  const Space space = load_space("h4h-28");
  {
    BlockCosts costs(space, load_system("xr22-x4"));
    Random random(1);
    std::vector<Genotype> drawn;
    for (int i = 0; i < 20000; ++i) drawn.push_back(sample(space, random, Blocks::hybrid));
    for (const auto& g : drawn) costs(g);  // fills the cache, as a search does in its first seconds
    double sum = 0;
    const double seconds = time_of([&] {
      for (const auto& g : drawn) sum += costs(g).ms;
    });
    bench.add({.id = "speed.additive",
               .what = "networks scored a second and core, additive costs",
               .unit = "1/s",
               .ours = sum > 0 ? static_cast<double>(drawn.size()) / seconds : 0,
               .better = Better::higher,
               .target = 20000,
               .note = fmt::format("{} different blocks", costs.blocks())});
  }
  // A cost-only study: much arithmetic (the stand-in that needs no training; not an accuracy) in little time
  // and area.
  const System base = load_system("xr22-x4");
  ProblemOptions both;
  both.goals.objectives = {"latency", "energy", "area"};
  both.genes = {parse_hardware_gene("cim.count=0,1,2,4,8,16"), parse_hardware_gene("npu.macs=64,128,256,512"),
                parse_hardware_gene("memories.sram.bytes=256KiB,512KiB,1MiB"),
                parse_hardware_gene("cim.bank_depth=1,4,8")};
  const Space large = load_space("h4h-224");
  ProblemOptions network_only = both, hardware_only = both;
  network_only.genes.clear();
  Random random(2);
  hardware_only.fixed = sample(large, random, Blocks::hybrid);
  const SearchOptions budget{.population = 40, .evaluations = evaluations, .seed = 3};
  const auto joint = search(network_problem(large, base, both), budget);
  const auto nets = search(network_problem(large, base, network_only), budget);
  const auto devices = search(network_problem(large, base, hardware_only), budget);
  Point reference(3, 0);
  for (const auto* result : {&joint, &nets, &devices}) {
    for (const auto& c : result->front) {
      for (std::size_t d = 0; d < 3; ++d) reference[d] = std::max(reference[d], c.objectives[d] * 1.01);
    }
  }
  const double single = std::max(volume(nets, reference), volume(devices, reference));
  bench.add({.id = "search.joint",
             .what = "hypervolume of latency, energy and area: network and device together over the better "
                     "of one alone",
             .unit = "x",
             .ours = volume(joint, reference) / single,
             .better = Better::higher,
             .target = 1.1,
             .basis = Basis::modelled,
             .note = fmt::format(
                 "h4h-224, {} scored each; costs only, so small networks win: no statement on accuracy",
                 evaluations)});
}

void host_rows(Bench& bench, int networks, std::uint64_t seed) {
  const Space space = load_space("h4h-28");
  Random random(seed, 0x686f7374u);
  std::vector<Graph> graphs;
  for (int i = 0; i < networks; ++i) graphs.push_back(to_graph(space, sample(space, random, Blocks::hybrid)));
  const CostTable table = CostTable::parse(measure_host(graphs, 11), "measured");
  const CalibrationReport report = calibrate(table, load_system("host"), seed);
  bench.add({.id = "host.layers",
             .what = "operators on this processor: error of calibrated formulas on the held-out fifth",
             .unit = "%",
             .ours = report.mape,
             .better = Better::lower,
             .target = 15,
             .note = fmt::format("{} fitted, {} held out", report.fitted, report.held_out)});
  bench.add({.id = "host.spearman",
             .what = "rank correlation of foretold and measured operators",
             .unit = "",
             .ours = report.spearman,
             .better = Better::higher,
             .target = 0.95,
             .note = fmt::format("R2 {:.3f}", report.r2)});
  // Networks that gave no rows: the sum of their operators, measured one by one, against the foretold sum.
  System fitted = load_system("host");
  fitted.calibration = report.factors;
  std::vector<double> errors;
  for (int i = 0; i < 5; ++i) {
    const Graph graph = to_graph(space, sample(space, random, Blocks::hybrid));
    double told = 0, took = 0;
    for (const auto& node : graph.nodes) {
      const Timing timing = time_operator(node, 7);
      if (timing.runs == 0) continue;
      took += timing.median_us;
      told += cost_on(node, Device::npu, fitted, 1).cycles / fitted.clock_mhz;
    }
    errors.push_back(100 * std::abs(told / took - 1));
  }
  bench.add({.id = "host.networks",
             .what = "whole networks on this processor: error of the foretold sum of operators, mean of five",
             .unit = "%",
             .ours = mean(errors),
             .better = Better::lower,
             .target = 10,
             .note = "operators timed one by one"});
}

}  // namespace ballast::codesign
