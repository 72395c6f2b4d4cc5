#include "ballast/robot/harness/closed_loop.h"

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/robot/harness/black_box.h"
#include "ballast/robot/harness/synthetic_graph.h"
#include "ballast/robot/node/executable.h"

namespace ballast::robot {

ClosedLoopResult compare_closed_loop(const ClosedLoopOptions& options) {
  const Json params{{"service_us", options.service_ms * 1e3},
                    {"stall_every", options.stall_every},
                    {"stall_ms", options.stall_ms}};
  const GraphSpec graph = synthetic_graph(params);
  ClosedLoopResult result;
  const TemporaryFolder folder;
  ros::Context context(options.context);
  Sut sut = Sut::graph(graph, options.context.domain_id, folder.path());
  BlackBox box(context, synthetic_streams(64), graph.outputs);
  box.wait_ready(sut, std::chrono::seconds(20));
  const auto count = static_cast<std::size_t>(options.rate_hz * options.seconds);
  const Run open = box.run({.arrival = {.rate_hz = options.rate_hz}, .count = count}, sut);
  result.service = open.analysis().service;
  result.corrected = open.analysis().corrected;
  result.corrected_ns = open.analysis().corrected_ns;
  result.lost = open.analysis().counts.lost;

  // The loop of calls: pace as wanted, but never send before the last answer.
  ros::RawPublisher out(context, graph.inputs[0].topic, graph.inputs[0].type, {});
  ros::RawSubscription in(context, graph.outputs[0].topic, graph.outputs[0].type, {});
  MonotonicClock clock;
  while (out.matched() == 0 || in.matched() == 0) clock.sleep_until(clock.now_ns() + 1'000'000);
  auto message = synthetic_streams(64)[0].messages[0];
  const auto period = static_cast<std::int64_t>(1e9 / options.rate_hz);
  std::int64_t next = clock.now_ns();
  for (std::size_t i = 0; i < count; ++i) {
    clock.sleep_until(next);
    const std::int64_t sent = clock.now_ns();
    ros::write_stamp(message, sent);
    out.publish(message);
    if (!in.take_within(std::chrono::seconds(5)))
      throw Unavailable("the synthetic system did not answer in 5 s");
    result.naive_ns.push_back(clock.now_ns() - sent);
    next = std::max(next + period, clock.now_ns());
  }
  result.naive = summarise(result.naive_ns);
  return result;
}

}  // namespace ballast::robot
