// c1 to c5 (control) and d1 to d6 (manipulation).
#include <fmt/format.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/robot/benchmarks/benchmark.h"
#include "ballast/robot/components/arm.h"
#include "ballast/robot/components/arm_messages.h"
#include "ballast/robot/components/control.h"

namespace ballast::robot {
namespace {

using ros::deserialize;
using ros::serialize;

constexpr const char* kJointState = "sensor_msgs/msg/JointState";

trajectory_msgs::JointTrajectory rrbot_trajectory() {
  trajectory_msgs::JointTrajectory trajectory;
  trajectory.joint_names = {"joint1", "joint2"};
  const double points[][3] = {{0, 0, 0}, {0.5, 0.7, -0.4}, {1.0, -0.3, 0.9}, {1.6, 0.2, 0.1}, {2.0, 0, 0}};
  for (const auto& point : points) {
    trajectory_msgs::JointTrajectoryPoint item;
    item.positions = {point[1], point[2]};
    item.velocities = {0, 0};
    const auto time = to_time(static_cast<std::int64_t>(point[0] * 1e9));
    item.time_from_start = {time.sec, time.nanosec};
    trajectory.points.push_back(item);
  }
  return trajectory;
}

Benchmark joint_trajectory_benchmark() {
  return {.id = "c1",
          .name = "rrbot_joint_trajectory_controller",
          .category = "control",
          .what = "one update of a joint trajectory controller, two joints",
          .rates_hz = {10, 100},
          .slots = {"cubic"},
          .graph =
              [](const std::string&) {
                auto graph = one_node("c1", "joint_states", kJointState, "commands", kJointState,
                                      {.name = "/joint_trajectory_controller",
                                       .component = "ballast::components::JointTrajectoryController",
                                       .remap = {{"trajectory", "/trajectory"}}});
                graph.inputs.insert(graph.inputs.begin(),
                                    {.topic = "/trajectory", .type = "trajectory_msgs/msg/JointTrajectory"});
                return graph;
              },
          .input =
              [](Size, std::uint64_t) {
                Stream goal{.topic = {.topic = "/trajectory", .type = "trajectory_msgs/msg/JointTrajectory"},
                            .messages = {serialize(rrbot_trajectory())},
                            .once = true};
                Stream ticks{.topic = {.topic = "/joint_states", .type = kJointState}, .messages = {}};
                for (int i = 0; i < 200; ++i) {
                  sensor_msgs::JointState state;
                  state.name = {"joint1", "joint2"};
                  state.position = {0, 0};
                  state.effort = {static_cast<double>(i)};
                  ticks.messages.push_back(serialize(state));
                }
                return Input{.streams = {std::move(goal), std::move(ticks)},
                             .description = "200 update ticks of a trajectory of 5 way-points",
                             .synthetic = true};
              },
          // Cubic with zero velocities is the smoothstep between neighbours: a formula of its own.
          .check =
              [](const Input&, const std::string&, const auto& outputs, const auto&) {
                Check check{.passed = !outputs.empty(),
                            .what = "largest distance from the closed form, rad",
                            .limit = 1e-9};
                const auto trajectory = rrbot_trajectory();
                for (const auto& bytes : outputs) {
                  const auto command = deserialize<sensor_msgs::JointState>(bytes);
                  const double time = std::fmod(command.effort.at(0) * 0.01, 2.0);
                  for (std::size_t i = 1; i < trajectory.points.size(); ++i) {
                    const auto at = [&](std::size_t k) {
                      return trajectory.points[k].time_from_start.sec +
                             1e-9 * trajectory.points[k].time_from_start.nanosec;
                    };
                    if (time < at(i - 1) || time >= at(i)) continue;
                    const double s = (time - at(i - 1)) / (at(i) - at(i - 1)), blend = s * s * (3 - 2 * s);
                    for (std::size_t j = 0; j < 2; ++j) {
                      const double a = trajectory.points[i - 1].positions[j],
                                   b = trajectory.points[i].positions[j];
                      check.value =
                          std::max(check.value, std::abs(command.position.at(j) - (a + (b - a) * blend)));
                    }
                  }
                }
                check.passed = check.passed && check.value <= check.limit;
                return check;
              }};
}

Benchmark diff_drive_benchmark() {
  return {.id = "c2",
          .name = "diffbot_diff_driver_controller",
          .category = "control",
          .what = "twist to wheel speeds and odometry",
          .rates_hz = {10, 100},
          .slots = {"reference"},
          .graph =
              [](const std::string&) {
                return one_node("c2", "cmd_vel", "geometry_msgs/msg/TwistStamped", "odom",
                                "nav_msgs/msg/Odometry",
                                {.name = "/diff_drive_controller",
                                 .component = "ballast::components::DiffDriveController",
                                 .remap = {{"wheels", "/wheels"}}});
              },
          .input =
              [](Size, std::uint64_t) {
                Stream commands{.topic = {.topic = "/cmd_vel", .type = "geometry_msgs/msg/TwistStamped"},
                                .messages = {}};
                for (int i = 0; i < 100; ++i) {
                  geometry_msgs::TwistStamped twist;
                  twist.twist.linear.x = 0.5;
                  twist.twist.angular.z = 0.5;
                  commands.messages.push_back(serialize(twist));
                }
                return Input{.streams = {std::move(commands)},
                             .description = "100 commands of 0.5 m/s and 0.5 rad/s",
                             .synthetic = true};
              },
          // v = w = 0.5 after the ramps: the pose stays on a circle of radius 1 m from then on, and so does
          // each step.
          .check =
              [](const Input&, const std::string&, const auto& outputs, const auto&) {
                Check check{.passed = outputs.size() >= 5,
                            .what = "largest distance of a step from the closed-form arc, m",
                            .limit = 1e-9};
                for (std::size_t i = 1; i < outputs.size(); ++i) {
                  const auto a = deserialize<nav_msgs::Odometry>(outputs[i - 1]),
                             b = deserialize<nav_msgs::Odometry>(outputs[i]);
                  const double v = b.twist.twist.linear.x, w = b.twist.twist.angular.z, dt = 0.01;
                  const double heading = 2 * std::atan2(a.pose.pose.orientation.z, a.pose.pose.orientation.w);
                  // Chord of an arc: length 2 v/w sin(w dt / 2), direction heading + w dt / 2.
                  const double chord = w == 0 ? v * dt : 2 * v / w * std::sin(w * dt / 2);
                  const double x = a.pose.pose.position.x + chord * std::cos(heading + w * dt / 2);
                  const double y = a.pose.pose.position.y + chord * std::sin(heading + w * dt / 2);
                  check.value = std::max(check.value,
                                         std::hypot(b.pose.pose.position.x - x, b.pose.pose.position.y - y));
                  if (v <= 0 || v > 0.5 + 1e-12 || w > 0.5 + 1e-12) check.value = 1e9;
                }
                check.passed = check.passed && check.value <= check.limit;
                return check;
              }};
}

Benchmark forward_benchmark(const std::string& id, const std::string& what) {
  return {.id = id,
          .name = "rrbot_forward_command_controller_" + what,
          .category = "control",
          .what = "forwards " + what + " commands",
          .rates_hz = {100},
          .slots = {"reference"},
          .graph =
              [id](const std::string&) {
                auto graph = one_node(id, "commands", "std_msgs/msg/Float64MultiArray", "forwarded",
                                      "std_msgs/msg/Float64MultiArray",
                                      {.name = "/forward_command_controller",
                                       .component = "ballast::components::ForwardCommandController"});
                graph.outputs[0].key = "user:layout.data_offset";  // no header: the array's own counter
                return graph;
              },
          .input =
              [](Size, std::uint64_t seed) {
                Stream commands{.topic = {.topic = "/commands", .type = "std_msgs/msg/Float64MultiArray"},
                                .messages = {},
                                .stamped = false};
                commands.key_path = "layout.data_offset";
                Random random(seed);
                for (int i = 0; i < 50; ++i) {
                  std_msgs::Float64MultiArray array;
                  array.data = {random.uniform(-1, 1), random.uniform(-1, 1)};
                  commands.messages.push_back(serialize(array));
                }
                return Input{.streams = {std::move(commands)},
                             .description = fmt::format("50 commands (seed {})", seed),
                             .synthetic = true};
              },
          .check =
              [](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
                Check check{
                    .passed = !outputs.empty(), .what = "commands that came out different", .limit = 0};
                for (std::size_t k = 0; k < outputs.size(); ++k)
                  check.value +=
                      deserialize<std_msgs::Float64MultiArray>(outputs[k]).data !=
                      deserialize<std_msgs::Float64MultiArray>(input.streams[0].messages[frames[k]]).data;
                check.passed = check.passed && check.value <= check.limit;
                return check;
              }};
}

Stream joint_stream(const std::string& topic, std::uint64_t seed, int count) {
  Stream stream{.topic = {.topic = topic, .type = kJointState}, .messages = {}};
  Random random(seed, 0xa2);
  for (int i = 0; i < count; ++i)
    stream.messages.push_back(serialize(joint_message({}, random_joints(random))));
  return stream;
}

Benchmark collision_benchmark(const std::string& id, const std::string& library) {
  return {.id = id,
          .name = "collision_checking_" + library,
          .category = "manipulation",
          .what = "xArm6 against a cube and itself, " + library,
          .rates_hz = {100},
          .slots = {library},
          .graph =
              [id, library](const std::string&) {
                return one_node(id, "joint_states", kJointState, "contacts", kJointState,
                                {.name = "/collision",
                                 .component = "ballast::components::CollisionChecker",
                                 .params = {{"library", library}}});
              },
          .input =
              [](Size, std::uint64_t seed) {
                return Input{.streams = {joint_stream("/joint_states", seed, 200)},
                             .description = fmt::format("200 configurations (seed {})", seed),
                             .synthetic = true};
              },
          .check =
              [](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
                Check check{.passed = !outputs.empty(),
                            .what = "verdicts that the exact geometry contradicts outside of 2 mm",
                            .limit = 0};
                for (std::size_t k = 0; k < outputs.size(); ++k) {
                  const auto contacts = deserialize<sensor_msgs::JointState>(outputs[k]);
                  const double clearance = exact_clearance(joints_of_message(
                      deserialize<sensor_msgs::JointState>(input.streams[0].messages[frames[k]])));
                  const bool hit = contacts.position.at(0) > 0 || contacts.position.at(1) > 0;
                  check.value += (clearance > 0.002 && hit) || (clearance < -0.002 && !hit);
                }
                check.passed = check.passed && check.value <= check.limit;
                return check;
              }};
}

Benchmark inverse_benchmark(const std::string& id, const std::string& solver, const std::string& name) {
  return {.id = id,
          .name = name,
          .category = "manipulation",
          .what = "inverse kinematics, " + solver,
          .rates_hz = {100},
          .slots = {solver},
          .graph =
              [id, solver](const std::string&) {
                return one_node(id, "goal", "geometry_msgs/msg/PoseStamped", "joints", kJointState,
                                {.name = "/inverse_kinematics",
                                 .component = "ballast::components::InverseKinematics",
                                 .params = {{"solver", solver}}});
              },
          .input =
              [](Size, std::uint64_t seed) {
                Stream goals{.topic = {.topic = "/goal", .type = "geometry_msgs/msg/PoseStamped"},
                             .messages = {}};
                Random random(seed, 0xa4);
                for (int i = 0; i < 100; ++i)
                  goals.messages.push_back(serialize(geometry_msgs::PoseStamped{
                      {}, pose_message(arm_frames(random_joints(random)).back())}));
                return Input{.streams = {std::move(goals)},
                             .description = fmt::format("100 reachable poses (seed {})", seed),
                             .synthetic = true};
              },
          .check =
              [solver](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
                // What the solver's own criterion leaves; 1e-9 for the way through the message's quaternion.
                Check check{
                    .passed = !outputs.empty(),
                    .what = "largest error of a solved goal, m or rad",
                    .limit = ArmKinematics::tolerance(solver == "newton" ? ArmKinematics::Solver::newton
                                                                         : ArmKinematics::Solver::levenberg) +
                             1e-9};
                std::size_t solved = 0;
                for (std::size_t k = 0; k < outputs.size(); ++k) {
                  const auto answer = deserialize<sensor_msgs::JointState>(outputs[k]);
                  if (answer.position.empty()) continue;
                  ++solved;
                  const auto goal = transform_of(
                      deserialize<geometry_msgs::PoseStamped>(input.streams[0].messages[frames[k]]).pose);
                  const auto error = distance(arm_frames(joints_of_message(answer)).back(), goal);
                  check.value = std::max({check.value, error[0], std::abs(error[1])});
                }
                check.what += fmt::format(" ({} of {} solved)", solved, outputs.size());
                check.passed = check.passed && solved > 0 && check.value <= check.limit;
                return check;
              }};
}

Benchmark direct_benchmark() {
  return {.id = "d6",
          .name = "direct_kinematics",
          .category = "manipulation",
          .what = "direct kinematics (KDL)",
          .rates_hz = {100},
          .slots = {"kdl"},
          .graph =
              [](const std::string&) {
                return one_node(
                    "d6", "joint_states", kJointState, "pose", "geometry_msgs/msg/PoseStamped",
                    {.name = "/direct_kinematics", .component = "ballast::components::DirectKinematics"});
              },
          .input =
              [](Size, std::uint64_t seed) {
                return Input{.streams = {joint_stream("/joint_states", seed, 200)},
                             .description = fmt::format("200 configurations (seed {})", seed),
                             .synthetic = true};
              },
          .check =
              [](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
                Check check{.passed = !outputs.empty(),
                            .what = "largest difference to the product of DH matrices, m or rad",
                            .limit = 1e-9};
                for (std::size_t k = 0; k < outputs.size(); ++k) {
                  const auto pose = transform_of(deserialize<geometry_msgs::PoseStamped>(outputs[k]).pose);
                  const auto joints = joints_of_message(
                      deserialize<sensor_msgs::JointState>(input.streams[0].messages[frames[k]]));
                  const auto error = distance(arm_frames(joints).back(), pose);
                  check.value = std::max({check.value, error[0], std::abs(error[1])});
                }
                check.passed = check.passed && check.value <= check.limit;
                return check;
              }};
}

Benchmark planning_benchmark() {
  return {
      .id = "d1",
      .name = "xarm6_planning",
      .category = "manipulation",
      .what = "RRTConnect around a cube (planning only; execution is not timed)",
      .rates_hz = {1},
      .slots = {"rrtconnect"},
      .graph =
          [](const std::string&) {
            return one_node("d1", "query", kJointState, "trajectory", "trajectory_msgs/msg/JointTrajectory",
                            {.name = "/motion_planner", .component = "ballast::components::MotionPlanner"});
          },
      .input =
          [](Size, std::uint64_t seed) {
            Stream queries{.topic = {.topic = "/query", .type = kJointState}, .messages = {}};
            Random random(seed, 0xd1);
            const auto checker = CollisionChecker::make(CollisionChecker::Library::fcl);
            while (queries.messages.size() < 10) {
              const auto start = random_joints(random), goal = random_joints(random);
              if (exact_clearance(start) < 0.01 || exact_clearance(goal) < 0.01) continue;
              sensor_msgs::JointState query;
              query.position.assign(start.begin(), start.end());
              query.position.insert(query.position.end(), goal.begin(), goal.end());
              queries.messages.push_back(serialize(query));
            }
            return Input{.streams = {std::move(queries)},
                         .description = fmt::format("10 queries (seed {})", seed),
                         .synthetic = true};
          },
      .check =
          [](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
            Check check{.passed = !outputs.empty(),
                        .what = "paths that are not free by FCL or Bullet, or miss their ends",
                        .limit = 0};
            const auto fcl = CollisionChecker::make(CollisionChecker::Library::fcl);
            const auto bullet = CollisionChecker::make(CollisionChecker::Library::bullet);
            for (std::size_t k = 0; k < outputs.size(); ++k) {
              const auto trajectory = deserialize<trajectory_msgs::JointTrajectory>(outputs[k]);
              const auto query = deserialize<sensor_msgs::JointState>(input.streams[0].messages[frames[k]]);
              std::vector<JointVector> path;
              for (const auto& point : trajectory.points) {
                JointVector joints;
                std::copy_n(point.positions.begin(), kArmJoints, joints.begin());
                path.push_back(joints);
              }
              // Bullet's verdict may differ within 2 mm of a contact: its check is against the exact
              // clearance.
              bool good = path.size() >= 2 && path_is_free(path, *fcl);
              for (std::size_t i = 0; good && i < kArmJoints; ++i)
                good = std::abs(path.front()[i] - query.position[i]) < 1e-6 &&
                       std::abs(path.back()[i] - query.position[kArmJoints + i]) < 1e-6;
              for (const auto& joints : path) {
                const auto contacts = bullet->check(joints);
                good = good && (exact_clearance(joints) < 0.002 || (!contacts.world && !contacts.self));
              }
              check.value += !good;
            }
            check.passed = check.passed && check.value <= check.limit;
            return check;
          },
      .upper_hz = 200};
}

}  // namespace

std::vector<Benchmark> motion_benchmarks() {
  return {joint_trajectory_benchmark(),
          diff_drive_benchmark(),
          forward_benchmark("c3", "position"),
          forward_benchmark("c4", "velocity"),
          forward_benchmark("c5", "acceleration"),
          planning_benchmark(),
          collision_benchmark("d2", "fcl"),
          collision_benchmark("d3", "bullet"),
          inverse_benchmark("d4", "newton", "inverse_kinematics_kdl"),
          inverse_benchmark("d5", "levenberg", "inverse_kinematics_lma"),
          direct_benchmark()};
}

}  // namespace ballast::robot
