// `ballast robot graph`: what is on the domain.
#include <fmt/format.h>

#include <thread>

#include "ballast/robot/verbs/verbs.h"
#include "ballast/robot/wire/graph_cache.h"

namespace ballast::robot {
namespace {

void print_graph(const ros::Graph& graph) {
  Table nodes(fmt::format("{} participants, {} nodes", graph.participants.size(), graph.nodes.size()),
              {"node", "publishes", "subscribes"});
  for (const auto& name : graph.nodes) {
    std::string out, in;
    for (const auto& endpoint : graph.endpoints)
      if (endpoint.node == name)
        (endpoint.writer ? out : in) += (out.empty() && in.empty() ? "" : " ") + endpoint.name;
    nodes.row({name, out, in});
  }
  nodes.print(stdout);
  Table topics("endpoints", {"topic", "role", "type", "QoS", "node", "vendor", "type hash"});
  for (const auto& endpoint : graph.endpoints) {
    if (endpoint.kind == ros::NameKind::plain) continue;
    topics.row({endpoint.name, endpoint.writer ? "pub" : "sub", endpoint.type, to_string(endpoint.qos),
                endpoint.node, ros::vendor_name(endpoint.guid),
                endpoint.type_hash.empty() ? "-" : endpoint.type_hash.substr(0, 15)});
  }
  topics.print(stdout);
}

}  // namespace

void add_graph(cli::Program& program) {
  struct Options {
    double seconds = 1;
    bool watch = false;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb("graph", "nodes, topics, types, QoS and type hashes on the domain",
                           {"ballast robot graph --domain 7", "ballast robot graph --watch --json"});
  const auto domain = add_domain_flags(verb);
  verb->add_option("--seconds", options->seconds, "how long to listen for discovery")
      ->check(CLI::Range(0.1, 3600.0));
  verb->add_flag("--watch", options->watch, "go on until Ctrl-C, printing every change");
  verb.run([options, domain](const cli::Common& common) {
    cli::catch_interrupts();
    auto context_options = domain->options();
    context_options.announce_nodes = false;
    ros::Context context(context_options);
    ros::GraphCache cache(context);
    std::string last;
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(options->seconds);
    for (;;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      const bool over = options->watch ? cli::interrupted() : std::chrono::steady_clock::now() >= until;
      const auto graph = cache.snapshot();
      const Json document = graph.to_json();
      if ((options->watch || over) && document.dump() != last) {
        last = document.dump();
        if (common.for_people()) print_graph(graph);
        common.write_json(document);
      }
      if (over) return;
      if (!options->watch) cli::stop_if_interrupted();
    }
  });
}

}  // namespace ballast::robot
