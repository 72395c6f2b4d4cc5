// d7, d8: perception avoidance. A depth camera's cloud, less the points that are the robot itself, gives each
// arm the distance to what is around it and a velocity away from the nearest obstacle (Khatib, "Real-time
// obstacle avoidance for manipulators and mobile robots", IJRR 1986).
#pragma once

#include <array>
#include <vector>

#include "ballast/robot/components/arm.h"
#include "ballast/robot/wire/messages.h"

namespace ballast::robot {

using Point3 = std::array<float, 3>;

struct AvoidanceOptions {
  double self_margin_m = 0.02;  ///< points so near to a link's surface are the robot
  double reach_m = 0.5;         ///< obstacles farther away push nothing
  double max_speed = 0.25;      ///< m/s, at contact
  bool parallel = false;        ///< on TBB's threads
};

struct Avoidance {
  double distance_m = 0;             ///< of the arm's surface to the nearest obstacle; infinite without one
  std::size_t link = 0;              ///< the capsule that it is nearest to
  std::array<double, 3> velocity{};  ///< away from it, in the cloud's frame
};

struct AvoidanceResult {
  std::vector<Avoidance> arms;
  std::size_t self_points = 0, obstacle_points = 0;
};

/// The finite points of a cloud with FLOAT32 fields x, y, z. Throws InvalidInput for other clouds.
std::vector<Point3> cloud_points(const sensor_msgs::PointCloud2& cloud);

/// The capsules of one arm (6 positions) or two (12, the second's base `second_base_y` to the left). Throws
/// InvalidInput for other numbers.
std::vector<std::vector<ArmCapsule>> arms_of_message(const sensor_msgs::JointState& state,
                                                     double second_base_y);

/// All arms filter the cloud; each is then pushed by what remains.
AvoidanceResult avoid(const std::vector<Point3>& points, const std::vector<std::vector<ArmCapsule>>& arms,
                      const AvoidanceOptions& options);

}  // namespace ballast::robot
