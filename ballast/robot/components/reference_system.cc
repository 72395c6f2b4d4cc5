#include "ballast/robot/components/reference_system.h"

#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <mutex>

#include "ballast/robot/node/node.h"

namespace ballast::robot {
namespace {

using Message = sensor_msgs::Image;  // the stamp of the oldest sensor message in it, and 4 kB
constexpr std::size_t kPayload = 4096;
constexpr int kHot = 10;

double cpu_seconds() {
  rusage use;
  ::getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

class System {
 public:
  System(ros::Composition& process, std::uint64_t primes, ReferenceResult& result)
      : process_(process), primes_(primes), result_(result) {}

  void sensor(const std::string& name, int period_ms, bool hot = false) {
    auto& node = add(name, hot);
    auto out = publisher(node, name);
    node.timer(std::int64_t{period_ms} * 1'000'000,
               [this, out, name] { send(name, *out, ros::monotonic_ns()); });
  }

  void transform(const std::string& name, const std::string& in, bool hot = false) {
    auto& node = add(name, hot);
    auto out = publisher(node, name);
    subscribe(node, in, [this, out, name](auto message) {
      work(name);
      send(name, *out, stamp(*message));
    });
  }

  void fusion(const std::string& name, const std::string& first, const std::string& second,
              bool hot = false) {
    auto& node = add(name, hot);
    auto out = publisher(node, name);
    struct Waiting {
      std::shared_ptr<const Message> first, second;
    };
    auto waiting = std::make_shared<Waiting>();
    const auto both = [this, out, name, waiting] {
      if (!waiting->first || !waiting->second) return;
      work(name);
      const auto oldest = std::min(stamp(*waiting->first), stamp(*waiting->second));
      waiting->first = waiting->second = nullptr;
      send(name, *out, oldest);
    };
    subscribe(node, first, [waiting, both](auto message) {
      waiting->first = message;
      both();
    });
    subscribe(node, second, [waiting, both](auto message) {
      waiting->second = message;
      both();
    });
  }

  void cyclic(const std::string& name, int period_ms, const std::vector<std::string>& inputs) {
    auto& node = add(name, false);
    auto out = publisher(node, name);
    auto newest = std::make_shared<std::int64_t>(0);
    for (const auto& input : inputs)
      subscribe(node, input, [newest](auto message) { *newest = std::max(*newest, stamp(*message)); });
    auto last = std::make_shared<std::int64_t>(0);
    node.timer(std::int64_t{period_ms} * 1'000'000, [this, out, name, newest, last] {
      const auto now = ros::monotonic_ns();
      if (*last != 0) result_.planner_period_ms.push_back(static_cast<double>(now - *last) * 1e-6);
      *last = now;
      work(name);
      send(name, *out, *newest);
    });
  }

  /// Several inputs, each with an output of its own.
  void intersection(const std::string& name, const std::vector<std::pair<std::string, std::string>>& ways,
                    bool hot) {
    auto& node = add(name, hot);
    for (const auto& [in, to] : ways) {
      auto out = publisher(node, to);
      subscribe(node, in, [this, out, name, to](auto message) {
        work(name);
        send(to, *out, stamp(*message));
      });
    }
  }

  void sink(const std::string& name, const std::string& in) {
    auto& node = add(name, false);
    subscribe(node, in, [this, name](auto) { work(name); });
  }

  /// The end of the hot path: processes, publishes, and notes the age of the lidar data.
  void hot_end(const std::string& name, const std::string& in) {
    auto& node = add(name, true);
    auto out = publisher(node, name);
    subscribe(node, in, [this, out, name](auto message) {
      work(name);
      const std::lock_guard lock(mutex_);
      result_.hot_path_ns.push_back(ros::monotonic_ns() - stamp(*message));
      lock_free_send(name, *out, stamp(*message));
    });
  }

  void stop_after(double seconds) {
    auto& node = add("Stop", true);
    node.timer(static_cast<std::int64_t>(seconds * 1e9), [this] { process_.stop(); });
  }

  void collect_drops() {
    for (const auto& [topic, subscription] : subscriptions_)
      result_.dropped[topic] += subscription->overwritten();
  }

 private:
  static std::int64_t stamp(const Message& message) { return to_nanoseconds(message.header.stamp); }

  ros::Node& add(const std::string& name, bool hot) {
    nodes_.push_back(std::make_unique<ros::Node>(process_, "/" + name));
    nodes_.back()->set_priority(hot ? kHot : 0);
    return *nodes_.back();
  }
  std::shared_ptr<ros::Publisher<Message>> publisher(ros::Node& node, const std::string& topic) {
    return node.publisher<Message>("/" + topic + "_out", ros::QosProfile{}.with_depth(1));
  }
  void subscribe(ros::Node& node, const std::string& topic, ros::Subscription<Message>::Callback callback) {
    subscriptions_.emplace_back(
        topic,
        node.subscribe<Message>("/" + topic + "_out", ros::QosProfile{}.with_depth(1), std::move(callback)));
  }
  void work(const std::string& name) {
    count_primes(primes_);
    const std::lock_guard lock(mutex_);
    ++result_.executions[name];
  }
  void send(const std::string& topic, ros::Publisher<Message>& out, std::int64_t stamp_ns) {
    const std::lock_guard lock(mutex_);
    lock_free_send(topic, out, stamp_ns);
  }
  void lock_free_send(const std::string& topic, ros::Publisher<Message>& out, std::int64_t stamp_ns) {
    Message message;
    message.header.stamp = to_time(stamp_ns);
    message.data.resize(kPayload);
    ++result_.sent[topic];
    out.publish(std::move(message));
  }

  ros::Composition& process_;
  std::uint64_t primes_;
  ReferenceResult& result_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<ros::Node>> nodes_;
  std::vector<std::pair<std::string, std::shared_ptr<ros::Subscription<Message>>>> subscriptions_;
};

void build(System& system) {
  system.sensor("FrontLidar", 100, true);
  system.sensor("RearLidar", 100, true);
  system.sensor("PointCloudMap", 120);
  system.sensor("Visualizer", 60);
  system.sensor("Lanelet2Map", 100);
  system.sensor("EuclideanClusterSettings", 25);
  system.transform("PointsTransformerFront", "FrontLidar", true);
  system.transform("PointsTransformerRear", "RearLidar", true);
  system.fusion("PointCloudFusion", "PointsTransformerFront", "PointsTransformerRear", true);
  system.transform("VoxelGridDownsampler", "PointCloudFusion");
  system.transform("PointCloudMapLoader", "PointCloudMap");
  system.transform("RayGroundFilter", "PointCloudFusion", true);
  system.fusion("NDTLocalizer", "VoxelGridDownsampler", "PointCloudMapLoader");
  system.fusion("Lanelet2GlobalPlanner", "Visualizer", "NDTLocalizer");
  system.fusion("Lanelet2MapLoader", "Lanelet2Map", "Lanelet2GlobalPlanner");
  system.intersection("EuclideanClusterDetector",
                      {{"RayGroundFilter", "EuclideanClusterDetector"},
                       {"EuclideanClusterSettings", "EuclideanIntersection"}},
                      true);
  system.hot_end("ObjectCollisionEstimator", "EuclideanClusterDetector");
  system.transform("ParkingPlanner", "Lanelet2MapLoader");
  system.transform("LanePlanner", "Lanelet2MapLoader");
  system.cyclic("BehaviorPlanner", 100,
                {"ObjectCollisionEstimator", "NDTLocalizer", "Lanelet2GlobalPlanner", "Lanelet2MapLoader",
                 "ParkingPlanner", "LanePlanner"});
  system.transform("MPCController", "BehaviorPlanner");
  system.fusion("VehicleInterface", "MPCController", "BehaviorPlanner");
  system.sink("VehicleDBWSystem", "VehicleInterface");
  system.sink("IntersectionOutput", "EuclideanIntersection");
}

}  // namespace

std::uint64_t count_primes(std::uint64_t limit) {
  std::uint64_t found = 0;
  for (std::uint64_t n = 2; n <= limit; ++n) {
    bool prime = true;
    for (std::uint64_t d = 2; d * d <= n && prime; ++d) prime = n % d != 0;
    found += prime;
  }
  return found;
}

std::uint64_t calibrated_primes(double milliseconds) {
  std::uint64_t limit = 256;
  for (;;) {
    std::int64_t best = INT64_MAX;  // of three: interruptions only make it longer
    for (int i = 0; i < 3; ++i) {
      const auto start = ros::monotonic_ns();
      count_primes(limit);
      best = std::min(best, ros::monotonic_ns() - start);
    }
    const double took = static_cast<double>(best) * 1e-6;
    if (took >= milliseconds || limit > 100'000'000) return limit;
    limit = static_cast<std::uint64_t>(static_cast<double>(limit) *
                                       std::clamp(milliseconds / std::max(took, 1e-3), 1.05, 2.0));
  }
}

ReferenceResult run_reference_system(const ReferenceOptions& options) {
  ReferenceResult result;
  auto context_options = options.context;
  context_options.announce_nodes = false;
  ros::Context context(context_options);
  ros::Composition process(context, ros::ExecutorOptions::parse(options.executor));
  System system(process, options.work_ms > 0 ? calibrated_primes(options.work_ms) : 2, result);
  build(system);
  system.stop_after(options.seconds);
  const double before = cpu_seconds();
  process.spin();
  result.cpu_s = cpu_seconds() - before;
  system.collect_drops();
  result.hot_path = summarise(result.hot_path_ns);
  return result;
}

}  // namespace ballast::robot
