// The LTTng-UST backend: each point as a tracepoint of its own, which costs one load and branch while no
// session records.
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "ballast/robot/trace/lttng_ros2.h"
#undef LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ
#include "ballast/robot/trace/lttng_operations.h"

#include <array>
#include <string>
#include <unordered_map>

#include "ballast/robot/trace/lttng.h"

namespace ballast::trace {
namespace {

using Stamped = void (*)(std::uint64_t, std::uint64_t);

/// The four tracepoints of each operation, in the order of Point::operation_cb_init and on.
const std::unordered_map<std::string_view, std::array<Stamped, 4>>& operations() {
#define BALLAST_POINT(name) \
  [](std::uint64_t sec, std::uint64_t nsec) { tracepoint(ros2_image_pipeline, name, sec, nsec); }
#define BALLAST_OPERATION(name)                                                              \
  {                                                                                          \
#name, {                                                                                 \
      BALLAST_POINT(name##_cb_init), BALLAST_POINT(name##_init), BALLAST_POINT(name##_fini), \
          BALLAST_POINT(name##_cb_fini)                                                      \
    }                                                                                        \
  }
  static const std::unordered_map<std::string_view, std::array<Stamped, 4>> table{
      BALLAST_OPERATION(image_proc_rectify),
      BALLAST_OPERATION(image_proc_resize),
      BALLAST_OPERATION(image_proc_rectify_resize),
      BALLAST_OPERATION(image_proc_disparity),
      BALLAST_OPERATION(image_proc_harris),
      BALLAST_OPERATION(depth_image_proc_transform_to_pointcloud),
      BALLAST_OPERATION(depthimage_to_laserscan),
      BALLAST_OPERATION(apriltag_detect),
      BALLAST_OPERATION(joint_trajectory_controller_update),
      BALLAST_OPERATION(diff_drive_controller_update),
      BALLAST_OPERATION(forward_command_controller_update),
      BALLAST_OPERATION(collision_checking_fcl),
      BALLAST_OPERATION(collision_checking_bullet),
      BALLAST_OPERATION(inverse_kinematics_newton),
      BALLAST_OPERATION(inverse_kinematics_levenberg),
      BALLAST_OPERATION(direct_kinematics),
      BALLAST_OPERATION(motion_planning),
      BALLAST_OPERATION(visual_odometry),
      BALLAST_OPERATION(map_localization),
      BALLAST_OPERATION(ekf_update),
      BALLAST_OPERATION(mpc),
      BALLAST_OPERATION(perception_avoidance),
      BALLAST_OPERATION(synthetic),
      BALLAST_OPERATION(tf2_set_and_lookup),
      BALLAST_OPERATION(navigation_plan),
  };
#undef BALLAST_OPERATION
#undef BALLAST_POINT
  return table;
}

}  // namespace

bool has_lttng() {
  return true;
}

namespace internal {

void lttng_emit(Point point, std::initializer_list<std::uint64_t> values, std::string_view text,
                std::string_view second_text) {
  const std::uint64_t* v = values.begin();
  if (point >= Point::operation_cb_init && point <= Point::operation_cb_fini) {
    const auto found = operations().find(text);
    if (found != operations().end())
      found->second[static_cast<std::size_t>(point) - static_cast<std::size_t>(Point::operation_cb_init)](
          v[0], v[1]);
    return;
  }
  const std::string first(text), second(second_text);  // set-up events only
  switch (point) {
    case Point::rcl_init:
      tracepoint(ros2, rcl_init, v[0], first.c_str());
      return;
    case Point::rcl_node_init:
      tracepoint(ros2, rcl_node_init, v[0], v[1], first.c_str(), second.c_str());
      return;
    case Point::rmw_publisher_init:
      tracepoint(ros2, rmw_publisher_init, v[0]);
      return;
    case Point::rcl_publisher_init:
      tracepoint(ros2, rcl_publisher_init, v[0], v[1], v[2], v[3], first.c_str());
      return;
    case Point::rclcpp_publish:
      tracepoint(ros2, rclcpp_publish, v[0]);
      return;
    case Point::rclcpp_intra_publish:
      tracepoint(ros2, rclcpp_intra_publish, v[0], v[1]);
      return;
    case Point::rcl_publish:
      tracepoint(ros2, rcl_publish, v[0], v[1]);
      return;
    case Point::rmw_publish:
      tracepoint(ros2, rmw_publish, v[0], v[1], v[2]);
      return;
    case Point::rmw_subscription_init:
      tracepoint(ros2, rmw_subscription_init, v[0]);
      return;
    case Point::rcl_subscription_init:
      tracepoint(ros2, rcl_subscription_init, v[0], v[1], v[2], v[3], first.c_str());
      return;
    case Point::rclcpp_subscription_init:
      tracepoint(ros2, rclcpp_subscription_init, v[0], v[1]);
      return;
    case Point::rclcpp_subscription_callback_added:
      tracepoint(ros2, rclcpp_subscription_callback_added, v[0], v[1]);
      return;
    case Point::rmw_take:
      tracepoint(ros2, rmw_take, v[0], v[1], v[2], v[3]);
      return;
    case Point::rcl_take:
      tracepoint(ros2, rcl_take, v[0]);
      return;
    case Point::rclcpp_take:
      tracepoint(ros2, rclcpp_take, v[0]);
      return;
    case Point::rcl_timer_init:
      tracepoint(ros2, rcl_timer_init, v[0], v[1]);
      return;
    case Point::rclcpp_timer_callback_added:
      tracepoint(ros2, rclcpp_timer_callback_added, v[0], v[1]);
      return;
    case Point::rclcpp_callback_register:
      tracepoint(ros2, rclcpp_callback_register, v[0], first.c_str());
      return;
    case Point::callback_start:
      tracepoint(ros2, callback_start, v[0], v[1]);
      return;
    case Point::callback_end:
      tracepoint(ros2, callback_end, v[0]);
      return;
    case Point::rclcpp_ring_buffer_enqueue:
      tracepoint(ros2, rclcpp_ring_buffer_enqueue, v[0], v[1], v[2], v[3]);
      return;
    case Point::rclcpp_ring_buffer_dequeue:
      tracepoint(ros2, rclcpp_ring_buffer_dequeue, v[0], v[1], v[2]);
      return;
    case Point::rcl_service_init:
      tracepoint(ros2, rcl_service_init, v[0], v[1], v[2], first.c_str());
      return;
    case Point::rclcpp_service_callback_added:
      tracepoint(ros2, rclcpp_service_callback_added, v[0], v[1]);
      return;
    case Point::session_marker:
      tracepoint(ros2_image_pipeline, session_marker, v[0]);
      return;
    default:
      return;
  }
}

}  // namespace internal
}  // namespace ballast::trace
#pragma GCC diagnostic pop
