#include "ballast/robot/trace/schema.h"

#include <fmt/format.h>

#include "ballast/base/errors.h"

namespace ballast::trace {
namespace {

const std::vector<PointSchema>& table() {
  static const std::vector<PointSchema> schemas{
      {Point::rcl_init, "ros2:rcl_init", {"context_handle"}, {"version"}},
      {Point::rcl_node_init, "ros2:rcl_node_init", {"node_handle", "rmw_handle"}, {"node_name", "namespace"}},
      {Point::rmw_publisher_init, "ros2:rmw_publisher_init", {"rmw_publisher_handle"}, {}},
      {Point::rcl_publisher_init,
       "ros2:rcl_publisher_init",
       {"publisher_handle", "node_handle", "rmw_publisher_handle", "queue_depth"},
       {"topic_name"}},
      {Point::rclcpp_publish, "ros2:rclcpp_publish", {"message"}, {}},
      {Point::rclcpp_intra_publish, "ros2:rclcpp_intra_publish", {"publisher_handle", "message"}, {}},
      {Point::rcl_publish, "ros2:rcl_publish", {"publisher_handle", "message"}, {}},
      {Point::rmw_publish, "ros2:rmw_publish", {"rmw_publisher_handle", "message", "timestamp"}, {}},
      {Point::rmw_subscription_init, "ros2:rmw_subscription_init", {"rmw_subscription_handle"}, {}},
      {Point::rcl_subscription_init,
       "ros2:rcl_subscription_init",
       {"subscription_handle", "node_handle", "rmw_subscription_handle", "queue_depth"},
       {"topic_name"}},
      {Point::rclcpp_subscription_init,
       "ros2:rclcpp_subscription_init",
       {"subscription_handle", "subscription"},
       {}},
      {Point::rclcpp_subscription_callback_added,
       "ros2:rclcpp_subscription_callback_added",
       {"subscription", "callback"},
       {}},
      {Point::rmw_take,
       "ros2:rmw_take",
       {"rmw_subscription_handle", "message", "source_timestamp", "taken"},
       {}},
      {Point::rcl_take, "ros2:rcl_take", {"message"}, {}},
      {Point::rclcpp_take, "ros2:rclcpp_take", {"message"}, {}},
      {Point::rcl_timer_init, "ros2:rcl_timer_init", {"timer_handle", "period"}, {}},
      {Point::rclcpp_timer_callback_added,
       "ros2:rclcpp_timer_callback_added",
       {"timer_handle", "callback"},
       {}},
      {Point::rclcpp_callback_register, "ros2:rclcpp_callback_register", {"callback"}, {"symbol"}},
      {Point::callback_start, "ros2:callback_start", {"callback", "is_intra_process"}, {}},
      {Point::callback_end, "ros2:callback_end", {"callback"}, {}},
      {Point::rclcpp_ring_buffer_enqueue,
       "ros2:rclcpp_ring_buffer_enqueue",
       {"buffer", "index", "size", "overwritten"},
       {}},
      {Point::rclcpp_ring_buffer_dequeue, "ros2:rclcpp_ring_buffer_dequeue", {"buffer", "index", "size"}, {}},
      {Point::rcl_service_init,
       "ros2:rcl_service_init",
       {"service_handle", "node_handle", "rmw_service_handle"},
       {"service_name"}},
      {Point::rclcpp_service_callback_added,
       "ros2:rclcpp_service_callback_added",
       {"service_handle", "callback"},
       {}},
      {Point::operation_cb_init, "_cb_init", {"header_sec", "header_nsec"}, {"operation"}},
      {Point::operation_init, "_init", {"header_sec", "header_nsec"}, {"operation"}},
      {Point::operation_fini, "_fini", {"header_sec", "header_nsec"}, {"operation"}},
      {Point::operation_cb_fini, "_cb_fini", {"header_sec", "header_nsec"}, {"operation"}},
      {Point::session_marker, "robotperf_benchmarks:session_marker", {"value"}, {}},
  };
  return schemas;
}

}  // namespace

const PointSchema& schema_of(Point point) {
  const auto& schema = table().at(static_cast<std::size_t>(point));
  BALLAST_CHECK(schema.point == point);
  return schema;
}

std::string operation_event(const std::string& operation, Point point) {
  return fmt::format("ros2_image_pipeline:{}{}", operation, schema_of(point).name);
}

}  // namespace ballast::trace
