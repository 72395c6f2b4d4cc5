// The figures of the chapter that need no training: anchors, savings, speed. All costs are modelled.
#include <fmt/format.h>

#include <cmath>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/codesign/bench_costs.h"
#include "ballast/codesign/bench_networks.h"
#include "ballast/codesign/model_source.h"
#include "ballast/codesign/nets.h"
#include "ballast/codesign/schedule.h"
#include "ballast/codesign/verbs.h"

namespace ballast::codesign {
namespace {

Run npu_run(const Graph& graph, System system) {
  system.cim.count = 0;
  return evaluate(graph, system, Mapping(graph.nodes.size()));
}

void anchors(Bench& bench) {
  for (const auto& net : alphanets()) {
    const double mmacs = static_cast<double>(alphanet(net).macs()) / 1e6;
    bench.add({.id = "nets.macs." + net.name,
               .what = "multiply-accumulates against the published count",
               .unit = "%",
               .ours = 100 * std::abs(mmacs / net.published_mmacs - 1),
               .better = Better::lower,
               .target = 0.5,
               .basis = Basis::counted,
               .note = fmt::format("{:.1f} MMAC, published {:.0f}", mmacs, net.published_mmacs)});
  }
  const double cycles = npu_run(mobilenet_v2(), load_system("u55-128")).cycles / 1e6;
  bench.add({.id = "npu.u55-128",
             .what = "MobileNetV2-224 against the public 5.5 M cycles of Arm's simulator",
             .unit = "%",
             .ours = 100 * std::abs(cycles / 5.5 - 1),
             .better = Better::lower,
             .target = 10,
             .basis = Basis::modelled,
             .note = fmt::format("{:.2f} M cycles", cycles)});
}

void savings(Bench& bench) {
  const std::vector<std::string> nets = {"mobilenet_v2", "alphanet-a0", "ppocr-cls", "ppocr-rec"};
  for (const auto& name : nets) {
    if (name.starts_with("ppocr") && try_ocr_model(name).empty()) {
      bench.add({.id = "saving.latency." + name,
                 .what = "not installed: run setup/setup.sh",
                 .unit = "%",
                 .basis = Basis::modelled,
                 .note = {}});
      continue;
    }
    const Graph graph = load_net(name, {}).graph;
    double best_energy = 0;
    std::string best_at;
    for (const char* hardware : {"xr22-x1", "xr22-x2", "xr22-x4", "xr22-x8", "xr22-x16"}) {
      const System system = load_system(hardware);
      const Run npu = npu_run(graph, system);
      const Run cut = evaluate(graph, system, map_network(graph, system, {.method = Method::cut}));
      const Run split =
          evaluate(graph, system, map_network(graph, system, {.method = Method::cut, .split = true}));
      bench.add({.id = fmt::format("saving.latency.{}.{}", name, hardware),
                 .what = "latency saved over NPU only, same network, seq+split",
                 .unit = "%",
                 .ours = 100 * (1 - split.ms / npu.ms),
                 .better = Better::higher,
                 .target = name == nets[0] && std::string(hardware) == "xr22-x8" ? std::optional(50.0)
                                                                                 : std::nullopt,
                 .basis = Basis::modelled,
                 .note = fmt::format("seq alone {:.1f} %", 100 * (1 - cut.ms / npu.ms))});
      const Run frugal = evaluate(
          graph, system, map_network(graph, system, {.method = Method::cut, .objective = Objective::energy}));
      const double saved = 100 * (1 - frugal.energy.total_uj() / npu.energy.total_uj());
      if (saved > best_energy) {
        best_energy = saved;
        best_at = hardware;
      }
    }
    bench.add({.id = "saving.energy." + name,
               .what = "energy saved over NPU only at the best number of macros",
               .unit = "%",
               .ours = best_energy,
               .better = Better::higher,
               .target = name == nets[0] ? std::optional(40.0) : std::nullopt,
               .basis = Basis::modelled,
               .note = "at " + best_at});
  }
}

void speed(Bench& bench) {
  const Graph graph = mobilenet_v2();
  const System system = load_system("xr22-x8");
  const auto timing = interleave(
      {{"cut", [&] { return time_of([&] { map_network(graph, system, {.method = Method::cut}); }) * 1e3; }}},
      {.rounds = 9});
  bench.add({.id = "speed.cut",
             .what = "exact placement of MobileNetV2's operators",
             .unit = "ms",
             .better = Better::lower,
             .target = 10'000,
             .note = "target is the specification's limit for 60 nodes",
             .comparison = timing,
             .ours_name = "cut"});
  const std::string path = try_ocr_model("ppocr-rec");
  if (path.empty()) return;
  const auto import = interleave({{"estimate",
                                   [&] {
                                     return time_of([&] {
                                              const Graph g = load_net("ppocr-rec", {}).graph;
                                              evaluate(g, system, Mapping(g.nodes.size()));
                                            }) *
                                            1e3;
                                   }}},
                                 {.rounds = 7});
  bench.add({.id = "speed.estimate",
             .what = "import, fuse and cost the 440-operator recogniser",
             .unit = "ms",
             .better = Better::lower,
             .target = 50,
             .note = {},
             .comparison = import,
             .ours_name = "estimate"});
}

}  // namespace

namespace {

struct BenchFlags {
  bool quick = false;
  std::string suite = "all", folder = "codesign-accuracy";
  double minutes = 15;
};

void run_bench(const BenchFlags& flags, const cli::Common& common) {
  cli::require_one_of("--suite", flags.suite, {"all", "cost", "search", "host", "networks", "accuracy"});
  if (!(flags.minutes > 0))
    throw InvalidInput("--minutes", fmt::format("{}", flags.minutes), "a time above 0");
  const auto wanted = [&](const char* suite) { return flags.suite == "all" || flags.suite == suite; };
  Bench bench("codesign", flags.suite, common);
  if (wanted("cost")) {
    anchors(bench);
    savings(bench);
    schema_rows(bench);
    mapper_rows(bench);
    speed(bench);
  }
  if (wanted("search")) search_rows(bench, flags.quick ? 600 : 3000);
  if (wanted("host")) host_rows(bench, flags.quick ? 12 : 40, common.seed);
  if (wanted("networks"))
    network_rows(bench, flags.quick ? 0.7 : flags.minutes, flags.quick ? 24 : 200, common.seed);
  if (flags.suite == "accuracy") accuracy_rows(bench, flags.minutes, flags.folder);
  bench.finish();
}

}  // namespace

void add_bench(cli::Program& program) {
  auto flags = std::make_shared<BenchFlags>();
  auto verb = program.verb(
      "bench", "the figures of the chapter",
      {"ballast codesign bench --quick", "ballast codesign bench --suite accuracy --minutes 15"});
  verb->add_flag("--quick", flags->quick, "smaller runs: under three minutes");
  verb->add_option("--suite", flags->suite,
                   "all, cost, search, host, networks; accuracy (hours) only by name")
      ->capture_default_str();
  verb->add_option("--minutes", flags->minutes, "of training a network")->capture_default_str();
  verb->add_option("--folder", flags->folder, "where the suite accuracy keeps finished runs")
      ->capture_default_str();
  verb.run([flags](const cli::Common& common) { run_bench(*flags, common); });
}

}  // namespace ballast::codesign
