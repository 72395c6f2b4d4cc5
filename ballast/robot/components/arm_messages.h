// The arm's values as messages.
#pragma once

#include "ballast/robot/components/arm.h"
#include "ballast/robot/wire/messages.h"

namespace ballast::robot {

/// Throws InvalidInput unless there are six positions.
JointVector joints_of_message(const sensor_msgs::JointState& state);
sensor_msgs::JointState joint_message(const std_msgs::Header& header, const JointVector& joints);
geometry_msgs::Pose pose_message(const Transform3& transform);
/// Throws InvalidInput when the quaternion is far from length 1.
Transform3 transform_of(const geometry_msgs::Pose& pose);

}  // namespace ballast::robot
