// The LTTng-UST provider `ros2_image_pipeline`: four points of every operation, after the RobotPerf suite.
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER ros2_image_pipeline
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "ballast/robot/trace/lttng_operations.h"

#if !defined(BALLAST_LTTNG_OPERATIONS_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define BALLAST_LTTNG_OPERATIONS_H

#include <lttng/tracepoint.h>
#include <stdint.h>

TRACEPOINT_EVENT_CLASS(ros2_image_pipeline, stamped, TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec),
                       TP_FIELDS(ctf_integer(uint64_t, header_sec, header_sec)
                                     ctf_integer(uint64_t, header_nsec, header_nsec)))
TRACEPOINT_EVENT(ros2_image_pipeline, session_marker, TP_ARGS(uint64_t, value),
                 TP_FIELDS(ctf_integer(uint64_t, value, value)))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_rectify_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_rectify_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_rectify_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_rectify_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_resize_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_resize_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_resize_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_resize_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_rectify_resize_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_rectify_resize_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_rectify_resize_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_rectify_resize_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_disparity_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_disparity_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_disparity_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_disparity_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_harris_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_harris_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_harris_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, image_proc_harris_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, depth_image_proc_transform_to_pointcloud_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, depth_image_proc_transform_to_pointcloud_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, depth_image_proc_transform_to_pointcloud_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, depth_image_proc_transform_to_pointcloud_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, depthimage_to_laserscan_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, depthimage_to_laserscan_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, depthimage_to_laserscan_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, depthimage_to_laserscan_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, apriltag_detect_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, apriltag_detect_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, apriltag_detect_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, apriltag_detect_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, joint_trajectory_controller_update_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, joint_trajectory_controller_update_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, joint_trajectory_controller_update_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, joint_trajectory_controller_update_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, diff_drive_controller_update_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, diff_drive_controller_update_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, diff_drive_controller_update_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, diff_drive_controller_update_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, forward_command_controller_update_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, forward_command_controller_update_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, forward_command_controller_update_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, forward_command_controller_update_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, collision_checking_fcl_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, collision_checking_fcl_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, collision_checking_fcl_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, collision_checking_fcl_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, collision_checking_bullet_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, collision_checking_bullet_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, collision_checking_bullet_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, collision_checking_bullet_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, inverse_kinematics_newton_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, inverse_kinematics_newton_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, inverse_kinematics_newton_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, inverse_kinematics_newton_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, inverse_kinematics_levenberg_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, inverse_kinematics_levenberg_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, inverse_kinematics_levenberg_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, inverse_kinematics_levenberg_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, direct_kinematics_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, direct_kinematics_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, direct_kinematics_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, direct_kinematics_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, motion_planning_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, motion_planning_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, motion_planning_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, motion_planning_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, visual_odometry_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, visual_odometry_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, visual_odometry_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, visual_odometry_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, map_localization_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, map_localization_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, map_localization_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, map_localization_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, ekf_update_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, ekf_update_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, ekf_update_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, ekf_update_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, mpc_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, mpc_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, mpc_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, mpc_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, perception_avoidance_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, perception_avoidance_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, perception_avoidance_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, perception_avoidance_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, synthetic_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, synthetic_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, synthetic_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, synthetic_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, tf2_set_and_lookup_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, tf2_set_and_lookup_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, tf2_set_and_lookup_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, tf2_set_and_lookup_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, navigation_plan_cb_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, navigation_plan_init,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, navigation_plan_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))
TRACEPOINT_EVENT_INSTANCE(ros2_image_pipeline, stamped, navigation_plan_cb_fini,
                          TP_ARGS(uint64_t, header_sec, uint64_t, header_nsec))

#endif

#include <lttng/tracepoint-event.h>
