#include "ballast/robot/trace/message_flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <optional>

namespace ballast::trace {
namespace {

using Handle = Ros2Model::Handle;

Handle handle(const Event& event, const std::string& field) {
  return {event.pid, event.value(field)};
}

std::string text_of(const Event& event, const std::string& field) {
  const auto found = event.texts.find(field);
  return found == event.texts.end() ? "" : found->second;
}

/// One run of a callback: what woke it and what it published.
struct Instance {
  Ros2Model::Endpoint where;
  std::int64_t publish_ns = 0, take_ns = 0, start_ns = 0, end_ns = 0;
  std::string from;                   ///< node of the publisher
  std::optional<std::size_t> parent;  ///< the callback that published
  std::size_t published = 0;          ///< publications inside
};

/// A publication, until and after it is taken.
struct Publication {
  Ros2Model::Endpoint where;
  std::int64_t time_ns = 0;
  std::optional<std::size_t> inside;  ///< the callback that it was made in
  std::size_t taken = 0;
};

/// What one thread is in the middle of.
struct ThreadState {
  std::optional<std::size_t> publication;  ///< the last publish on this thread: enqueues belong to it
  std::optional<std::size_t> cause;        ///< what the last take or dequeue brought
  std::int64_t take_ns = 0;
  Handle taken_for{};
  std::optional<std::size_t> running;
};

class Linker {
 public:
  explicit Linker(const Trace& trace) : model_(build_model(trace)) {
    for (const auto& event : trace.events) add(event);
  }

  MessageFlow result() {
    MessageFlow flow;
    flow.publications = publications_.size();
    flow.unlinked_callbacks = unlinked_;
    flow.overwritten = overwritten_;
    std::map<std::string, std::size_t> listened;
    for (const auto& [unused, endpoint] : model_.subscriptions_rmw) ++listened[endpoint.topic];
    for (const auto& publication : publications_)
      if (publication.taken == 0 && listened.contains(publication.where.topic))
        ++flow.not_taken[publication.where.topic];
    std::map<std::string, std::array<std::vector<std::int64_t>, 3>> parts;
    for (const auto& instance : instances_) {
      if (instance.end_ns == 0 || instance.publish_ns == 0) continue;
      auto& edge =
          parts[fmt::format("{} -> {} -> {}", instance.from, instance.where.topic, instance.where.node)];
      edge[0].push_back(instance.take_ns - instance.publish_ns);
      edge[1].push_back(instance.start_ns - instance.take_ns);
      edge[2].push_back(instance.end_ns - instance.start_ns);
      if (instance.published == 0) flow.paths.push_back(path_to(instance));
    }
    for (auto& [name, part] : parts)
      flow.edges[name] = {part[0].size(), robot::summarise(std::move(part[0])),
                          robot::summarise(std::move(part[1])), robot::summarise(std::move(part[2]))};
    return flow;
  }

 private:
  /// From the last callback back to the first publication. A hop ends where the next one's publication was
  /// made.
  FlowPath path_to(const Instance& last) const {
    FlowPath path;
    const Instance* at = &last;
    std::int64_t end = last.end_ns;
    for (;;) {
      path.hops.push_back(
          {at->where.topic, at->from, at->where.node, at->publish_ns, at->take_ns, at->start_ns, end});
      if (!at->parent || instances_[*at->parent].publish_ns == 0) break;
      end = at->publish_ns;
      at = &instances_[*at->parent];
    }
    std::reverse(path.hops.begin(), path.hops.end());
    return path;
  }

  void publish(const Event& event, const Ros2Model::Endpoint& where) {
    auto& thread = threads_[{event.pid, event.tid}];
    thread.publication = publications_.size();
    publications_.push_back({where, event.time_ns, thread.running});
    if (thread.running) ++instances_[*thread.running].published;
  }

  void add(const Event& event) {
    auto& thread = threads_[{event.pid, event.tid}];
    if (event.name == "ros2:rcl_publish" || event.name == "ros2:rclcpp_intra_publish") {
      const auto found = model_.publishers.find(handle(event, "publisher_handle"));
      if (found != model_.publishers.end()) publish(event, found->second);
    } else if (event.name == "ros2:rmw_publish") {
      const auto found = model_.publishers_rmw.find(handle(event, "rmw_publisher_handle"));
      if (found == model_.publishers_rmw.end()) return;
      if (!thread.publication || publications_[*thread.publication].where.topic != found->second.topic)
        publish(event, found->second);
      by_stamp_[{found->second.topic, event.value("timestamp")}] = *thread.publication;
    } else if (event.name == "ros2:rclcpp_ring_buffer_enqueue") {
      const auto found = model_.buffers.find(handle(event, "buffer"));
      if (found == model_.buffers.end()) return;
      auto& queue = queues_[found->first];
      if (event.value("overwritten") != 0 && !queue.empty()) {
        queue.pop_front();
        ++overwritten_[found->second.topic];
      }
      queue.push_back(thread.publication);
    } else if (event.name == "ros2:rclcpp_ring_buffer_dequeue") {
      auto& queue = queues_[handle(event, "buffer")];
      if (queue.empty()) return;
      thread.cause = queue.front();
      queue.pop_front();
      thread.take_ns = event.time_ns;
      thread.taken_for = handle(event, "buffer");
    } else if (event.name == "ros2:rmw_take") {
      if (event.value("taken", 1) == 0) return;
      thread.taken_for = handle(event, "rmw_subscription_handle");
      const auto where = model_.subscriptions_rmw.find(thread.taken_for);
      if (where == model_.subscriptions_rmw.end()) return;
      const auto found = by_stamp_.find({where->second.topic, event.value("source_timestamp")});
      thread.cause = found == by_stamp_.end() ? std::nullopt : std::optional(found->second);
      thread.take_ns = event.time_ns;
    } else if (event.name == "ros2:callback_start") {
      start(event, thread);
    } else if (event.name == "ros2:callback_end" && thread.running) {
      instances_[*thread.running].end_ns = event.time_ns;
      thread.running.reset();
      thread.publication.reset();
    }
  }

  void start(const Event& event, ThreadState& thread) {
    const auto callback = handle(event, "callback");
    Instance instance{.start_ns = event.time_ns};
    if (const auto found = model_.callbacks.find(callback); found != model_.callbacks.end()) {
      instance.where = found->second;
      if (thread.cause) {
        auto& publication = publications_[*thread.cause];
        ++publication.taken;
        instance.publish_ns = publication.time_ns;
        instance.take_ns = thread.take_ns;
        instance.from = publication.where.node;
        instance.parent = publication.inside;
      } else {
        ++unlinked_;
      }
    }
    thread.cause.reset();
    thread.publication.reset();
    thread.running = instances_.size();
    instances_.push_back(std::move(instance));
  }

  Ros2Model model_;
  std::vector<Instance> instances_;
  std::vector<Publication> publications_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, ThreadState> threads_;
  std::map<std::pair<std::string, std::uint64_t>, std::size_t> by_stamp_;
  std::map<Handle, std::deque<std::optional<std::size_t>>>
      queues_;  ///< empty: published by what is not traced
  std::map<std::string, std::size_t> overwritten_;
  std::size_t unlinked_ = 0;
};

Json short_summary(const robot::LatencySummary& summary) {
  return {{"median_ms", summary.median_ms}, {"p99_ms", summary.p99_ms}, {"max_ms", summary.max_ms}};
}

}  // namespace

Ros2Model build_model(const Trace& trace) {
  Ros2Model model;
  std::map<Handle, Ros2Model::Endpoint> subscriptions;  // by rcl's handle
  std::map<Handle, Handle> of_subscription;             // rclcpp's subscription -> rcl's handle
  std::map<Handle, std::int64_t> timers;
  std::map<Handle, std::string> services;
  for (const auto& event : trace.events) {
    if (event.name == "ros2:rcl_node_init") {
      const std::string space = text_of(event, "namespace"), name = text_of(event, "node_name");
      model.nodes[handle(event, "node_handle")] = (space == "/" ? "" : space) + "/" + name;
    } else if (event.name == "ros2:rcl_publisher_init" || event.name == "ros2:rcl_subscription_init") {
      const auto node = model.nodes.find(handle(event, "node_handle"));
      const Ros2Model::Endpoint endpoint{node == model.nodes.end() ? "" : node->second,
                                         text_of(event, "topic_name"), event.value("queue_depth")};
      if (event.name == "ros2:rcl_publisher_init") {
        model.publishers[handle(event, "publisher_handle")] = endpoint;
        model.publishers_rmw[handle(event, "rmw_publisher_handle")] = endpoint;
      } else {
        subscriptions[handle(event, "subscription_handle")] = endpoint;
        model.subscriptions_rmw[handle(event, "rmw_subscription_handle")] = endpoint;
      }
    } else if (event.name == "ros2:rclcpp_subscription_init") {
      of_subscription[handle(event, "subscription")] = handle(event, "subscription_handle");
    } else if (event.name == "ros2:rclcpp_subscription_callback_added") {
      const auto of = of_subscription.find(handle(event, "subscription"));
      if (of == of_subscription.end() || !subscriptions.contains(of->second)) continue;
      model.callbacks[handle(event, "callback")] = subscriptions[of->second];
      model.buffers[handle(event, "subscription")] = subscriptions[of->second];
    } else if (event.name == "ros2:rclcpp_ipb_to_subscription") {
      const auto of = of_subscription.find(handle(event, "subscription"));
      if (of != of_subscription.end()) model.buffers[handle(event, "ipb")] = subscriptions[of->second];
    } else if (event.name == "ros2:rclcpp_buffer_to_ipb") {
      const auto found = model.buffers.find(handle(event, "ipb"));
      if (found != model.buffers.end()) model.buffers[handle(event, "buffer")] = found->second;
    } else if (event.name == "ros2:rcl_timer_init") {
      timers[handle(event, "timer_handle")] = static_cast<std::int64_t>(event.value("period"));
    } else if (event.name == "ros2:rclcpp_timer_callback_added") {
      model.timer_callbacks[handle(event, "callback")] = timers[handle(event, "timer_handle")];
    } else if (event.name == "ros2:rcl_service_init") {
      services[handle(event, "service_handle")] = text_of(event, "service_name");
    } else if (event.name == "ros2:rclcpp_service_callback_added") {
      model.services[handle(event, "callback")] = services[handle(event, "service_handle")];
    }
  }
  return model;
}

MessageFlow analyse_flow(const Trace& trace) {
  return Linker(trace).result();
}

Json to_json(const MessageFlow& flow) {
  struct Group {
    std::vector<std::int64_t> totals;
    std::int64_t transport = 0, waiting = 0, execution = 0;
  };
  std::map<std::string, Group> groups;
  for (const auto& path : flow.paths) {
    std::string name = path.hops.front().from;
    for (const auto& hop : path.hops) name += " > " + hop.to;
    auto& group = groups[name];
    group.totals.push_back(path.total_ns());
    for (const auto& hop : path.hops) {
      group.transport += hop.take_ns - hop.publish_ns;
      group.waiting += hop.start_ns - hop.take_ns;
      group.execution += hop.end_ns - hop.start_ns;
    }
  }
  Json document{{"publications", flow.publications},
                {"unlinked_callbacks", flow.unlinked_callbacks},
                {"overwritten", flow.overwritten},
                {"not_taken", flow.not_taken},
                {"paths", Json::array()},
                {"edges", Json::array()},
                {"critical_path", nullptr}};
  double slowest = -1;
  for (auto& [name, group] : groups) {
    const double sum =
        static_cast<double>(std::max<std::int64_t>(1, group.transport + group.waiting + group.execution));
    const auto count = group.totals.size();
    const auto total = robot::summarise(std::move(group.totals));
    if (total.median_ms > slowest) {
      slowest = total.median_ms;
      document["critical_path"] = name;
    }
    document["paths"].push_back({{"nodes", name},
                                 {"messages", count},
                                 {"total", short_summary(total)},
                                 {"transport_share", static_cast<double>(group.transport) / sum},
                                 {"waiting_share", static_cast<double>(group.waiting) / sum},
                                 {"execution_share", static_cast<double>(group.execution) / sum}});
  }
  for (const auto& [name, edge] : flow.edges)
    document["edges"].push_back({{"edge", name},
                                 {"messages", edge.messages},
                                 {"transport", short_summary(edge.transport)},
                                 {"waiting", short_summary(edge.waiting)},
                                 {"execution", short_summary(edge.execution)}});
  return document;
}

}  // namespace ballast::trace
