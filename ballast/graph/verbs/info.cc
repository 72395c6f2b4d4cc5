#include <fmt/format.h>

#include "ballast/base/table.h"
#include "ballast/graph/verbs/input.h"
#include "ballast/graph/verbs/verbs.h"

namespace ballast::graph {

void add_info(cli::Program& program) {
  auto options = std::make_shared<InputOptions>();
  auto verb = program.verb(
      "info", "read a graph and say how uneven it is",
      {"ballast graph info collection:email-Enron", "ballast graph info soc.el.zst --undirected --json"});
  add_input(verb.app(), *options);
  verb.run([options](const cli::Common& common) {
    const EdgeList list = open_graph(*options, common.seed);
    const GraphFacts facts = facts_of(list);
    const Json json{{"graph", options->graph},
                    {"directed", list.directed},
                    {"weighted", list.weighted()},
                    {"vertices", facts.vertices},
                    {"edges", facts.edges},
                    {"mean_out_degree", facts.mean_degree},
                    {"max_out_degree", facts.max_out_degree},
                    {"max_in_degree", facts.max_in_degree},
                    {"edge_ends_of_top_1_percent", facts.top_percent_share},
                    {"self_loops", facts.loops},
                    {"duplicate_edges", facts.duplicates},
                    {"isolated_vertices", facts.isolated},
                    {"sinks", facts.sinks},
                    {"weak_components", facts.components},
                    {"largest_component", facts.largest_component}};
    Table table(options->graph, {"fact", "value"});
    for (const auto& [key, value] : json.items()) {
      if (key == "graph") continue;
      std::string name = key;
      std::replace(name.begin(), name.end(), '_', ' ');
      table.row({name, value.is_number_float() ? fmt::format("{:.4g}", value.get<double>()) : value.dump()});
    }
    if (common.for_people()) table.print(stdout);
    common.write_json(json);
    if (!common.report_file.empty()) {
      Report report("Graph " + options->graph);
      report.section("info").table(table).command(common.command_line);
      common.write_report(report);
    }
  });
}

}  // namespace ballast::graph
