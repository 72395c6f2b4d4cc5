#include "ballast/robot/components/host.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/robot/components/component.h"

namespace ballast::robot {

void host_components(const GraphSpec& graph, const HostOptions& options) {
  cli::catch_interrupts();
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
  // Polled, because a signal handler may not wake a condition variable.
  std::atomic<bool> over{false};
  std::thread waiter([&] {
    while (!over && !cli::interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    process.stop();
  });
  struct Join {
    std::atomic<bool>& over;
    std::thread& thread;
    ~Join() {
      over = true;
      thread.join();
    }
  };
  {
    const Join join{over, waiter};
    process.spin();
  }
  // Subscriptions call into components: they go first.
  for (auto& node : nodes) node.reset();
}

}  // namespace ballast::robot
