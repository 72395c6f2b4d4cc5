// `ballast robot component-host`: the nodes of a graph file in one process.
#include "ballast/robot/components/host.h"

#include "ballast/base/file.h"
#include "ballast/robot/peers/fast_dds.h"
#include "ballast/robot/trace/event.h"
#include "ballast/robot/trace/points.h"
#include "ballast/robot/verbs/verbs.h"

namespace ballast::robot {

void add_component_host(cli::Program& program) {
  struct Options {
    std::string graph, executor, tracer = "off", trace_out;
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
  verb->add_option("--trace-out", options->trace_out, "where the internal tracer's events go at the end");
  verb->add_flag("--no-intra-process", options->no_intra, "messages between the nodes go through DDS");
  verb->add_flag("--untuned", options->untuned, "Cyclone's own fragment and buffer sizes");
  verb.run([options, domain](const cli::Common&) {
    trace::select_backend(trace::backend_from_string(options->tracer));
    auto graph = read_graph(options->graph);
    if (!options->executor.empty()) graph.executor = options->executor;
    auto context = domain->options();
    context.tuning.large_messages = !options->untuned;
    host_components(graph,
                    {.context = context, .only_nodes = options->nodes, .intra_process = !options->no_intra});
    if (!options->trace_out.empty())
      write_file(options->trace_out, trace::to_text(trace::collect_internal()));
  });

  auto echo = program.verb("fast-echo", "the other end of a Fast DDS ping (started by bench)",
                           {"ballast robot fast-echo --domain 7", "ballast robot bench --suite floor"});
  const auto echo_domain = add_domain_flags(echo);
  echo.run([echo_domain](const cli::Common&) { fast_echo(echo_domain->options().domain_id); });
}

}  // namespace ballast::robot
