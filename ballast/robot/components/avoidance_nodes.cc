// The nodes of c6 (model predictive control) and of d7 and d8 (perception avoidance).
#include <cmath>

#include "ballast/robot/components/arm_messages.h"
#include "ballast/robot/components/avoidance.h"
#include "ballast/robot/components/component.h"
#include "ballast/robot/components/mpc.h"

namespace ballast::robot {
namespace {

class MpcController : public Component {
 public:
  MpcController(ros::Node& node, const Json& params) : speed_(parameter(params, "speed", 0.6)) {
    options_.horizon = parameter(params, "horizon", 20);
    out_ = node.publisher<geometry_msgs::TwistStamped>("cmd_vel", {});
    node.subscribe<nav_msgs::Path>("path", ros::QosProfile::transient_local(1), [this](auto path) {
      path_.clear();
      for (const auto& pose : path->poses) path_.push_back({pose.pose.position.x, pose.pose.position.y});
    });
    node.subscribe<nav_msgs::Odometry>("odom", {}, [this](auto odometry) { steer(*odometry); });
  }

 private:
  void steer(const nav_msgs::Odometry& odometry) {
    if (path_.empty()) return;
    const auto& pose = odometry.pose.pose;
    const double heading = 2 * std::atan2(pose.orientation.z, pose.orientation.w);
    trace::Operation operation("mpc", odometry.header.stamp);
    operation.begin();
    const MpcProblem problem{{pose.position.x, pose.position.y, heading},
                             references_on(path_, pose.position.x, pose.position.y, speed_, options_)};
    const auto controls = solve_mpc(problem, options_);
    operation.end();
    geometry_msgs::TwistStamped command;
    command.header = odometry.header;
    command.twist.linear.x = controls[0];
    command.twist.angular.z = controls[1];
    out_->publish(std::move(command));
  }

  double speed_;
  MpcOptions options_;
  std::vector<std::array<double, 2>> path_;
  std::shared_ptr<ros::Publisher<geometry_msgs::TwistStamped>> out_;
};

/// Joint states of one or two arms (6 or 12 positions; the second stands `second_base_y` to the left).
class PerceptionAvoidance : public Component {
 public:
  PerceptionAvoidance(ros::Node& node, const Json& params)
      : second_base_y_(parameter(params, "second_base_y", 0.8)),
        sync_([this](const auto& set) { process(*std::get<0>(set), *std::get<1>(set)); }) {
    options_.parallel = parameter(params, "parallel", false);
    out_ = node.publisher<sensor_msgs::JointState>("avoidance", {});
    node.subscribe<sensor_msgs::JointState>("joint_states", {},
                                            [this](auto state) { sync_.template add<1>(state); });
    node.subscribe<sensor_msgs::PointCloud2>("points", {},
                                             [this](auto cloud) { sync_.template add<0>(cloud); });
  }

 private:
  void process(const sensor_msgs::PointCloud2& cloud, const sensor_msgs::JointState& state) {
    trace::Operation operation("perception_avoidance", cloud.header.stamp);
    const auto arms = arms_of_message(state, second_base_y_);
    operation.begin();
    const auto result = avoid(cloud_points(cloud), arms, options_);
    operation.end();
    sensor_msgs::JointState answer;
    answer.header = cloud.header;
    for (std::size_t i = 0; i < result.arms.size(); ++i) {
      const auto& arm = result.arms[i];
      answer.name.push_back("arm" + std::to_string(i + 1));
      answer.position.push_back(arm.distance_m);
      answer.velocity.insert(answer.velocity.end(), arm.velocity.begin(), arm.velocity.end());
    }
    answer.effort = {static_cast<double>(result.self_points), static_cast<double>(result.obstacle_points)};
    out_->publish(std::move(answer));
  }

  double second_base_y_;
  AvoidanceOptions options_;
  std::shared_ptr<ros::Publisher<sensor_msgs::JointState>> out_;
  StampSync<sensor_msgs::PointCloud2, sensor_msgs::JointState> sync_;
};

}  // namespace

std::vector<std::vector<ArmCapsule>> arms_of_message(const sensor_msgs::JointState& state,
                                                     double second_base_y) {
  if (state.position.empty() || state.position.size() % kArmJoints != 0 ||
      state.position.size() > 2 * kArmJoints)
    throw InvalidInput("joint positions", std::to_string(state.position.size()), "6 for one arm, 12 for two");
  std::vector<std::vector<ArmCapsule>> arms;
  for (std::size_t first = 0; first < state.position.size(); first += kArmJoints) {
    JointVector joints;
    for (std::size_t i = 0; i < kArmJoints; ++i) joints[i] = state.position[first + i];
    arms.push_back(arm_capsules(joints));
    if (first > 0)
      for (auto& capsule : arms.back()) {
        capsule.from[1] += second_base_y;
        capsule.to[1] += second_base_y;
      }
  }
  return arms;
}

std::vector<ComponentType> avoidance_components() {
  return {{"ballast::components::MpcController",
           "follows a path by model predictive control",
           {"horizon", "speed"},
           [](ros::Node& node, const Json& params) { return std::make_unique<MpcController>(node, params); }},
          {"ballast::components::PerceptionAvoidance",
           "distances and repulsive velocities from a depth cloud",
           {"parallel", "second_base_y"},
           [](ros::Node& node, const Json& params) {
             return std::make_unique<PerceptionAvoidance>(node, params);
           }}};
}

}  // namespace ballast::robot
