// The LTTng-UST provider `ros2`, with the names and fields of ros2_tracing.
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER ros2
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "ballast/robot/trace/lttng_ros2.h"

#if !defined(BALLAST_LTTNG_ROS2_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define BALLAST_LTTNG_ROS2_H

#include <lttng/tracepoint.h>
#include <stdint.h>

TRACEPOINT_EVENT(ros2, rcl_init, TP_ARGS(uint64_t, context_handle, const char*, version),
                 TP_FIELDS(ctf_integer_hex(uint64_t, context_handle, context_handle)
                               ctf_string(version, version)))
TRACEPOINT_EVENT(ros2, rcl_node_init,
                 TP_ARGS(uint64_t, node_handle, uint64_t, rmw_handle, const char*, node_name, const char*,
                         name_space),
                 TP_FIELDS(ctf_integer_hex(uint64_t, node_handle, node_handle)
                               ctf_integer_hex(uint64_t, rmw_handle, rmw_handle)
                                   ctf_string(node_name, node_name) ctf_string(namespace, name_space)))
TRACEPOINT_EVENT(ros2, rmw_publisher_init, TP_ARGS(uint64_t, rmw_publisher_handle),
                 TP_FIELDS(ctf_integer_hex(uint64_t, rmw_publisher_handle, rmw_publisher_handle)))
TRACEPOINT_EVENT(ros2, rcl_publisher_init,
                 TP_ARGS(uint64_t, publisher_handle, uint64_t, node_handle, uint64_t, rmw_publisher_handle,
                         uint64_t, queue_depth, const char*, topic_name),
                 TP_FIELDS(ctf_integer_hex(uint64_t, publisher_handle, publisher_handle)
                               ctf_integer_hex(uint64_t, node_handle, node_handle)
                                   ctf_integer_hex(uint64_t, rmw_publisher_handle, rmw_publisher_handle)
                                       ctf_integer(uint64_t, queue_depth, queue_depth)
                                           ctf_string(topic_name, topic_name)))
TRACEPOINT_EVENT(ros2, rclcpp_publish, TP_ARGS(uint64_t, message),
                 TP_FIELDS(ctf_integer_hex(uint64_t, message, message)))
TRACEPOINT_EVENT(ros2, rclcpp_intra_publish, TP_ARGS(uint64_t, publisher_handle, uint64_t, message),
                 TP_FIELDS(ctf_integer_hex(uint64_t, publisher_handle, publisher_handle)
                               ctf_integer_hex(uint64_t, message, message)))
TRACEPOINT_EVENT(ros2, rcl_publish, TP_ARGS(uint64_t, publisher_handle, uint64_t, message),
                 TP_FIELDS(ctf_integer_hex(uint64_t, publisher_handle, publisher_handle)
                               ctf_integer_hex(uint64_t, message, message)))
TRACEPOINT_EVENT(ros2, rmw_publish,
                 TP_ARGS(uint64_t, rmw_publisher_handle, uint64_t, message, uint64_t, timestamp),
                 TP_FIELDS(ctf_integer_hex(uint64_t, rmw_publisher_handle, rmw_publisher_handle)
                               ctf_integer_hex(uint64_t, message, message)
                                   ctf_integer(uint64_t, timestamp, timestamp)))
TRACEPOINT_EVENT(ros2, rmw_subscription_init, TP_ARGS(uint64_t, rmw_subscription_handle),
                 TP_FIELDS(ctf_integer_hex(uint64_t, rmw_subscription_handle, rmw_subscription_handle)))
TRACEPOINT_EVENT(ros2, rcl_subscription_init,
                 TP_ARGS(uint64_t, subscription_handle, uint64_t, node_handle, uint64_t,
                         rmw_subscription_handle, uint64_t, queue_depth, const char*, topic_name),
                 TP_FIELDS(ctf_integer_hex(uint64_t, subscription_handle, subscription_handle)
                               ctf_integer_hex(uint64_t, node_handle, node_handle)
                                   ctf_integer_hex(uint64_t, rmw_subscription_handle, rmw_subscription_handle)
                                       ctf_integer(uint64_t, queue_depth, queue_depth)
                                           ctf_string(topic_name, topic_name)))
TRACEPOINT_EVENT(ros2, rclcpp_subscription_init,
                 TP_ARGS(uint64_t, subscription_handle, uint64_t, subscription),
                 TP_FIELDS(ctf_integer_hex(uint64_t, subscription_handle, subscription_handle)
                               ctf_integer_hex(uint64_t, subscription, subscription)))
TRACEPOINT_EVENT(ros2, rclcpp_subscription_callback_added,
                 TP_ARGS(uint64_t, subscription, uint64_t, callback),
                 TP_FIELDS(ctf_integer_hex(uint64_t, subscription, subscription)
                               ctf_integer_hex(uint64_t, callback, callback)))
TRACEPOINT_EVENT(ros2, rmw_take,
                 TP_ARGS(uint64_t, rmw_subscription_handle, uint64_t, message, uint64_t, source_timestamp,
                         uint64_t, taken),
                 TP_FIELDS(ctf_integer_hex(uint64_t, rmw_subscription_handle, rmw_subscription_handle)
                               ctf_integer_hex(uint64_t, message, message)
                                   ctf_integer(uint64_t, source_timestamp, source_timestamp)
                                       ctf_integer(uint64_t, taken, taken)))
TRACEPOINT_EVENT(ros2, rcl_take, TP_ARGS(uint64_t, message),
                 TP_FIELDS(ctf_integer_hex(uint64_t, message, message)))
TRACEPOINT_EVENT(ros2, rclcpp_take, TP_ARGS(uint64_t, message),
                 TP_FIELDS(ctf_integer_hex(uint64_t, message, message)))
TRACEPOINT_EVENT(ros2, rcl_timer_init, TP_ARGS(uint64_t, timer_handle, uint64_t, period),
                 TP_FIELDS(ctf_integer_hex(uint64_t, timer_handle, timer_handle)
                               ctf_integer(uint64_t, period, period)))
TRACEPOINT_EVENT(ros2, rclcpp_timer_callback_added, TP_ARGS(uint64_t, timer_handle, uint64_t, callback),
                 TP_FIELDS(ctf_integer_hex(uint64_t, timer_handle, timer_handle)
                               ctf_integer_hex(uint64_t, callback, callback)))
TRACEPOINT_EVENT(ros2, rcl_service_init,
                 TP_ARGS(uint64_t, service_handle, uint64_t, node_handle, uint64_t, rmw_service_handle,
                         const char*, service_name),
                 TP_FIELDS(ctf_integer_hex(uint64_t, service_handle, service_handle)
                               ctf_integer_hex(uint64_t, node_handle, node_handle)
                                   ctf_integer_hex(uint64_t, rmw_service_handle, rmw_service_handle)
                                       ctf_string(service_name, service_name)))
TRACEPOINT_EVENT(ros2, rclcpp_service_callback_added, TP_ARGS(uint64_t, service_handle, uint64_t, callback),
                 TP_FIELDS(ctf_integer_hex(uint64_t, service_handle, service_handle)
                               ctf_integer_hex(uint64_t, callback, callback)))
TRACEPOINT_EVENT(ros2, rclcpp_callback_register, TP_ARGS(uint64_t, callback, const char*, symbol),
                 TP_FIELDS(ctf_integer_hex(uint64_t, callback, callback) ctf_string(symbol, symbol)))
TRACEPOINT_EVENT(ros2, callback_start, TP_ARGS(uint64_t, callback, uint64_t, is_intra_process),
                 TP_FIELDS(ctf_integer_hex(uint64_t, callback, callback)
                               ctf_integer(uint64_t, is_intra_process, is_intra_process)))
TRACEPOINT_EVENT(ros2, callback_end, TP_ARGS(uint64_t, callback),
                 TP_FIELDS(ctf_integer_hex(uint64_t, callback, callback)))
TRACEPOINT_EVENT(ros2, rclcpp_ring_buffer_enqueue,
                 TP_ARGS(uint64_t, buffer, uint64_t, index, uint64_t, size, uint64_t, overwritten),
                 TP_FIELDS(ctf_integer_hex(uint64_t, buffer, buffer) ctf_integer(uint64_t, index, index)
                               ctf_integer(uint64_t, size, size)
                                   ctf_integer(uint64_t, overwritten, overwritten)))
TRACEPOINT_EVENT(ros2, rclcpp_ring_buffer_dequeue, TP_ARGS(uint64_t, buffer, uint64_t, index, uint64_t, size),
                 TP_FIELDS(ctf_integer_hex(uint64_t, buffer, buffer) ctf_integer(uint64_t, index, index)
                               ctf_integer(uint64_t, size, size)))

#endif

#include <lttng/tracepoint-event.h>
