#include "ballast/robot/harness/ping_pong.h"

#include <thread>

#include "ballast/base/errors.h"
#include "ballast/robot/harness/black_box.h"
#include "ballast/robot/harness/synthetic_graph.h"
#include "ballast/robot/node/node.h"

namespace ballast::robot {
namespace {

GraphSpec echo_graph(const Json& params) {
  auto graph = synthetic_graph(params);
  graph.nodes[0].component = "ballast::components::RawEcho";
  return graph;
}

}  // namespace

PingPongResult ping_intra(const PingPongOptions& options) {
  ros::Context context(options.context);
  ros::Composition process(context, ros::ExecutorOptions::parse(options.executor));
  ros::Node ping(process, "/ping"), pong(process, "/pong");
  auto there = ping.publisher<sensor_msgs::Image>("/there", {});
  auto back = pong.publisher<sensor_msgs::Image>("/back", {});
  std::uint64_t touched = 0;
  pong.subscribe<sensor_msgs::Image>("/there", {}, [&](auto message) {
    touched += message->data.front();
    back->publish(message);
  });
  std::vector<std::int64_t> latencies;
  std::int64_t sent = 0;
  const auto send = [&] {
    sensor_msgs::Image message;
    message.data.assign(options.bytes, static_cast<std::uint8_t>(latencies.size()));
    sent = ros::monotonic_ns();
    there->publish(std::move(message));
  };
  ping.subscribe<sensor_msgs::Image>("/back", {}, [&](auto message) {
    latencies.push_back(ros::monotonic_ns() - sent);
    touched += message->data.back();
    latencies.size() < options.rounds ? send() : process.stop();
  });
  send();
  process.spin();
  BALLAST_CHECK(touched > 0 || options.rounds < 2);
  return {summarise(std::move(latencies)), 0};
}

PingPongResult ping_inter(const PingPongOptions& options) {
  const TemporaryFolder folder;
  ros::Context context(options.context);
  const auto graph = echo_graph(Json::object());
  Sut sut = Sut::graph(graph, options.context.domain_id, folder.path());
  ros::RawPublisher out(context, graph.inputs[0].topic, graph.inputs[0].type, {});
  ros::RawSubscription in(context, graph.outputs[0].topic, graph.outputs[0].type, {});
  MonotonicClock clock;
  const auto limit = clock.now_ns() + 20'000'000'000;
  while (out.matched() == 0 || in.matched() == 0) {
    if (auto ended = sut.ended()) throw Unavailable("the echo did not start: " + *ended);
    if (clock.now_ns() > limit) throw Unavailable("the echo was not discovered within 20 s");
    clock.sleep_until(clock.now_ns() + 1'000'000);
  }
  auto message = synthetic_streams(options.bytes)[0].messages[0];
  PingPongResult result;
  std::vector<std::int64_t> latencies;
  const std::int64_t period = options.rate_hz > 0 ? static_cast<std::int64_t>(1e9 / options.rate_hz) : 0;
  std::int64_t due = clock.now_ns();
  for (std::size_t i = 0; i < options.rounds; ++i) {
    if (period > 0) clock.sleep_until(due += period);
    message.back() = static_cast<std::uint8_t>(i);
    const std::int64_t sent = clock.now_ns();
    out.publish(message);
    const auto answer = in.take_within(std::chrono::seconds(1));
    if (answer) {
      latencies.push_back(clock.now_ns() - sent);
    } else {
      ++result.lost;
    }
  }
  result.round_trip = summarise(std::move(latencies));
  return result;
}

FloodResult flood(const ros::ContextOptions& options, std::size_t bytes, double rate_hz, std::size_t count) {
  const TemporaryFolder folder;
  ros::Context context(options);
  auto graph = echo_graph({{"head_only", true}, {"depth", 10}});
  std::vector<std::string> flags;
  if (!options.tuning.large_messages) flags.push_back("--untuned");
  Sut sut = Sut::graph(graph, options.domain_id, folder.path(), flags);
  auto streams = synthetic_streams(bytes);
  streams[0].topic.qos = {};
  BlackBox box(context, std::move(streams), graph.outputs);
  box.wait_ready(sut, std::chrono::seconds(20));
  auto run = box.run({.arrival = {.rate_hz = rate_hz}, .count = count}, sut);
  return {run.analysis(), run.invalid};
}

}  // namespace ballast::robot
