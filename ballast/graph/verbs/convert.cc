#include <fmt/format.h>

#include "ballast/base/table.h"
#include "ballast/graph/formats/format.h"
#include "ballast/graph/verbs/input.h"
#include "ballast/graph/verbs/verbs.h"

namespace ballast::graph {
namespace {

struct ConvertOptions {
  InputOptions input;
  std::string output, format;
};

std::string format_list() {
  std::string text = "Formats (r: read, w: written; .gz and .zst are unpacked):\n";
  for (const auto& format : formats())
    text += fmt::format("  {:<10} {:<12} r{} {}\n", format.name, format.extension, format.write ? "w" : " ",
                        format.summary);
  return text;
}

}  // namespace

void add_convert(cli::Program& program) {
  auto options = std::make_shared<ConvertOptions>();
  auto verb = program.verb(
      "convert", "read a graph in one format and write it in another",
      {"ballast graph convert soc.gt.gz soc.bgr", "ballast graph convert road.gr road.wel --dedup"});
  add_input(verb.app(), options->input);
  verb->add_option("OUTPUT", options->output, "graph file to write")->required();
  verb->add_option("--output-format", options->format, "its format in place of its ending");
  verb->footer(verb->get_footer() + "\n" + format_list());
  verb.run([options](const cli::Common& common) {
    format_of(options->output, options->format);
    const EdgeList list = open_graph(options->input, common.seed);
    write_graph(list, options->output, options->format);
    if (common.for_people())
      fmt::print("{}: {} vertices, {} {} edges{}\n", options->output, list.vertices, list.edges.size(),
                 list.directed ? "directed" : "undirected", list.weighted() ? " with weights" : "");
    common.write_json({{"file", options->output},
                       {"vertices", list.vertices},
                       {"edges", list.edges.size()},
                       {"directed", list.directed},
                       {"weighted", list.weighted()}});
  });
}

}  // namespace ballast::graph
