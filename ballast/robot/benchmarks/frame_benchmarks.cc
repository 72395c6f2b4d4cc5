// m1 (transforms) and e1 (navigation).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/random.h"
#include "ballast/robot/benchmarks/benchmark.h"
#include "ballast/robot/components/navigation.h"
#include "ballast/robot/components/transforms.h"

namespace ballast::robot {
namespace {

using ros::deserialize;
using ros::serialize;

Benchmark transform_benchmark() {
  const char* type = "geometry_msgs/msg/TransformStamped";
  return {
      .id = "m1",
      .name = "tf2",
      .category = "transform",
      .what = "set one edge of a chain of five frames, look up its ends",
      .rates_hz = {100},
      .slots = {"reference"},
      .graph =
          [type](const std::string&) {
            GraphSpec graph{.id = "m1",
                            .inputs = {{.topic = "/tf_edge", .type = type}},
                            .outputs = {{.topic = "/transform", .type = type}}};
            graph.nodes = {{.name = "/transform_listener",
                            .component = "ballast::components::TransformListener",
                            .remap = {{"tf_edge", "/tf_edge"}, {"transform", "/transform"}}}};
            return graph;
          },
      .input =
          [type](Size, std::uint64_t seed) {
            Stream edges{.topic = {.topic = "/tf_edge", .type = type}, .messages = {}};
            Random random(seed, 0x31);
            for (int i = 0; i < 50; ++i) {
              geometry_msgs::TransformStamped edge;
              edge.header.frame_id = "frame0";
              edge.child_frame_id = "frame1";
              const double angle = random.uniform(-3, 3);
              edge.transform = {{random.uniform(-5, 5), random.uniform(-5, 5), 0},
                                {0, 0, std::sin(angle / 2), std::cos(angle / 2)}};
              edges.messages.push_back(serialize(edge));
            }
            return Input{.streams = {std::move(edges)},
                         .description = fmt::format("50 edges of a chain of frames (seed {})", seed),
                         .synthetic = true};
          },
      // Planar, so that complex numbers are an oracle of their own: three quarter turns with steps of 1 m.
      .check =
          [](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
            Check check{.passed = !outputs.empty(),
                        .what = "largest difference to the product of matrices, m",
                        .limit = 1e-9};
            for (std::size_t k = 0; k < outputs.size(); ++k) {
              const auto edge =
                  deserialize<geometry_msgs::TransformStamped>(input.streams[0].messages[frames[k]])
                      .transform;
              const auto answer = deserialize<geometry_msgs::TransformStamped>(outputs[k]).transform;
              const double angle = 2 * std::atan2(edge.rotation.z, edge.rotation.w), quarter = std::acos(0.0);
              double x = edge.translation.x, y = edge.translation.y;
              for (int i = 0; i < 3; ++i) {
                x += std::cos(angle + i * quarter);
                y += std::sin(angle + i * quarter);
              }
              check.value =
                  std::max({check.value, std::hypot(answer.translation.x - x, answer.translation.y - y),
                            std::abs(std::remainder(
                                2 * std::atan2(answer.rotation.z, answer.rotation.w) - angle - 3 * quarter,
                                4 * quarter))});
            }
            check.passed = check.passed && check.value <= check.limit;
            return check;
          }};
}

/// Walls with gaps, 20 cells apart.
nav_msgs::OccupancyGrid walls(int size, std::uint64_t seed) {
  nav_msgs::OccupancyGrid map;
  map.info.resolution = 0.05f;
  map.info.width = map.info.height = static_cast<std::uint32_t>(size);
  map.data.assign(static_cast<std::size_t>(size) * static_cast<std::size_t>(size), 0);
  Random random(seed, 0xe1);
  for (int x = 40; x + 20 < size; x += 40) {
    const int gap = 10 + static_cast<int>(random.below(static_cast<std::uint64_t>(size - 40)));
    for (int y = 0; y < size; ++y)
      if (y < gap || y >= gap + 24) map.data[static_cast<std::size_t>(y * size + x)] = 100;
  }
  return map;
}

Benchmark navigation_benchmark() {
  return {
      .id = "e1",
      .name = "navigation",
      .category = "navigation",
      .what = "costmap inflation and A* through walls with gaps",
      .rates_hz = {5},
      .slots = {"astar"},
      .graph =
          [](const std::string&) {
            GraphSpec graph{.id = "e1",
                            .inputs = {{.topic = "/map", .type = "nav_msgs/msg/OccupancyGrid"},
                                       {.topic = "/goal", .type = "geometry_msgs/msg/PoseStamped"}},
                            .outputs = {{.topic = "/path", .type = "nav_msgs/msg/Path"}}};
            graph.nodes = {{.name = "/navigator",
                            .component = "ballast::components::Navigator",
                            .remap = {{"map", "/map"}, {"goal", "/goal"}, {"path", "/path"}}}};
            return graph;
          },
      .input =
          [](Size size, std::uint64_t seed) {
            const int cells = size == Size::bench ? 400 : 160;
            Stream map{.topic = {.topic = "/map", .type = "nav_msgs/msg/OccupancyGrid"},
                       .messages = {serialize(walls(cells, seed))},
                       .once = true};
            Stream goals{.topic = {.topic = "/goal", .type = "geometry_msgs/msg/PoseStamped"},
                         .messages = {}};
            Random random(seed, 0xe2);
            for (int i = 0; i < 10; ++i) {
              geometry_msgs::PoseStamped goal;
              goal.pose.position = {cells * 0.05 - 0.6, random.uniform(0.6, cells * 0.05 - 0.6), 0};
              goals.messages.push_back(serialize(goal));
            }
            return Input{
                .streams = {std::move(map), std::move(goals)},
                .description = fmt::format("a map of {0}x{0} cells and 10 goals (seed {1})", cells, seed),
                .synthetic = true};
          },
      .check =
          [](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
            Check check{.passed = !outputs.empty(),
                        .what = "largest excess over Dijkstra's cost, relative",
                        .limit = 1e-9};
            const auto map = deserialize<nav_msgs::OccupancyGrid>(input.streams[0].messages[0]);
            const auto grid = inflate(map, 0.2, 3.0);
            for (std::size_t k = 0; k < outputs.size(); ++k) {
              const auto path = deserialize<nav_msgs::Path>(outputs[k]);
              const auto goal =
                  deserialize<geometry_msgs::PoseStamped>(input.streams[1].messages[frames[k]]).pose.position;
              const auto cell = [&](const geometry_msgs::Point& at) {
                return Cell{static_cast<int>(at.x / grid.resolution_m),
                            static_cast<int>(at.y / grid.resolution_m)};
              };
              const double best = dijkstra_cost(grid, cell({0.5, 0.5, 0}), cell(goal));
              if (path.poses.empty()) {
                check.passed = check.passed && best > 1e17;
                continue;
              }
              double cost = 0;
              for (std::size_t i = 1; i < path.poses.size(); ++i) {
                const Cell a = cell(path.poses[i - 1].pose.position), b = cell(path.poses[i].pose.position);
                const bool adjacent =
                    std::abs(a.x - b.x) <= 1 && std::abs(a.y - b.y) <= 1 && grid.at(b.x, b.y) < 254;
                cost += adjacent ? std::hypot(a.x - b.x, a.y - b.y) * (1 + grid.at(b.x, b.y) / 50.0) : 1e18;
              }
              check.value = std::max(check.value, std::abs(cost / best - 1));
            }
            check.passed = check.passed && check.value <= check.limit;
            return check;
          }};
}

}  // namespace

std::vector<Benchmark> frame_benchmarks() {
  return {transform_benchmark(), navigation_benchmark()};
}

}  // namespace ballast::robot
