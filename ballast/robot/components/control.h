// Controllers (c1, c2) as plain computations.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ballast/robot/wire/messages.h"

namespace ballast::robot {

/// Positions and velocities of every joint at one time.
struct JointSample {
  std::vector<double> positions, velocities;
};

/// The trajectory at `seconds` after its start: per segment linear, cubic or quintic Hermite by what both of
/// its points carry; before the first point its positions, after the last the last's. Throws InvalidInput for
/// points whose times do not grow or whose lengths differ from the number of joints.
class JointSpline {
 public:
  explicit JointSpline(const trajectory_msgs::JointTrajectory& trajectory);
  JointSample at(double seconds) const;
  double duration_s() const { return times_.back(); }
  std::size_t joints() const { return joints_; }

 private:
  struct Segment {
    double start, length;
    std::vector<std::array<double, 6>> coefficients;  ///< a joint: of (t - start), lowest power first
  };
  std::size_t joints_;
  std::vector<double> times_;
  std::vector<Segment> segments_;
  std::vector<double> first_, last_;
};

struct DiffDriveOptions {
  double wheel_separation_m = 0.4, wheel_radius_m = 0.1;
  double max_speed = 1.0, max_turn = 2.0;  ///< m/s, rad/s
  double max_acceleration = 2.0, max_turn_acceleration = 4.0;
  double timeout_s = 0.5;  ///< without a command for so long: stop
};

/// Differential drive: limits, wheel speeds, and the exact arc of the pose.
class DiffDrive {
 public:
  explicit DiffDrive(const DiffDriveOptions& options) : options_(options) {}

  struct Output {
    double left_rad_s = 0, right_rad_s = 0;  ///< wheel speeds
    double speed = 0, turn = 0;              ///< after limits
    double x = 0, y = 0, heading = 0;        ///< pose after the step
  };
  /// The command held over `dt` seconds. `age_s` is how old the command is.
  Output step(double speed, double turn, double dt, double age_s = 0);

 private:
  DiffDriveOptions options_;
  Output state_;
};

}  // namespace ballast::robot
