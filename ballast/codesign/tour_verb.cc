#include <fmt/format.h>

#include "ballast/codesign/model_source.h"
#include "ballast/codesign/network_figure.h"
#include "ballast/codesign/schedule.h"
#include "ballast/codesign/verbs.h"
#include "ballast/cost/gantt.h"

namespace ballast::codesign {

void add_tour(cli::Program& program) {
  program.tour("a network on an NPU beside compute-in-memory macros", [](const cli::Common&,
                                                                         Section& section) {
    section.title = "codesign: the right layer on the right device";
    section.uneven =
        "Layers differ a hundredfold in arithmetic intensity, and an NPU and a memory macro are good at "
        "opposite ones.";
    section.today = "Everything runs on the NPU, or a fixed rule sends all dense layers to the macros.";
    section.ballast =
        "A cost model of both devices and an exact placement (a minimum cut that pays for every tensor that "
        "moves), with "
        "layers divided where both devices can work.";
    const std::string real = try_ocr_model("ppocr-rec").empty() ? "mobilenet_v2" : "ppocr-rec";
    for (const std::string& name : std::vector<std::string>{"mobilenet_v2", real}) {
      const LoadedNet net = load_net(name, {});
      Table table(fmt::format("{} (modelled, schema seq)", name),
                  {"macros", "npu ms", "rule ms", "cut ms", "cut+split ms", "saving %", "energy saving %"});
      Chart chart{.title = name + ": latency by number of macros",
                  .x_label = "macros",
                  .y_label = "ms",
                  .basis = Basis::modelled};
      std::vector<Series> lines{
          {"npu only", {}, {}}, {"rule", {}, {}}, {"cut", {}, {}}, {"cut+split", {}, {}}};
      for (const int count : {1, 2, 4, 8, 16}) {
        const System system = load_system(fmt::format("xr22-x{}", count));
        System alone = system;
        alone.cim.count = 0;
        const Run npu = evaluate(net.graph, alone, Mapping(net.graph.nodes.size()));
        std::vector<Run> runs{npu};
        for (const MapOptions& options :
             {MapOptions{.method = Method::rule}, MapOptions{.method = Method::cut},
              MapOptions{.method = Method::cut, .split = true}}) {
          runs.push_back(evaluate(net.graph, system, map_network(net.graph, system, options)));
        }
        for (std::size_t i = 0; i < runs.size(); ++i) {
          lines[i].xs.push_back(count);
          lines[i].ys.push_back(runs[i].ms);
        }
        table.row({std::to_string(count), fmt::format("{:.3f}", npu.ms), fmt::format("{:.3f}", runs[1].ms),
                   fmt::format("{:.3f}", runs[2].ms), fmt::format("{:.3f}", runs[3].ms),
                   fmt::format("{:.1f}", 100 * (1 - runs[3].ms / npu.ms)),
                   fmt::format("{:.1f}", 100 * (1 - runs[3].energy.total_uj() / npu.energy.total_uj()))});
      }
      chart.series = lines;
      section.table(table).chart(chart);
      const System eight = load_system("xr22-x8");
      const Mapping placed = map_network(net.graph, eight, {.method = Method::cut, .split = true});
      const NetworkSchedule timeline =
          schedule_network(net.graph, eight, placed, schema_from_string("branch+prefetch+tile"));
      section.figure(network_figure(net.graph, placed, evaluate(net.graph, eight, placed),
                                    name + " on eight macros, operator by operator"));
      section.figure(cost::gantt(timeline.workload, timeline.schedule,
                                 {.title = "Its timeline, schema " + to_string(timeline.used)}));
      section.command(fmt::format("ballast codesign sweep {} --hw xr22-x4 --set cim.count=1,2,4,8,16", name));
      if (name == real) break;
    }
  });
}

}  // namespace ballast::codesign
