#include "ballast/robot/components/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/robot/components/component.h"

namespace ballast::robot {

JointSpline::JointSpline(const trajectory_msgs::JointTrajectory& trajectory)
    : joints_(trajectory.joint_names.size()) {
  if (joints_ == 0 || trajectory.points.empty()) throw InvalidInput("a trajectory without joints or points");
  const auto sized = [&](const std::vector<double>& values) {
    return values.empty() || values.size() == joints_;
  };
  for (const auto& point : trajectory.points) {
    if (point.positions.size() != joints_ || !sized(point.velocities) || !sized(point.accelerations))
      throw InvalidInput(fmt::format("a trajectory point of another length than its {} joints", joints_));
    const double time = point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec;
    if (!times_.empty() && time <= times_.back()) throw InvalidInput("a trajectory whose times do not grow");
    times_.push_back(time);
  }
  first_ = trajectory.points.front().positions;
  last_ = trajectory.points.back().positions;
  for (std::size_t i = 1; i < trajectory.points.size(); ++i) {
    const auto &a = trajectory.points[i - 1], &b = trajectory.points[i];
    Segment segment{times_[i - 1], times_[i] - times_[i - 1], {}};
    const double T = segment.length;
    const bool cubic = !a.velocities.empty() && !b.velocities.empty();
    const bool quintic = cubic && !a.accelerations.empty() && !b.accelerations.empty();
    for (std::size_t j = 0; j < joints_; ++j) {
      const double p0 = a.positions[j], p1 = b.positions[j], d = p1 - p0;
      std::array<double, 6> c{p0, d / T, 0, 0, 0, 0};
      if (quintic) {
        const double v0 = a.velocities[j], v1 = b.velocities[j], a0 = a.accelerations[j],
                     a1 = b.accelerations[j];
        c = {p0,
             v0,
             a0 / 2,
             (20 * d - (8 * v1 + 12 * v0) * T - (3 * a0 - a1) * T * T) / (2 * T * T * T),
             (-30 * d + (14 * v1 + 16 * v0) * T + (3 * a0 - 2 * a1) * T * T) / (2 * T * T * T * T),
             (12 * d - 6 * (v1 + v0) * T + (a1 - a0) * T * T) / (2 * T * T * T * T * T)};
      } else if (cubic) {
        const double v0 = a.velocities[j], v1 = b.velocities[j];
        c = {p0, v0, (3 * d - (2 * v0 + v1) * T) / (T * T), (-2 * d + (v0 + v1) * T) / (T * T * T), 0, 0};
      }
      segment.coefficients.push_back(c);
    }
    segments_.push_back(std::move(segment));
  }
}

JointSample JointSpline::at(double seconds) const {
  JointSample sample{first_, std::vector<double>(joints_, 0)};
  if (seconds <= times_.front()) return sample;
  if (seconds >= times_.back()) {
    sample.positions = last_;
    return sample;
  }
  const auto next = std::upper_bound(times_.begin(), times_.end(), seconds);
  const auto& segment = segments_[static_cast<std::size_t>(next - times_.begin()) - 1];
  const double t = seconds - segment.start;
  for (std::size_t j = 0; j < joints_; ++j) {
    const auto& c = segment.coefficients[j];
    sample.positions[j] = c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5]))));
    sample.velocities[j] = c[1] + t * (2 * c[2] + t * (3 * c[3] + t * (4 * c[4] + t * 5 * c[5])));
  }
  return sample;
}

DiffDrive::Output DiffDrive::step(double speed, double turn, double dt, double age_s) {
  if (age_s > options_.timeout_s || !std::isfinite(speed) || !std::isfinite(turn)) speed = turn = 0;
  const auto limited = [dt](double wanted, double before, double most, double acceleration) {
    wanted = std::clamp(wanted, -most, most);
    return std::clamp(wanted, before - acceleration * dt, before + acceleration * dt);
  };
  const double v = limited(speed, state_.speed, options_.max_speed, options_.max_acceleration);
  const double w = limited(turn, state_.turn, options_.max_turn, options_.max_turn_acceleration);
  state_.speed = v;
  state_.turn = w;
  const double half = w * options_.wheel_separation_m / 2;
  state_.left_rad_s = (v - half) / options_.wheel_radius_m;
  state_.right_rad_s = (v + half) / options_.wheel_radius_m;
  // The exact arc of constant v and w; its chord for a straight line.
  const double turned = w * dt;
  if (std::abs(turned) < 1e-9) {
    state_.x += v * dt * std::cos(state_.heading);
    state_.y += v * dt * std::sin(state_.heading);
  } else {
    const double radius = v / w;
    state_.x += radius * (std::sin(state_.heading + turned) - std::sin(state_.heading));
    state_.y -= radius * (std::cos(state_.heading + turned) - std::cos(state_.heading));
  }
  state_.heading = std::remainder(state_.heading + turned, 6.283185307179586);
  return state_;
}

namespace {

/// c1: at every joint state (the update tick) the commands of the trajectory, `period` later at each tick.
class JointTrajectoryController : public Component {
 public:
  JointTrajectoryController(ros::Node& node, const Json& params)
      : period_s_(parameter(params, "period_s", 0.01)) {
    out_ = node.publisher<sensor_msgs::JointState>("commands", {});
    node.subscribe<trajectory_msgs::JointTrajectory>("trajectory", ros::QosProfile::transient_local(1),
                                                     [this](auto goal) {
                                                       spline_ = std::make_unique<JointSpline>(*goal);
                                                       names_ = goal->joint_names;
                                                     });
    node.subscribe<sensor_msgs::JointState>("joint_states", {}, [this](auto state) { update(*state); });
  }

 private:
  void update(const sensor_msgs::JointState& state) {
    trace::Operation operation("joint_trajectory_controller_update", state.header.stamp);
    if (!spline_) return;  // no goal yet: hold
    // The tick's number travels in the state's effort, so that a lost tick does not shift the rest.
    const double tick = state.effort.empty() ? 0 : state.effort[0];
    operation.begin();
    const auto sample = spline_->at(std::fmod(tick * period_s_, spline_->duration_s()));
    operation.end();
    sensor_msgs::JointState command;
    command.header = state.header;
    command.name = names_;
    command.position = sample.positions;
    command.velocity = sample.velocities;
    command.effort = {tick};
    out_->publish(std::move(command));
  }
  double period_s_;
  std::unique_ptr<JointSpline> spline_;
  std::vector<std::string> names_;
  std::shared_ptr<ros::Publisher<sensor_msgs::JointState>> out_;
};

/// c2: a velocity command to wheel speeds and odometry.
class DiffDriveController : public Component {
 public:
  DiffDriveController(ros::Node& node, const Json& params)
      : drive_(DiffDriveOptions{}), period_s_(parameter(params, "period_s", 0.01)) {
    wheels_ = node.publisher<std_msgs::Float64MultiArray>("wheels", {});
    odometry_ = node.publisher<nav_msgs::Odometry>("odom", {});
    node.subscribe<geometry_msgs::TwistStamped>("cmd_vel", {}, [this](auto command) { update(*command); });
  }

 private:
  void update(const geometry_msgs::TwistStamped& command) {
    trace::Operation operation("diff_drive_controller_update", command.header.stamp);
    operation.begin();
    const auto out = drive_.step(command.twist.linear.x, command.twist.angular.z, period_s_);
    operation.end();
    std_msgs::Float64MultiArray wheels;
    wheels.data = {out.left_rad_s, out.right_rad_s};
    wheels_->publish(std::move(wheels));
    nav_msgs::Odometry odometry;
    odometry.header = command.header;
    odometry.child_frame_id = "base_link";
    odometry.pose.pose.position = {out.x, out.y, 0};
    odometry.pose.pose.orientation = {0, 0, std::sin(out.heading / 2), std::cos(out.heading / 2)};
    odometry.twist.twist.linear.x = out.speed;
    odometry.twist.twist.angular.z = out.turn;
    odometry_->publish(std::move(odometry));
  }
  DiffDrive drive_;
  double period_s_;
  std::shared_ptr<ros::Publisher<std_msgs::Float64MultiArray>> wheels_;
  std::shared_ptr<ros::Publisher<nav_msgs::Odometry>> odometry_;
};

/// c3 to c5: commands copied through the double buffer that separates a real-time loop from its input.
class ForwardController : public Component {
 public:
  ForwardController(ros::Node& node, const Json&) {
    out_ = node.publisher<std_msgs::Float64MultiArray>("forwarded", {});
    node.subscribe<std_msgs::Float64MultiArray>("commands", {}, [this](auto command) {
      trace::Operation operation("forward_command_controller_update", builtin_interfaces::Time{});
      operation.begin();
      buffers_[1 - live_] = *command;
      live_ = 1 - live_;
      operation.end();
      out_->publish(buffers_[live_]);
    });
  }

 private:
  std::array<std_msgs::Float64MultiArray, 2> buffers_;
  std::size_t live_ = 0;
  std::shared_ptr<ros::Publisher<std_msgs::Float64MultiArray>> out_;
};

}  // namespace

std::vector<ComponentType> control_components() {
  return {{"ballast::components::JointTrajectoryController",
           "commands along a joint trajectory",
           {"period_s"},
           [](ros::Node& node, const Json& params) {
             return std::make_unique<JointTrajectoryController>(node, params);
           }},
          {"ballast::components::DiffDriveController",
           "twist to wheel speeds and odometry",
           {"period_s"},
           [](ros::Node& node, const Json& params) {
             return std::make_unique<DiffDriveController>(node, params);
           }},
          {"ballast::components::ForwardCommandController",
           "forwards commands",
           {},
           [](ros::Node& node, const Json& params) {
             return std::make_unique<ForwardController>(node, params);
           }}};
}

}  // namespace ballast::robot
