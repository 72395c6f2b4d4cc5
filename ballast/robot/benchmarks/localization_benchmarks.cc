// b1 (visual odometry), b2 (localization in a map), b4 (filter over IMU and odometry).
#include <Eigen/LU>
#include <cmath>

#include <fmt/format.h>

#include "ballast/base/random.h"
#include "ballast/robot/benchmarks/benchmark.h"
#include "ballast/robot/benchmarks/images.h"
#include "ballast/robot/benchmarks/rgbd_sequence.h"
#include "ballast/robot/components/arm_messages.h"
#include "ballast/robot/components/ekf.h"
#include "ballast/robot/components/localizer.h"

namespace ballast::robot {
namespace {

using ros::deserialize;
using ros::serialize;

constexpr const char* kOdometry = "nav_msgs/msg/Odometry";

Transform3 inverse_transform(const Transform3& t) {
  Transform3 back;
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) {
      back.rotation[3 * i + j] = t.rotation[3 * j + i];
      back.position[i] -= t.rotation[3 * j + i] * t.position[j];
    }
  return back;
}

geometry_msgs::PoseStamped stamped(const geometry_msgs::Pose& pose) {
  return {{}, pose};
}
geometry_msgs::Pose true_pose(const Input& input, std::size_t frame) {
  return deserialize<geometry_msgs::PoseStamped>(input.truth.at(frame)).pose;
}

Benchmark visual_odometry_benchmark() {
  return {.id = "b1",
          .name = "visual_slam",
          .category = "localization",
          .what = "odometry of a camera with depth: KLT, PnP, bundle adjustment over key frames",
          .rates_hz = {10},
          .slots = {"kltpnp", "kltpnp-noba", "opencv-rgbd"},
          .graph =
              [](const std::string& slot) {
                auto graph = one_node("b1", "image", "sensor_msgs/msg/Image", "odom", kOdometry,
                                      {.name = "/visual_odometry",
                                       .component = "ballast::components::VisualOdometry",
                                       .remap = {{"camera_info", "/camera_info"}, {"depth", "/depth"}},
                                       .params = {{"method", slot}}});
                graph.inputs.push_back({.topic = "/depth", .type = "sensor_msgs/msg/Image"});
                graph.inputs.push_back({.topic = "/camera_info", .type = "sensor_msgs/msg/CameraInfo"});
                return graph;
              },
          .input =
              [](Size size, std::uint64_t seed) {
                RgbdSequence frames;
                if (size == Size::bench) frames = castle_sequence();
                if (frames.grey.empty())
                  frames = size == Size::bench ? generated_rgbd_loop(640, 480, 60, seed)
                                               : generated_rgbd_loop(320, 240, 40, seed);
                Input input{.streams = {}, .description = frames.description, .synthetic = frames.synthetic};
                Stream info{.topic = {.topic = "/camera_info", .type = "sensor_msgs/msg/CameraInfo"},
                            .messages = {}};
                Stream grey{.topic = {.topic = "/image", .type = "sensor_msgs/msg/Image"}, .messages = {}};
                Stream depth{.topic = {.topic = "/depth", .type = "sensor_msgs/msg/Image"}, .messages = {}};
                for (std::size_t i = 0; i < frames.grey.size(); ++i) {
                  info.messages.push_back(serialize(frames.info));
                  grey.messages.push_back(serialize(to_image(frames.grey[i], "mono8", "camera")));
                  depth.messages.push_back(serialize(to_image(frames.depth[i], "32FC1", "camera")));
                  input.truth.push_back(serialize(stamped(pose_message(frames.poses[i]))));
                }
                input.streams = {std::move(info), std::move(depth), std::move(grey)};
                return input;
              },
          // 2 % of a generated way, 5 % of the castle's. The dense baseline keeps no window: 5 % and 15 %.
          // Both ways start at the first answered frame; the largest error on the way counts, in the way's
          // length.
          .check =
              [](const Input& input, const std::string& slot, const auto& outputs, const auto& frames) {
                Check check{.passed = outputs.size() >= 10,
                            .what = "largest position error, share of the length of the way",
                            .limit = slot == "opencv-rgbd" ? (input.synthetic ? 0.05 : 0.15)
                                                           : (input.synthetic ? 0.02 : 0.05)};
                Transform3 true_start, start, last_true;
                double length = 0, worst = 0;
                std::size_t lost = 0;
                for (std::size_t k = 0; k < outputs.size(); ++k) {
                  const auto answer = deserialize<nav_msgs::Odometry>(outputs[k]);
                  lost += answer.child_frame_id == "lost";
                  const auto found = transform_of(answer.pose.pose),
                             truth = transform_of(true_pose(input, frames[k]));
                  if (k == 0) {
                    start = inverse_transform(found);
                    true_start = inverse_transform(truth);
                  } else {
                    length += distance(last_true, truth)[0];
                  }
                  last_true = truth;
                  worst = std::max(worst, distance(start * found, true_start * truth)[0]);
                }
                check.value = length > 0 ? worst / length : 1;
                if (lost > 0) check.what += fmt::format("; {} frames lost", lost);
                check.passed = check.passed && lost == 0 && check.value <= check.limit;
                return check;
              },
          .upper_hz = 200,
          .check_frames = 60};
}

/// A hall with boxes, and free space along the ellipse that is driven.
struct Drive {
  nav_msgs::OccupancyGrid map;
  std::vector<Pose2> poses;
};

Drive generated_drive(int cells, int poses, std::uint64_t seed) {
  Drive drive;
  Random random(seed, 0xb2);
  auto& map = drive.map;
  map.info.resolution = 0.05f;
  map.info.width = map.info.height = static_cast<std::uint32_t>(cells);
  map.info.origin.orientation.w = 1;
  map.data.assign(static_cast<std::size_t>(cells) * static_cast<std::size_t>(cells), 0);
  const double size = cells * 0.05;
  const auto fill = [&](int x0, int y0, int x1, int y1) {
    for (int y = std::max(y0, 0); y < std::min(y1, cells); ++y)
      for (int x = std::max(x0, 0); x < std::min(x1, cells); ++x)
        map.data[static_cast<std::size_t>(y) * static_cast<std::size_t>(cells) +
                 static_cast<std::size_t>(x)] = 100;
  };
  fill(0, 0, cells, 2);
  fill(0, cells - 2, cells, cells);
  fill(0, 0, 2, cells);
  fill(cells - 2, 0, cells, cells);
  const auto pose_at = [&](double turn) {
    const double a = 0.3 * size, b = 0.2 * size;
    return Pose2{size / 2 + a * std::cos(turn), size / 2 + b * std::sin(turn),
                 std::atan2(b * std::cos(turn), -a * std::sin(turn))};
  };
  for (int box = 0; box < 14; ++box) {
    const int x = static_cast<int>(random.below(static_cast<std::uint64_t>(cells))),
              y = static_cast<int>(random.below(static_cast<std::uint64_t>(cells)));
    const int w = 4 + static_cast<int>(random.below(24)), h = 4 + static_cast<int>(random.below(24));
    bool free = true;
    for (int k = 0; k < 100 && free; ++k) {
      const auto pose = pose_at(0.0628 * k);
      const double dx = std::max({x * 0.05 - pose.x, pose.x - (x + w) * 0.05, 0.0}),
                   dy = std::max({y * 0.05 - pose.y, pose.y - (y + h) * 0.05, 0.0});
      free = std::hypot(dx, dy) > 0.4;
    }
    if (free) fill(x, y, x + w, y + h);
  }
  for (int i = 0; i < poses; ++i) drive.poses.push_back(pose_at(6.2831853 * i / poses));
  return drive;
}

Benchmark localization_benchmark() {
  return {
      .id = "b2",
      .name = "map_localization",
      .category = "localization",
      .what = "pose of a laser scanner in a known map",
      .rates_hz = {1, 10},
      .slots = {"branch-and-bound", "particle-filter"},
      .graph =
          [](const std::string& slot) {
            auto graph = one_node("b2", "scan", "sensor_msgs/msg/LaserScan", "pose",
                                  "geometry_msgs/msg/PoseWithCovarianceStamped",
                                  {.name = "/localizer",
                                   .component = "ballast::components::Localizer",
                                   .remap = {{"map", "/map"}, {"odom", "/odom"}},
                                   .params = {{"method", slot}}});
            graph.inputs.push_back({.topic = "/map", .type = "nav_msgs/msg/OccupancyGrid"});
            graph.inputs.push_back({.topic = "/odom", .type = kOdometry});
            return graph;
          },
      .input =
          [](Size size, std::uint64_t seed) {
            const int cells = size == Size::bench ? 400 : 160, poses = size == Size::bench ? 250 : 80;
            const auto drive = generated_drive(cells, poses, seed);
            Random random(seed, 0xb22);
            Stream map{.topic = {.topic = "/map", .type = "nav_msgs/msg/OccupancyGrid"},
                       .messages = {serialize(drive.map)},
                       .once = true};
            Stream odometry{.topic = {.topic = "/odom", .type = kOdometry}, .messages = {}};
            Stream scans{.topic = {.topic = "/scan", .type = "sensor_msgs/msg/LaserScan"}, .messages = {}};
            Input input;
            for (const auto& pose : drive.poses) {
              sensor_msgs::LaserScan scan;
              scan.range_min = 0.05f;
              scan.range_max = 12;
              scan.angle_min = -3.1415927f;
              scan.angle_max = 3.1415927f;
              scan.angle_increment = 6.2831853f / 360;
              for (int i = 0; i < 360; ++i) {
                const double angle = pose.heading + static_cast<double>(scan.angle_min) +
                                     i * static_cast<double>(scan.angle_increment);
                const double range = cast_ray(drive.map, pose.x, pose.y, angle, 12);
                scan.ranges.push_back(static_cast<float>(range < 12 ? range + 0.01 * random.normal() : 12));
              }
              scans.messages.push_back(serialize(scan));
              const auto message = [](double x, double y, double heading) {
                geometry_msgs::Pose result;
                result.position = {x, y, 0};
                result.orientation = {0, 0, std::sin(heading / 2), std::cos(heading / 2)};
                return result;
              };
              nav_msgs::Odometry wheel;
              wheel.pose.pose = message(pose.x + 0.01 * random.normal(), pose.y + 0.01 * random.normal(),
                                        pose.heading + 0.005 * random.normal());
              odometry.messages.push_back(serialize(wheel));
              input.truth.push_back(serialize(stamped(message(pose.x, pose.y, pose.heading))));
            }
            input.streams = {std::move(map), std::move(odometry), std::move(scans)};
            input.description = fmt::format("{} scans of 360 beams in a map of {}x{} cells (seed {})", poses,
                                            cells, cells, seed);
            input.synthetic = true;
            return input;
          },
      .check =
          [](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
            Check check{.passed = !outputs.empty(),
                        .what = "largest error of a pose, in units of 0.15 m or 3 degrees",
                        .limit = 1};
            for (std::size_t k = 0; k < outputs.size(); ++k) {
              const auto error = distance(
                  transform_of(deserialize<geometry_msgs::PoseWithCovarianceStamped>(outputs[k]).pose.pose),
                  transform_of(true_pose(input, frames[k])));
              check.value = std::max({check.value, error[0] / 0.15, std::abs(error[1]) / 0.0523599});
            }
            check.passed = check.passed && check.value <= check.limit;
            return check;
          },
      .upper_hz = 500,
      .check_frames = 40};
}

Benchmark filter_benchmark() {
  return {
      .id = "b4",
      .name = "ekf",
      .category = "localization",
      .what = "extended Kalman filter of 15 states over IMU and odometry",
      .rates_hz = {100},
      .slots = {"reference"},
      .graph =
          [](const std::string&) {
            auto graph = one_node("b4", "odom", kOdometry, "filtered", kOdometry,
                                  {.name = "/ekf",
                                   .component = "ballast::components::Ekf",
                                   .remap = {{"imu", "/imu"}},
                                   .params = {{"acceleration_noise", 0.04}, {"turn_noise", 0.002}}});
            graph.inputs.insert(graph.inputs.begin(), {.topic = "/imu", .type = "sensor_msgs/msg/Imu"});
            return graph;
          },
      // Truth by the filter's own motion model with its process noise, at the 20 Hz of the functional check.
      .input =
          [](Size, std::uint64_t seed) {
            using F = PoseFilter;
            Random random(seed, 0xb4);
            Stream imus{.topic = {.topic = "/imu", .type = "sensor_msgs/msg/Imu"}, .messages = {}};
            Stream wheels{.topic = {.topic = "/odom", .type = kOdometry}, .messages = {}};
            Input input;
            F::Vector state = F::Vector::Zero();
            const double dt = 0.05, turn_noise = 0.01, pull_noise = 0.1, speed_noise = 0.05;
            for (int i = 0; i < 100; ++i) {
              if (i > 0) {
                state = F::predict(state, dt);
                for (int k = F::wroll; k <= F::wyaw; ++k) state[k] += std::sqrt(0.002 * dt) * random.normal();
                for (int k = F::ax; k <= F::az; ++k) state[k] += std::sqrt(0.04 * dt) * random.normal();
              }
              const auto noisy = [&](int first, double sigma) {
                return geometry_msgs::Vector3{state[first] + sigma * random.normal(),
                                              state[first + 1] + sigma * random.normal(),
                                              state[first + 2] + sigma * random.normal()};
              };
              sensor_msgs::Imu imu;
              imu.angular_velocity = noisy(F::wroll, turn_noise);
              imu.linear_acceleration = noisy(F::ax, pull_noise);
              nav_msgs::Odometry wheel;
              wheel.twist.twist.linear = noisy(F::vx, speed_noise);
              for (std::size_t k = 0; k < 3; ++k) {
                imu.angular_velocity_covariance[4 * k] = turn_noise * turn_noise;
                imu.linear_acceleration_covariance[4 * k] = pull_noise * pull_noise;
                wheel.twist.covariance[7 * k] = speed_noise * speed_noise;
              }
              imus.messages.push_back(serialize(imu));
              wheels.messages.push_back(serialize(wheel));
              geometry_msgs::PoseStamped truth;
              truth.pose.position = {state[F::x], state[F::y], state[F::z]};
              // Roll, pitch and yaw as they are: the check compares angles.
              truth.pose.orientation = {state[F::roll], state[F::pitch], state[F::yaw], 0};
              input.truth.push_back(serialize(truth));
            }
            input.streams = {std::move(imus), std::move(wheels)};
            input.description = fmt::format("5 s of IMU and odometry with exact truth (seed {})", seed);
            input.synthetic = true;
            return input;
          },
      .check =
          [](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
            Check check{
                .passed = outputs.size() >= 20,
                .what = "mean normalised squared error of the pose (6 expected; 99 % quantile of one)",
                .limit = 16.81};
            std::size_t counted = 0;
            for (std::size_t k = 0; k < outputs.size(); ++k) {
              if (frames[k] < 5) continue;  // the start is known exactly: its covariance is next to singular
              const auto answer = deserialize<nav_msgs::Odometry>(outputs[k]);
              const auto truth = true_pose(input, frames[k]);
              const auto& q = answer.pose.pose.orientation;
              Eigen::Matrix<double, 6, 1> error;
              error << answer.pose.pose.position.x - truth.position.x,
                  answer.pose.pose.position.y - truth.position.y,
                  answer.pose.pose.position.z - truth.position.z,
                  std::atan2(2 * (q.w * q.x + q.y * q.z), 1 - 2 * (q.x * q.x + q.y * q.y)) -
                      truth.orientation.x,
                  std::asin(2 * (q.w * q.y - q.z * q.x)) - truth.orientation.y,
                  std::atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z)) -
                      truth.orientation.z;
              for (int i = 3; i < 6; ++i) error[i] = std::remainder(error[i], 6.283185307179586);
              Eigen::Matrix<double, 6, 6> covariance;
              for (int i = 0; i < 6; ++i)
                for (int j = 0; j < 6; ++j)
                  covariance(i, j) = answer.pose.covariance[static_cast<std::size_t>(6 * i + j)];
              check.value += error.dot(covariance.inverse() * error);
              ++counted;
            }
            check.value /= static_cast<double>(std::max<std::size_t>(counted, 1));
            check.passed = check.passed && counted > 0 && check.value > 0.5 && check.value <= check.limit;
            return check;
          },
      .check_frames = 60};
}

}  // namespace

std::vector<Benchmark> localization_benchmarks() {
  return {visual_odometry_benchmark(), localization_benchmark(), filter_benchmark()};
}

}  // namespace ballast::robot
