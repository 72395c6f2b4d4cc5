// b1, b2, b4, c6, d7 and d8 as plain computations, against brute force, closed forms and statistics.
#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/robot/benchmarks/rgbd_sequence.h"
#include "ballast/robot/components/avoidance.h"
#include "ballast/robot/components/bundle_adjustment.h"
#include "ballast/robot/components/ekf.h"
#include "ballast/robot/components/localizer.h"
#include "ballast/robot/components/mpc.h"
#include "ballast/robot/components/visual_odometry.h"

namespace ballast::robot {
namespace {

using F = PoseFilter;

F::Vector noise_of_filter() {
  F::Vector noise = F::Vector::Constant(1e-8);
  noise.segment<3>(F::ax).setConstant(0.04);
  noise.segment<3>(F::wroll).setConstant(0.002);
  return noise;
}

TEST(Ekf, JacobianIsTheDerivative) {
  const std::uint64_t seed = 5;
  Random random(seed);
  for (int trial = 0; trial < 20; ++trial) {
    F::Vector state;
    for (int i = 0; i < F::kStates; ++i) state[i] = random.uniform(-1, 1);
    F::Matrix jacobian;
    F::predict(state, 0.1, &jacobian);
    for (int i = 0; i < F::kStates; ++i) {
      F::Vector high = state, low = state;
      high[i] += 1e-6;
      low[i] -= 1e-6;
      const F::Vector column = (F::predict(high, 0.1) - F::predict(low, 0.1)) / 2e-6;
      EXPECT_LE((column - jacobian.col(i)).cwiseAbs().maxCoeff(), 1e-6) << "seed " << seed << " state " << i;
    }
  }
}

TEST(Ekf, NormalisedErrorsLieInTheirChiSquareBand) {
  // 40 independent drives, 15 states: the sum of squares has 600 degrees of freedom, whose 99.8 % band is
  // 600 -3.09 sqrt(1200) .. 600 + 3.09 sqrt(1200).
  const std::uint64_t seed = 11;
  double sum = 0;
  constexpr int kDrives = 40;
  for (int drive = 0; drive < kDrives; ++drive) {
    Random random(seed, static_cast<std::uint64_t>(drive));
    const F::Vector noise = noise_of_filter();
    F filter(noise);
    F::Vector truth;
    const F::Matrix start = F::Matrix::Identity() * 1e-3;
    for (int i = 0; i < F::kStates; ++i) truth[i] = std::sqrt(1e-3) * random.normal();
    filter.start(0, F::Vector::Zero(), start);
    const double dt = 0.05;
    for (int step = 1; step <= 60; ++step) {
      truth = F::predict(truth, dt);
      for (int i = 0; i < F::kStates; ++i) truth[i] += std::sqrt(noise[i] * dt) * random.normal();
      F::Measurement m{.time_ns = step * 50'000'000LL, .states = {}, .values = {}, .variances = {}};
      for (int i = F::vx; i < F::kStates; ++i) {
        const double sigma = i <= F::vz ? 0.05 : i <= F::wyaw ? 0.01 : 0.1;
        m.states.push_back(i);
        m.values.push_back(truth[i] + sigma * random.normal());
        m.variances.push_back(sigma * sigma);
      }
      ASSERT_TRUE(filter.fuse(m));
    }
    F::Vector error = truth - filter.state();
    for (int i = F::roll; i <= F::yaw; ++i) error[i] = std::remainder(error[i], 6.283185307179586);
    sum += error.dot(filter.covariance().inverse() * error);
  }
  EXPECT_GT(sum, 600 - 107) << "seed " << seed;
  EXPECT_LT(sum, 600 + 107) << "seed " << seed;
}

TEST(Ekf, ALateMeasurementIsAsIfItHadComeInTime) {
  const auto measurement = [](int step, int state, double value) {
    return F::Measurement{
        .time_ns = step * 10'000'000LL, .states = {state}, .values = {value}, .variances = {0.01}};
  };
  F in_time(noise_of_filter()), late(noise_of_filter());
  for (F* filter : {&in_time, &late}) filter->start(0, F::Vector::Zero(), F::Matrix::Identity() * 0.1);
  for (int step = 1; step <= 20; ++step) {
    in_time.fuse(measurement(step, F::vx, 0.1 * step));
    if (step == 10) in_time.fuse(measurement(10, F::wyaw, 0.5));
    late.fuse(measurement(step, F::vx, 0.1 * step));
  }
  ASSERT_TRUE(late.fuse(measurement(10, F::wyaw, 0.5)));
  EXPECT_LE((late.state() - in_time.state()).cwiseAbs().maxCoeff(), 1e-12);
  EXPECT_LE((late.covariance() - in_time.covariance()).cwiseAbs().maxCoeff(), 1e-12);
  EXPECT_FALSE(late.fuse(measurement(-500, F::vx, 0)));  // older than the history
  EXPECT_THROW(late.fuse(measurement(21, 15, 0)), InvalidInput);
  EXPECT_THROW(late.fuse(measurement(21, F::vx, NAN)), InvalidInput);
  EXPECT_THROW(F(F::Vector::Zero()), InvalidInput);
}

nav_msgs::OccupancyGrid small_room(int cells, std::uint64_t seed) {
  nav_msgs::OccupancyGrid map;
  map.info.resolution = 0.1f;
  map.info.width = map.info.height = static_cast<std::uint32_t>(cells);
  map.info.origin.position = {-1, 2, 0};
  map.data.assign(static_cast<std::size_t>(cells * cells), 0);
  const auto at = [&](int x, int y) -> std::int8_t& {
    return map.data[static_cast<std::size_t>(y * cells + x)];
  };
  for (int i = 0; i < cells; ++i) at(i, 0) = at(0, i) = at(cells - 1, i) = at(i, cells - 1) = 100;
  Random random(seed);
  for (int i = 0; i < 12; ++i)
    at(2 + static_cast<int>(random.below(static_cast<std::uint64_t>(cells - 4))),
       2 + static_cast<int>(random.below(static_cast<std::uint64_t>(cells - 4)))) = 100;
  return map;
}

sensor_msgs::LaserScan scan_at(const nav_msgs::OccupancyGrid& map, const Pose2& pose, int beams) {
  sensor_msgs::LaserScan scan;
  scan.range_min = 0.02f;
  scan.range_max = 5;
  scan.angle_increment = 6.2831853f / static_cast<float>(beams);
  for (int i = 0; i < beams; ++i)
    scan.ranges.push_back(static_cast<float>(
        cast_ray(map, pose.x, pose.y, pose.heading + i * static_cast<double>(scan.angle_increment), 5)));
  return scan;
}

TEST(Localizer, BranchAndBoundFindsTheOptimumOfExhaustiveSearch) {
  const std::uint64_t seed = 21;
  Random random(seed);
  for (std::uint64_t trial = 0; trial < 8; ++trial) {
    const auto map = small_room(24, seed + trial);
    const LikelihoodField field(map, 0.1, static_cast<int>(trial % 5));
    const Pose2 truth{-1 + random.uniform(0.5, 1.9), 2 + random.uniform(0.5, 1.9), random.uniform(-3, 3)};
    const auto points = scan_points(scan_at(map, truth, 40), 40);
    if (points.size() < 10) continue;  // the scanner stands in a wall
    const auto fast = match_globally(field, points), slow = match_exhaustively(field, points);
    EXPECT_DOUBLE_EQ(fast.score, slow.score) << "seed " << seed << " trial " << trial;
    if (trial % 5 > 0) {
      EXPECT_LT(fast.evaluated, slow.evaluated);
    }
  }
  nav_msgs::OccupancyGrid empty;
  EXPECT_THROW(LikelihoodField(empty, 0.1, 2), InvalidInput);
  auto free = small_room(8, 1);
  std::fill(free.data.begin(), free.data.end(), std::int8_t{0});
  EXPECT_THROW(LikelihoodField(free, 0.1, 2), InvalidInput);
}

TEST(Localizer, LevelsHoldTheMaximaOfTheirBlocks) {
  const auto map = small_room(13, 4);
  const LikelihoodField field(map, 0.1, 3);
  for (int level = 0; level <= 3; ++level)
    for (int y = -8; y < 14; ++y)
      for (int x = -8; x < 14; ++x) {
        float most = 0;
        for (int dy = 0; dy < 1 << level; ++dy)
          for (int dx = 0; dx < 1 << level; ++dx) most = std::max(most, field.value(0, x + dx, y + dy));
        ASSERT_EQ(field.value(level, x, y), most) << level << " " << x << " " << y;
      }
}

TEST(Localizer, ParticlesFollowADriveAndBecomeFewer) {
  const std::uint64_t seed = 3;
  const auto map = small_room(40, seed);
  const LikelihoodField field(map, 0.1, 5);
  ParticleFilter filter(field, {}, seed);
  Pose2 pose{0.4, 3.4, 0.2};
  filter.start(pose, 0.2, 0.1);
  for (int step = 0; step < 20; ++step) {
    Pose2 next{pose.x + 0.04 * std::cos(pose.heading), pose.y + 0.04 * std::sin(pose.heading),
               pose.heading + 0.03};
    filter.update(pose, next, scan_points(scan_at(map, next, 60), 60));
    pose = next;
  }
  const auto found = filter.mean();
  EXPECT_LE(std::hypot(found.x - pose.x, found.y - pose.y), 0.15) << "seed " << seed;
  EXPECT_LE(std::abs(std::remainder(found.heading - pose.heading, 6.2831853)), 0.0524);
  EXPECT_LT(filter.size(), 5000u);
  EXPECT_GE(filter.size(), 500u);
}

TEST(Mpc, GradientIsTheDerivativeAndSqpFindsTheSlowSolversOptimum) {
  const std::uint64_t seed = 9;
  Random random(seed);
  const MpcOptions options;
  for (int trial = 0; trial < 5; ++trial) {
    std::vector<std::array<double, 2>> path;
    for (int i = 0; i < 60; ++i) path.push_back({0.1 * i, 0.3 * std::sin(0.1 * i + trial)});
    const MpcProblem problem{{random.uniform(-0.2, 1), random.uniform(-0.3, 0.3), random.uniform(-0.5, 0.5)},
                             references_on(path, 0.3, 0, 0.6, options)};
    std::vector<double> controls, gradient;
    for (int i = 0; i < options.horizon; ++i) {
      controls.push_back(random.uniform(0, 1));
      controls.push_back(random.uniform(-1, 1));
    }
    mpc_cost(problem, options, controls, &gradient);
    for (std::size_t i = 0; i < controls.size(); ++i) {
      auto high = controls, low = controls;
      high[i] += 1e-6;
      low[i] -= 1e-6;
      EXPECT_NEAR(gradient[i], (mpc_cost(problem, options, high) - mpc_cost(problem, options, low)) / 2e-6,
                  1e-6);
    }
    const auto fast = solve_mpc(problem, options), slow = solve_mpc_slowly(problem, options);
    EXPECT_LE(mpc_cost(problem, options, fast), mpc_cost(problem, options, slow) + 1e-4) << "seed " << seed;
    EXPECT_NEAR(fast[0], slow[0], 0.02);
    EXPECT_NEAR(fast[1], slow[1], 0.02);
  }
  EXPECT_THROW(solve_mpc({}, options), InvalidInput);
  EXPECT_THROW(references_on({}, 0, 0, 1, options), InvalidInput);
}

TEST(Avoidance, PushesAwayFromTheNearestAndNotFromItself) {
  const ArmCapsule upright{{0, 0, 0}, {0, 0, 1}, 0.1};
  const std::vector<Point3> points{{0.105f, 0, 0.5f}, {0.4f, 0, 0.5f}, {0, -2, 0.5f}, {0, 0, 3}};
  for (const bool parallel : {false, true}) {
    const auto result = avoid(points, {{upright}}, {.parallel = parallel});
    ASSERT_EQ(result.arms.size(), 1u);
    EXPECT_EQ(result.self_points, 1u);  // 5 mm off the surface
    EXPECT_EQ(result.obstacle_points, 3u);
    EXPECT_NEAR(result.arms[0].distance_m, 0.3, 1e-6);
    EXPECT_NEAR(result.arms[0].velocity[0], -0.25 * 0.4 * 0.4, 1e-6);  // (1 - 0.3 / 0.5)^2
    EXPECT_NEAR(result.arms[0].velocity[1], 0, 1e-9);
    const auto nothing = avoid({}, {{upright}}, {.parallel = parallel});
    EXPECT_TRUE(std::isinf(nothing.arms[0].distance_m));
    EXPECT_EQ(nothing.arms[0].velocity[0], 0);
  }
  sensor_msgs::PointCloud2 cloud;
  EXPECT_THROW(cloud_points(cloud), InvalidInput);
  cloud.fields = {{"x", 0, 7, 1}, {"y", 4, 7, 1}, {"z", 8, 7, 1}};
  cloud.point_step = 12;
  cloud.width = 10;
  cloud.height = 1;
  EXPECT_THROW(cloud_points(cloud), InvalidInput);  // shorter than it says
  sensor_msgs::JointState state;
  EXPECT_THROW(arms_of_message(state, 1), InvalidInput);
}

TEST(Bundle, RecoversPosesAndPointsThatWereDisturbed) {
  const std::uint64_t seed = 31;
  Random random(seed);
  BundleWindow window{400, 400, 320, 240, {}, {}};
  std::vector<std::array<double, 3>> points;
  for (int i = 0; i < 60; ++i)
    points.push_back({random.uniform(-1, 1), random.uniform(-1, 1), random.uniform(2, 4)});
  std::vector<std::array<double, 6>> poses;
  for (int v = 0; v < 4; ++v) {
    poses.push_back({0, 0, 0, 0.1 * v, -0.02 * v, 0.03 * v});
    BundleView view{poses.back(), {}};
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double x = points[i][0] + poses.back()[3], y = points[i][1] + poses.back()[4],
                   z = points[i][2] + poses.back()[5];
      view.observations.push_back({i, 400 * x / z + 320, 400 * y / z + 240, z});
    }
    if (v > 0)
      for (auto& value : view.pose) value += 0.02 * random.normal();
    window.views.push_back(view);
  }
  window.points = points;
  for (auto& point : window.points)
    for (auto& value : point) value += 0.01 * random.normal();
  EXPECT_LE(adjust_bundle(window, 50), 1e-3) << "seed " << seed;
  for (std::size_t v = 0; v < poses.size(); ++v)
    for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(window.views[v].pose[i], poses[v][i], 1e-4);
}

TEST(VisualOdometry, ALoopClosesWithinTwoPercentAndLossIsTold) {
  const auto loop = generated_rgbd_loop(320, 240, 40, 2);
  const CameraModel camera{loop.info.k[0], loop.info.k[4], loop.info.k[2], loop.info.k[5]};
  VisualOdometry odometry(camera, {});
  // Positions relative to the first pose, whose rotation is the identity.
  for (std::size_t i = 0; i < loop.grey.size(); ++i) {
    const auto found = odometry.track(loop.grey[i], loop.depth[i]);
    ASSERT_FALSE(found.lost) << i;
    double error = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      const double difference =
          found.pose.position[k] - (loop.poses[i].position[k] - loop.poses[0].position[k]);
      error += difference * difference;
    }
    EXPECT_LE(std::sqrt(error), 0.02 * loop.path_m) << i;
  }
  const cv::Mat black(240, 320, CV_8UC1, cv::Scalar(0));
  EXPECT_TRUE(odometry.track(black, loop.depth[0]).lost);
  EXPECT_THROW(odometry.track(black, cv::Mat()), InvalidInput);
  EXPECT_THROW(VisualOdometry(CameraModel{}, {}), InvalidInput);
}

}  // namespace
}  // namespace ballast::robot
