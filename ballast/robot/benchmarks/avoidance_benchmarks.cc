// c6 (model predictive control), d7 and d8 (perception avoidance), m2 to m7 (transforms beside d1 to d6).
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "ballast/base/random.h"
#include "ballast/robot/benchmarks/benchmark.h"
#include "ballast/robot/components/avoidance.h"
#include "ballast/robot/components/mpc.h"

namespace ballast::robot {
namespace {

using ros::deserialize;
using ros::serialize;

constexpr double kSecondBase = 0.8;

nav_msgs::Path waves() {
  nav_msgs::Path path;
  for (int i = 0; i <= 100; ++i) {
    geometry_msgs::PoseStamped pose;
    pose.pose.position = {0.1 * i, std::sin(0.1 * i), 0};
    pose.pose.orientation.w = 1;
    path.poses.push_back(pose);
  }
  return path;
}

Benchmark mpc_benchmark() {
  return {
      .id = "c6",
      .name = "mpc",
      .category = "control",
      .what = "path tracking of a unicycle by model predictive control, horizon 20 (SLSQP)",
      .rates_hz = {10, 50},
      .slots = {"slsqp"},
      .graph =
          [](const std::string&) {
            auto graph =
                one_node("c6", "odom", "nav_msgs/msg/Odometry", "cmd_vel", "geometry_msgs/msg/TwistStamped",
                         {.name = "/mpc",
                          .component = "ballast::components::MpcController",
                          .remap = {{"path", "/path"}}});
            graph.inputs.insert(graph.inputs.begin(), {.topic = "/path", .type = "nav_msgs/msg/Path"});
            return graph;
          },
      .input =
          [](Size, std::uint64_t seed) {
            Random random(seed, 0xc6);
            Stream path{.topic = {.topic = "/path", .type = "nav_msgs/msg/Path"},
                        .messages = {serialize(waves())},
                        .once = true};
            Stream states{.topic = {.topic = "/odom", .type = "nav_msgs/msg/Odometry"}, .messages = {}};
            for (int i = 0; i < 50; ++i) {
              const double x = random.uniform(0, 8), heading = std::atan(std::cos(x)) + 0.2 * random.normal();
              nav_msgs::Odometry state;
              state.pose.pose.position = {x, std::sin(x) + 0.1 * random.normal(), 0};
              state.pose.pose.orientation = {0, 0, std::sin(heading / 2), std::cos(heading / 2)};
              states.messages.push_back(serialize(state));
            }
            return Input{.streams = {std::move(path), std::move(states)},
                         .description = fmt::format("50 states beside a wavy path (seed {})", seed),
                         .synthetic = true};
          },
      .check =
          [](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
            Check check{
                .passed = !outputs.empty(),
                .what = "largest difference to the command of projected gradient descent, m/s or rad/s",
                .limit = 0.02};
            std::vector<std::array<double, 2>> path;
            for (const auto& pose : deserialize<nav_msgs::Path>(input.streams[0].messages[0]).poses)
              path.push_back({pose.pose.position.x, pose.pose.position.y});
            const MpcOptions options;
            for (std::size_t k = 0; k < outputs.size(); ++k) {
              const auto pose =
                  deserialize<nav_msgs::Odometry>(input.streams[1].messages[frames[k]]).pose.pose;
              const MpcProblem problem{
                  {pose.position.x, pose.position.y, 2 * std::atan2(pose.orientation.z, pose.orientation.w)},
                  references_on(path, pose.position.x, pose.position.y, 0.6, options)};
              const auto slow = solve_mpc_slowly(problem, options);
              const auto command = deserialize<geometry_msgs::TwistStamped>(outputs[k]).twist;
              check.value = std::max(
                  {check.value, std::abs(command.linear.x - slow[0]), std::abs(command.angular.z - slow[1])});
            }
            check.passed = check.passed && check.value <= check.limit;
            return check;
          }};
}

void add_point(sensor_msgs::PointCloud2& cloud, double x, double y, double z) {
  const float point[4] = {static_cast<float>(x), static_cast<float>(y), static_cast<float>(z), 0};
  const auto at = cloud.data.size();
  cloud.data.resize(at + 16);
  std::memcpy(cloud.data.data() + at, point, 16);
  ++cloud.width;
}

/// A third of the points on the arms, the others on a ball and a wall around them.
sensor_msgs::PointCloud2 scene(const std::vector<std::vector<ArmCapsule>>& arms, int points, Random& random) {
  sensor_msgs::PointCloud2 cloud;
  cloud.height = 1;
  cloud.fields = {{"x", 0, 7, 1}, {"y", 4, 7, 1}, {"z", 8, 7, 1}};
  cloud.point_step = 16;
  const double ball[3] = {random.uniform(0.3, 0.7), random.uniform(-0.6, 1.2), random.uniform(0.3, 0.8)};
  for (int i = 0; i < points; ++i) {
    double n[3] = {random.normal(), random.normal(), random.normal()};
    const double length = std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (double& value : n) value /= length;
    if (i % 3 == 0) {
      const auto& arm = arms[random.below(arms.size())];
      const auto& link = arm[random.below(arm.size())];
      const double share = random.uniform();
      double at[3];
      for (std::size_t k = 0; k < 3; ++k)
        at[k] = link.from[k] + share * (link.to[k] - link.from[k]) + 0.9 * link.radius * n[k];
      add_point(cloud, at[0], at[1], at[2]);
    } else if (i % 3 == 1) {
      add_point(cloud, ball[0] + 0.1 * n[0], ball[1] + 0.1 * n[1], ball[2] + 0.1 * n[2]);
    } else {
      add_point(cloud, 1.2, random.uniform(-1, 1.8), random.uniform(0, 1.5));
    }
  }
  cloud.row_step = cloud.width * cloud.point_step;
  cloud.is_dense = true;
  return cloud;
}

/// Point to segment by its own formula: the height of a triangle inside, the nearer end outside.
double oracle_distance(const ArmCapsule& capsule, const Point3& p) {
  std::array<double, 3> d{}, a{}, b{};
  for (std::size_t i = 0; i < 3; ++i) {
    d[i] = capsule.to[i] - capsule.from[i];
    a[i] = static_cast<double>(p[i]) - capsule.from[i];
    b[i] = static_cast<double>(p[i]) - capsule.to[i];
  }
  const auto dot = [](const auto& u, const auto& v) { return u[0] * v[0] + u[1] * v[1] + u[2] * v[2]; };
  if (dot(a, d) <= 0) return std::sqrt(dot(a, a)) - capsule.radius;
  if (dot(b, d) >= 0) return std::sqrt(dot(b, b)) - capsule.radius;
  const std::array<double, 3> cross{a[1] * d[2] - a[2] * d[1], a[2] * d[0] - a[0] * d[2],
                                    a[0] * d[1] - a[1] * d[0]};
  return std::sqrt(dot(cross, cross) / dot(d, d)) - capsule.radius;
}

Benchmark avoidance_benchmark(const std::string& id, const std::string& name, std::size_t arms) {
  return {
      .id = id,
      .name = name,
      .category = "manipulation",
      .what = fmt::format("{} arm{} away from what a depth cloud shows: self filter, distance, velocity",
                          arms, arms > 1 ? "s" : ""),
      .rates_hz = {30},
      .slots = {"reference", "tbb"},
      .graph =
          [id](const std::string& slot) {
            auto graph = one_node(id, "points", "sensor_msgs/msg/PointCloud2", "avoidance",
                                  "sensor_msgs/msg/JointState",
                                  {.name = "/perception_avoidance",
                                   .component = "ballast::components::PerceptionAvoidance",
                                   .remap = {{"joint_states", "/joint_states"}},
                                   .params = {{"parallel", slot == "tbb"}, {"second_base_y", kSecondBase}}});
            graph.inputs.insert(graph.inputs.begin(),
                                {.topic = "/joint_states", .type = "sensor_msgs/msg/JointState"});
            return graph;
          },
      .input =
          [arms](Size size, std::uint64_t seed) {
            const int points = size == Size::bench ? 640 * 480 / 4 : 5000,
                      frames = size == Size::bench ? 20 : 10;
            Random random(seed, 0xd7);
            Stream states{.topic = {.topic = "/joint_states", .type = "sensor_msgs/msg/JointState"},
                          .messages = {}};
            Stream clouds{.topic = {.topic = "/points", .type = "sensor_msgs/msg/PointCloud2"},
                          .messages = {}};
            for (int i = 0; i < frames; ++i) {
              sensor_msgs::JointState state;
              for (std::size_t a = 0; a < arms; ++a) {
                const auto joints = random_joints(random);
                state.position.insert(state.position.end(), joints.begin(), joints.end());
              }
              clouds.messages.push_back(
                  serialize(scene(arms_of_message(state, kSecondBase), points, random)));
              states.messages.push_back(serialize(state));
            }
            return Input{
                .streams = {std::move(states), std::move(clouds)},
                .description = fmt::format("{} clouds of {} points, a third of them the robot (seed {})",
                                           frames, points, seed),
                .synthetic = true};
          },
      .check =
          [arms](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
            Check check{.passed = !outputs.empty(),
                        .what = "largest difference to the distance by brute force, m",
                        .limit = 1e-6};
            for (std::size_t k = 0; k < outputs.size(); ++k) {
              const auto answer = deserialize<sensor_msgs::JointState>(outputs[k]);
              const auto state = deserialize<sensor_msgs::JointState>(input.streams[0].messages[frames[k]]);
              const auto points =
                  cloud_points(deserialize<sensor_msgs::PointCloud2>(input.streams[1].messages[frames[k]]));
              const auto capsules = arms_of_message(state, kSecondBase);
              std::vector<double> nearest(arms, INFINITY);
              for (const auto& point : points) {
                std::vector<double> here(arms, INFINITY);
                for (std::size_t a = 0; a < arms; ++a)
                  for (const auto& capsule : capsules[a])
                    here[a] = std::min(here[a], oracle_distance(capsule, point));
                if (*std::min_element(here.begin(), here.end()) < 0.02) continue;
                for (std::size_t a = 0; a < arms; ++a) nearest[a] = std::min(nearest[a], here[a]);
              }
              if (answer.position.size() != arms || answer.velocity.size() != 3 * arms) {
                check.value = INFINITY;
                break;
              }
              for (std::size_t a = 0; a < arms; ++a) {
                check.value = std::max(check.value, std::abs(answer.position[a] - nearest[a]));
                const double speed = std::hypot(answer.velocity[3 * a], answer.velocity[3 * a + 1],
                                                answer.velocity[3 * a + 2]);
                const double share = std::max(0.0, 1 - nearest[a] / 0.5);
                check.value = std::max(check.value, std::abs(speed - 0.25 * share * share));
              }
            }
            check.passed = check.passed && check.value <= check.limit;
            return check;
          },
      .upper_hz = 1000};
}

}  // namespace

std::vector<Benchmark> avoidance_benchmarks() {
  return {mpc_benchmark(), avoidance_benchmark("d7", "dual_arm_perception_avoidance", 2),
          avoidance_benchmark("d8", "single_arm_perception_avoidance", 1)};
}

std::vector<Benchmark> loaded_transform_benchmarks() {
  Benchmark alone;
  for (auto& benchmark : frame_benchmarks())
    if (benchmark.id == "m1") alone = std::move(benchmark);
  std::vector<Benchmark> list;
  for (const auto& load : motion_benchmarks()) {
    if (load.category != "manipulation") continue;
    Benchmark both = alone;
    both.id = fmt::format("m{}", load.id[1] - '0' + 1);
    both.name = "tf2_during_" + load.name;
    both.what = fmt::format("m1 while {} works in the same process ({})", load.id, load.name);
    both.rates_hz = load.rates_hz;
    both.upper_hz = load.upper_hz;
    both.graph = [alone, load, id = both.id](const std::string& slot) {
      GraphSpec graph = alone.graph(slot), beside = load.graph(load.slots.front());
      graph.id = id;
      graph.executor = "multi(2)";  // the lookup need not wait for the planner
      for (auto& spec : beside.inputs) graph.inputs.push_back(std::move(spec));
      for (auto& spec : beside.outputs) graph.outputs.push_back(std::move(spec));
      for (auto& node : beside.nodes) graph.nodes.push_back(std::move(node));
      return graph;
    };
    both.input = [alone, load](Size size, std::uint64_t seed) {
      Input input = alone.input(size, seed), beside = load.input(size, seed);
      input.description += ", and " + beside.description;
      // One edge of the chain a message of the other graph.
      const auto edges = input.streams[0].messages;
      input.streams[0].messages.clear();
      for (std::size_t i = 0; i < beside.streams[0].messages.size(); ++i)
        input.streams[0].messages.push_back(edges[i % edges.size()]);
      for (auto& stream : beside.streams) input.streams.push_back(std::move(stream));
      return input;
    };
    list.push_back(std::move(both));
  }
  return list;
}

}  // namespace ballast::robot
