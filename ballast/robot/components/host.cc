#include "ballast/robot/components/host.h"

#include <signal.h>

#include <algorithm>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/robot/components/component.h"

namespace ballast::robot {

void host_components(const GraphSpec& graph, const HostOptions& options) {
  // Blocked before any thread starts, so that every thread inherits it and only the waiter below gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  ros::Context context(options.context);
  ros::Composition process(context, ros::ExecutorOptions::parse(graph.executor), options.intra_process);
  std::vector<std::unique_ptr<ros::Node>> nodes;
  std::vector<std::unique_ptr<Component>> components;
  for (const auto& spec : graph.nodes) {
    if (!options.only_nodes.empty() && std::find(options.only_nodes.begin(), options.only_nodes.end(),
                                                 spec.name) == options.only_nodes.end())
      continue;
    auto node = std::make_unique<ros::Node>(process, spec.name);
    node->remap(spec.remap);
    node->set_priority(spec.priority);
    components.push_back(make_component(spec.component, *node, spec.params));
    nodes.push_back(std::move(node));
  }
  if (nodes.empty()) throw InvalidInput("the graph has no node to host");
  std::thread waiter([&] {
    int signal = 0;
    ::sigwait(&signals, &signal);
    process.stop();
  });
  try {
    process.spin();
  } catch (...) {
    ::pthread_kill(waiter.native_handle(), SIGTERM);
    waiter.join();
    throw;
  }
  waiter.join();
  // Subscriptions call into components: they go first.
  for (auto& node : nodes) node.reset();
}

}  // namespace ballast::robot
