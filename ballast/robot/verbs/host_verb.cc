// `ballast robot component-host`: the nodes of a graph file in one process.
#include "ballast/robot/components/host.h"

#include "ballast/robot/trace/points.h"
#include "ballast/robot/verbs/verbs.h"

namespace ballast::robot {

void add_component_host(cli::Program& program) {
  struct Options {
    std::string graph, executor, tracer = "off";
    std::vector<std::string> nodes;
    bool no_intra = false, untuned = false;
  };
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("component-host", "runs the nodes of a graph file until SIGTERM",
                   {"ballast robot component-host --graph a1.yaml --domain 7",
                    "ballast robot component-host --graph a1.yaml --node /rectify --executor events"});
  const auto domain = add_domain_flags(verb);
  verb->add_option("--graph", options->graph, "graph file")->required();
  verb->add_option("--node", options->nodes, "only these nodes");
  verb->add_option("--executor", options->executor, "single, static, multi(N), prioritized or events");
  verb->add_option("--tracer", options->tracer, "off, internal or lttng");
  verb->add_flag("--no-intra-process", options->no_intra, "messages between the nodes go through DDS");
  verb->add_flag("--untuned", options->untuned, "Cyclone's own fragment and buffer sizes");
  verb.run([options, domain](const cli::Common&) {
    trace::select_backend(trace::backend_from_string(options->tracer));
    auto graph = read_graph(options->graph);
    if (!options->executor.empty()) graph.executor = options->executor;
    host_components(
        graph,
        {.context = domain->options(), .only_nodes = options->nodes, .intra_process = !options->no_intra});
  });
}

}  // namespace ballast::robot
