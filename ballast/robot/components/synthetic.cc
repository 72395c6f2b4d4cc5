// A component whose behaviour is known exactly, to test the harness with: service time, drops, stalls,
// duplicates, exchanged neighbours. All lists count the messages that arrive, from 0. Results made with it
// are `synthetic`.
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include <set>
#include <utility>

#include "ballast/base/errors.h"
#include "ballast/robot/components/component.h"

namespace ballast::robot {
namespace {

void busy_until(std::int64_t time_ns) {
  while (ros::monotonic_ns() < time_ns) {
  }
}

/// A sleep that ends on time: used instead of spinning where the other cores are needed by others.
void sleep_until(std::int64_t time_ns) {
  timespec until{time_ns / 1'000'000'000, time_ns % 1'000'000'000};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

class Synthetic : public Component {
 public:
  Synthetic(ros::Node& node, const Json& params)
      : service_ns_(static_cast<std::int64_t>(parameter(params, "service_us", 0.0) * 1e3)),
        stall_every_(parameter(params, "stall_every", 0)),
        stall_ns_(static_cast<std::int64_t>(parameter(params, "stall_ms", 0.0) * 1e6)),
        spin_(parameter(params, "spin", false)),
        exit_after_(parameter(params, "exit_after", -1)),
        drop_(list(params, "drop")),
        duplicate_(list(params, "duplicate")),
        exchange_(list(params, "exchange")) {
    const auto qos = ros::QosProfile{}.with_depth(parameter(params, "depth", 1000));
    out_ = node.publisher<sensor_msgs::Image>("out", qos);
    node.subscribe<sensor_msgs::Image>("in", qos, [this](auto image) { process(image); });
  }

 private:
  static std::set<int> list(const Json& params, const std::string& name) {
    const auto values = parameter(params, name, std::vector<int>{});
    return {values.begin(), values.end()};
  }

  void process(const std::shared_ptr<const sensor_msgs::Image>& image) {
    const int number = seen_++;
    const std::int64_t start = ros::monotonic_ns();
    trace::Operation operation("synthetic", image->header.stamp);
    operation.begin();
    std::int64_t busy = service_ns_;
    if (stall_every_ > 0 && number % stall_every_ == stall_every_ - 1) busy += stall_ns_;
    spin_ ? busy_until(start + busy) : sleep_until(start + busy);
    operation.end();
    if (number == exit_after_) ::_exit(42);  // dies without a word
    if (drop_.contains(number)) return;
    if (exchange_.contains(number)) {  // sent behind its successor
      held_ = image;
      return;
    }
    out_->publish(image);
    if (duplicate_.contains(number)) out_->publish(image);
    if (held_) out_->publish(std::exchange(held_, nullptr));
  }

  std::int64_t service_ns_;
  int stall_every_;
  std::int64_t stall_ns_;
  bool spin_;
  int exit_after_;
  std::set<int> drop_, duplicate_, exchange_;
  int seen_ = 0;
  std::shared_ptr<const sensor_msgs::Image> held_;
  std::shared_ptr<ros::Publisher<sensor_msgs::Image>> out_;
};

/// Sends every payload back from the receive thread, never parsed: the other end of a ping. `head_only`
/// answers with the stamp and no data, so that one direction of large messages is measured.
class RawEcho : public Component {
 public:
  RawEcho(ros::Node& node, const Json& params) : head_only_(parameter(params, "head_only", false)) {
    const auto qos = ros::QosProfile{}.with_depth(parameter(params, "depth", 10));
    auto& context = node.process().context();
    const ros::EndpointOptions options{.plain_name = false, .type_hash = {}, .node = node.name()};
    out_ = std::make_unique<ros::RawPublisher>(context, node.topic("out"), sensor_msgs::Image::kType, qos,
                                               options);
    in_ = std::make_unique<ros::RawSubscription>(
        context, node.topic("in"), sensor_msgs::Image::kType, qos, [this](auto& in) { answer(in); }, options);
  }

 private:
  void answer(ros::RawSubscription& in) {
    while (auto sample = in.take()) {
      if (!head_only_) {
        out_->publish(sample->payload());
        continue;
      }
      sensor_msgs::Image head;
      std::int64_t stamp = 0;
      if (ros::read_stamp(sample->payload(), stamp)) head.header.stamp = to_time(stamp);
      out_->publish(ros::serialize(head));
    }
  }
  bool head_only_;
  std::unique_ptr<ros::RawPublisher> out_;
  std::unique_ptr<ros::RawSubscription> in_;  // last: its callback uses out_
};

}  // namespace

std::vector<ComponentType> synthetic_components() {
  return {{"ballast::components::RawEcho",
           "sends every message back from the receive thread",
           {"head_only", "depth"},
           [](ros::Node& node, const Json& params) { return std::make_unique<RawEcho>(node, params); }},
          {"ballast::components::Synthetic",
           "a system of exactly known service time, drops, stalls, duplicates and exchanges",
           {"service_us", "stall_every", "stall_ms", "spin", "exit_after", "drop", "duplicate", "exchange",
            "depth"},
           [](ros::Node& node, const Json& params) { return std::make_unique<Synthetic>(node, params); }}};
}

}  // namespace ballast::robot
