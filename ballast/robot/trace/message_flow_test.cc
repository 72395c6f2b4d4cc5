// Message flow of made-up traces with known answers, and of a running composition.
#include "ballast/robot/trace/message_flow.h"

#include <gtest/gtest.h>

#include "ballast/robot/node/node.h"
#include "ballast/robot/trace/points.h"

namespace ballast::trace {
namespace {

Event event(std::int64_t time, std::uint64_t tid, const std::string& name,
            std::map<std::string, std::uint64_t> values, std::map<std::string, std::string> texts = {}) {
  return {"ros2:" + name, time, 1, tid, std::move(values), std::move(texts)};
}

/// camera -(/a)-> filter -(/b)-> sink, over DDS: handles 10x publishers, 20x subscriptions, 30x callbacks.
Trace three_nodes() {
  Trace trace;
  const auto node = [&](std::uint64_t handle, const std::string& name) {
    trace.events.push_back(
        event(0, 1, "rcl_node_init", {{"node_handle", handle}}, {{"namespace", "/"}, {"node_name", name}}));
  };
  const auto publisher = [&](std::uint64_t handle, std::uint64_t owner, const std::string& topic) {
    trace.events.push_back(
        event(0, 1, "rcl_publisher_init",
              {{"publisher_handle", handle}, {"node_handle", owner}, {"rmw_publisher_handle", handle}},
              {{"topic_name", topic}}));
  };
  const auto subscription = [&](std::uint64_t handle, std::uint64_t owner, const std::string& topic) {
    trace.events.push_back(
        event(0, 1, "rcl_subscription_init",
              {{"subscription_handle", handle}, {"node_handle", owner}, {"rmw_subscription_handle", handle}},
              {{"topic_name", topic}}));
    trace.events.push_back(event(0, 1, "rclcpp_subscription_init",
                                 {{"subscription_handle", handle}, {"subscription", handle + 50}}));
    trace.events.push_back(event(0, 1, "rclcpp_subscription_callback_added",
                                 {{"subscription", handle + 50}, {"callback", handle + 100}}));
  };
  node(1, "camera");
  node(2, "filter");
  node(3, "sink");
  publisher(101, 1, "/a");
  publisher(102, 2, "/b");
  subscription(201, 2, "/a");
  subscription(202, 3, "/b");
  return trace;
}

void pass(Trace& trace, std::int64_t start, std::uint64_t stamp, bool taken_by_sink) {
  auto& e = trace.events;
  e.push_back(event(start, 7, "rcl_publish", {{"publisher_handle", 101}, {"message", 5}}));
  e.push_back(event(start + 1, 7, "rmw_publish",
                    {{"rmw_publisher_handle", 101}, {"message", 5}, {"timestamp", stamp}}));
  e.push_back(
      event(start + 10, 8, "rmw_take",
            {{"rmw_subscription_handle", 201}, {"message", 6}, {"source_timestamp", stamp}, {"taken", 1}}));
  e.push_back(event(start + 12, 8, "callback_start", {{"callback", 301}}));
  e.push_back(event(start + 30, 8, "rcl_publish", {{"publisher_handle", 102}, {"message", 8}}));
  e.push_back(event(start + 31, 8, "rmw_publish",
                    {{"rmw_publisher_handle", 102}, {"message", 8}, {"timestamp", stamp + 1}}));
  e.push_back(event(start + 35, 8, "callback_end", {{"callback", 301}}));
  if (!taken_by_sink) return;
  e.push_back(event(
      start + 40, 9, "rmw_take",
      {{"rmw_subscription_handle", 202}, {"message", 9}, {"source_timestamp", stamp + 1}, {"taken", 1}}));
  e.push_back(event(start + 47, 9, "callback_start", {{"callback", 302}}));
  e.push_back(event(start + 60, 9, "callback_end", {{"callback", 302}}));
}

TEST(MessageFlow, LinksPublicationsTakesAndCallbacksAcrossProcesses) {
  Trace trace = three_nodes();
  pass(trace, 1000, 500, true);
  pass(trace, 2000, 600, false);
  const auto flow = analyse_flow(trace);
  EXPECT_EQ(flow.publications, 4u);
  EXPECT_EQ(flow.unlinked_callbacks, 0u);
  EXPECT_EQ(flow.not_taken.at("/b"), 1u);
  ASSERT_EQ(flow.paths.size(), 1u);
  const auto& path = flow.paths[0];
  ASSERT_EQ(path.hops.size(), 2u);
  EXPECT_EQ(path.hops[0].from, "/camera");
  EXPECT_EQ(path.hops[0].to, "/filter");
  EXPECT_EQ(path.hops[1].to, "/sink");
  EXPECT_EQ(path.total_ns(), 60);
  std::int64_t parts = 0;
  for (const auto& hop : path.hops) {
    EXPECT_LE(hop.publish_ns, hop.take_ns);
    EXPECT_LE(hop.take_ns, hop.start_ns);
    EXPECT_LE(hop.start_ns, hop.end_ns);
    parts += (hop.take_ns - hop.publish_ns) + (hop.start_ns - hop.take_ns) + (hop.end_ns - hop.start_ns);
  }
  EXPECT_EQ(parts, path.total_ns());
  const auto& edge = flow.edges.at("/camera -> /a -> /filter");
  EXPECT_EQ(edge.messages, 2u);
  EXPECT_NEAR(edge.transport.median_ms, 10e-6, 1e-12);
  EXPECT_NEAR(edge.waiting.median_ms, 2e-6, 1e-12);
  EXPECT_EQ(to_json(flow)["critical_path"], "/camera > /filter > /sink");
}

TEST(MessageFlow, ATakeOfAnUnknownPublisherIsToldNotGuessed) {
  Trace trace = three_nodes();
  trace.events.push_back(
      event(10, 8, "rmw_take", {{"rmw_subscription_handle", 201}, {"source_timestamp", 77}, {"taken", 1}}));
  trace.events.push_back(event(12, 8, "callback_start", {{"callback", 301}}));
  trace.events.push_back(event(15, 8, "callback_end", {{"callback", 301}}));
  const auto flow = analyse_flow(trace);
  EXPECT_EQ(flow.unlinked_callbacks, 1u);
  EXPECT_TRUE(flow.paths.empty());
  EXPECT_TRUE(analyse_flow({}).paths.empty());
}

TEST(MessageFlow, FollowsTheIntraProcessHandOverOfALiveComposition) {
  select_backend(Backend::internal);
  collect_internal();
  constexpr std::uint64_t kMessages = 50;
  {
    const ros::PrivateDomain domain;
    ros::Context context({.domain_id = domain.id()});
    ros::Composition process(context, ros::ExecutorOptions::parse("single"));
    ros::Node source(process, "/source"), middle(process, "/middle"), sink(process, "/sink");
    const ros::QosProfile qos = ros::QosProfile{}.with_depth(1000);
    auto first = source.publisher<std_msgs::UInt64>("/first", qos);
    auto second = middle.publisher<std_msgs::UInt64>("/second", qos);
    middle.subscribe<std_msgs::UInt64>("/first", qos, [&](auto message) { second->publish(*message); });
    std::uint64_t got = 0;
    sink.subscribe<std_msgs::UInt64>("/second", qos, [&](auto) {
      if (++got == kMessages) process.stop();
    });
    for (std::uint64_t i = 0; i < kMessages; ++i) first->publish(std_msgs::UInt64{i});
    process.spin();
  }
  select_backend(Backend::off);
  const auto flow = analyse_flow(collect_internal());
  ASSERT_EQ(flow.paths.size(), kMessages);
  for (const auto& path : flow.paths) {
    ASSERT_EQ(path.hops.size(), 2u);
    EXPECT_EQ(path.hops[0].from, "/source");
    EXPECT_EQ(path.hops[0].to, "/middle");
    EXPECT_EQ(path.hops[1].from, "/middle");
    EXPECT_EQ(path.hops[1].to, "/sink");
  }
  EXPECT_TRUE(flow.not_taken.empty());
  EXPECT_TRUE(flow.overwritten.empty());
}

}  // namespace
}  // namespace ballast::trace
