// Transforms, navigation, the reference system, and ping-pong.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/robot/components/navigation.h"
#include "ballast/robot/components/reference_system.h"
#include "ballast/robot/components/transforms.h"
#include "ballast/robot/harness/ping_pong.h"

namespace ballast::robot {
namespace {

geometry_msgs::TransformStamped edge(const std::string& parent, const std::string& child, std::int64_t time,
                                     double x, double yaw) {
  geometry_msgs::TransformStamped result;
  result.header = {to_time(time), parent};
  result.child_frame_id = child;
  result.transform = {{x, 0, 0}, {0, 0, std::sin(yaw / 2), std::cos(yaw / 2)}};
  return result;
}

TEST(Transforms, InterpolateComposeAndInvert) {
  TransformBuffer buffer;
  buffer.set(edge("map", "odom", 0, 0, 0));
  buffer.set(edge("map", "odom", 1'000'000'000, 2, 1));
  buffer.set_static(edge("odom", "base", 0, 1, 0));
  buffer.set_static(edge("odom", "other", 0, -1, 0));
  geometry_msgs::Transform t;
  ASSERT_EQ(buffer.lookup("map", "base", 500'000'000, t), LookupError::none);
  EXPECT_NEAR(t.translation.x, 1 + std::cos(0.5), 1e-12);
  EXPECT_NEAR(t.translation.y, std::sin(0.5), 1e-12);
  EXPECT_NEAR(2 * std::atan2(t.rotation.z, t.rotation.w), 0.5, 1e-12);
  geometry_msgs::Transform back;
  ASSERT_EQ(buffer.lookup("base", "map", 500'000'000, back), LookupError::none);
  EXPECT_NEAR(compose(t, back).translation.x, 0, 1e-12);
  ASSERT_EQ(buffer.lookup("other", "base", 700'000'000, t), LookupError::none);
  EXPECT_NEAR(t.translation.x, 2, 1e-12);
  EXPECT_EQ(buffer.lookup("map", "base", 1'500'000'000, t), LookupError::extrapolation);
  EXPECT_EQ(buffer.lookup("map", "base", -1, t), LookupError::extrapolation);
  EXPECT_EQ(buffer.lookup("map", "nobody", 0, t), LookupError::unknown_frame);
  buffer.set_static(edge("moon", "crater", 0, 1, 0));
  EXPECT_EQ(buffer.lookup("map", "crater", 0, t), LookupError::disconnected);
  EXPECT_THROW(buffer.set(edge("base", "map", 0, 0, 0)), InvalidInput);
  EXPECT_THROW(buffer.set(edge("a", "a", 0, 0, 0)), InvalidInput);
  auto bad = edge("a", "b", 0, 0, 0);
  bad.transform.rotation.w = 2;
  EXPECT_THROW(buffer.set(bad), InvalidInput);
  buffer.set(edge("map", "odom", 20'000'000'000, 0, 0));  // the cache holds 10 s
  EXPECT_EQ(buffer.lookup("map", "odom", 500'000'000, t), LookupError::extrapolation);
}

TEST(Transforms, SetAndLookupFromSeveralThreads) {
  TransformBuffer buffer;
  buffer.set(edge("map", "odom", 0, 0, 0));
  std::atomic<bool> over{false};
  std::atomic<int> wrong{0}, answers{0};
  std::thread writer([&] {
    for (std::int64_t i = 1; i <= 3000; ++i)
      buffer.set(edge("map", "odom", i * 1000, static_cast<double>(i), 0));
    over = true;
  });
  std::thread reader([&] {
    while (!over) {
      geometry_msgs::Transform t;
      if (buffer.lookup("map", "odom", 500, t) != LookupError::none) continue;
      ++answers;
      wrong +=
          std::abs(t.translation.x - 0.5) > 1e-9;  // x is linear in time: any interleaving gives the same
    }
  });
  writer.join();
  reader.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Navigation, DistancesEqualBruteForce) {
  const std::uint64_t seed = 2;
  Random random(seed);
  for (int trial = 0; trial < 20; ++trial) {
    const int w = 1 + static_cast<int>(random.below(20)), h = 1 + static_cast<int>(random.below(20));
    std::vector<bool> occupied(static_cast<std::size_t>(w * h));
    for (std::size_t i = 0; i < occupied.size(); ++i) occupied[i] = random.below(8) == 0;
    occupied[random.below(occupied.size())] = true;
    const auto found = squared_distance(occupied, w, h);
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x) {
        double best = 1e12;
        for (int v = 0; v < h; ++v)
          for (int u = 0; u < w; ++u)
            if (occupied[static_cast<std::size_t>(v * w + u)])
              best = std::min(best, static_cast<double>((u - x) * (u - x) + (v - y) * (v - y)));
        ASSERT_NEAR(found[static_cast<std::size_t>(y * w + x)], best, 1e-6) << "seed " << seed;
      }
  }
}

TEST(Navigation, AStarCostsWhatDijkstraCosts) {
  const std::uint64_t seed = 5;
  Random random(seed);
  int ways = 0;
  for (int trial = 0; trial < 50; ++trial) {
    Grid grid{24, 18, 0.05, {}};
    for (int i = 0; i < 24 * 18; ++i)
      grid.cost.push_back(random.below(4) == 0 ? 254 : static_cast<std::uint8_t>(random.below(200)));
    grid.cost.front() = grid.cost.back() = 0;
    double cost = 0;
    const auto path = find_path(grid, {0, 0}, {23, 17}, &cost);
    EXPECT_NEAR(cost, dijkstra_cost(grid, {0, 0}, {23, 17}), 1e-9) << "seed " << seed;
    ways += !path.empty();
  }
  EXPECT_GT(ways, 5);
  Grid grid{2, 2, 1, {0, 0, 0, 0}};
  EXPECT_THROW(find_path(grid, {0, 0}, {2, 0}), InvalidInput);
  nav_msgs::OccupancyGrid map;
  EXPECT_THROW(inflate(map, 0.1, 1), InvalidInput);
}

TEST(Navigation, PurePursuitReachesTheEndOfItsPath) {
  std::vector<std::array<double, 2>> path;
  for (int i = 0; i <= 100; ++i) path.push_back({0.05 * i, std::sin(0.03 * i)});
  double x = 0, y = 0.3, heading = 0;
  for (int step = 0; step < 4000 && std::hypot(x - path.back()[0], y - path.back()[1]) > 0.05; ++step) {
    const auto twist = pursue(path, x, y, heading, 0.6, 0.5);
    heading += twist.angular.z * 0.01;
    x += twist.linear.x * std::cos(heading) * 0.01;
    y += twist.linear.x * std::sin(heading) * 0.01;
  }
  EXPECT_LE(std::hypot(x - path.back()[0], y - path.back()[1]), 0.06);
}

TEST(ReferenceSystem, CountsAreConservedUnderEveryExecutor) {
  EXPECT_EQ(count_primes(30), 10u);
  const ros::PrivateDomain domain;
  for (const char* executor : {"single", "static", "multi(2)", "prioritized", "events"}) {
    const auto run = run_reference_system(
        {.executor = executor, .work_ms = 0, .seconds = 1.2, .context = {.domain_id = domain.id()}});
    EXPECT_GT(run.hot_path_ns.size(), 3u) << executor;
    for (const auto latency : run.hot_path_ns) EXPECT_GE(latency, 0);
    // What one node sends on its topic, the transform behind it processed or lost; two may be under way at
    // the end.
    for (const auto& [topic, node] :
         std::vector<std::pair<std::string, std::string>>{{"FrontLidar", "PointsTransformerFront"},
                                                          {"PointCloudFusion", "RayGroundFilter"},
                                                          {"PointCloudMap", "PointCloudMapLoader"}}) {
      const auto sent = run.sent.at(topic), done = run.executions.at(node);
      const auto lost = run.dropped.at(topic);
      EXPECT_LE(done, sent) << executor << " " << topic;
      EXPECT_GE(done + lost + 2, sent) << executor << " " << topic;
    }
  }
}

TEST(PingPong, AnswersEveryRound) {
  const ros::PrivateDomain domain;
  const auto intra = ping_intra({.context = {.domain_id = domain.id()}, .rounds = 200});
  EXPECT_EQ(intra.round_trip.count, 200u);
  EXPECT_GT(intra.round_trip.min_ms, 0);
  const auto inter = ping_inter({.context = {.domain_id = domain.id()}, .bytes = 100000, .rounds = 20});
  EXPECT_EQ(inter.round_trip.count + inter.lost, 20u);
  EXPECT_EQ(inter.lost, 0u);
}

}  // namespace
}  // namespace ballast::robot
