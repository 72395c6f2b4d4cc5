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

}  // namespace

std::vector<ComponentType> synthetic_components() {
  return {{"ballast::components::Synthetic",
           "a system of exactly known service time, drops, stalls, duplicates and exchanges",
           {"service_us", "stall_every", "stall_ms", "spin", "exit_after", "drop", "duplicate", "exchange",
            "depth"},
           [](ros::Node& node, const Json& params) { return std::make_unique<Synthetic>(node, params); }}};
}

}  // namespace ballast::robot
