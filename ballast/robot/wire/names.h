// ROS 2's names and their mangled form on DDS (source: rmw and rosidl conventions; design.ros2.org "Topic and
// service name mapping to DDS").
//
//   topic_to_dds("/camera/image")                 -> "rt/camera/image"
//   type_to_dds("sensor_msgs/msg/Image")          -> "sensor_msgs::msg::dds_::Image_"
//   topic_from_dds("rt/camera/image")             -> "/camera/image"
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ballast::ros {

/// Which hidden prefix a DDS topic name carries.
enum class NameKind { topic, service_request, service_reply, plain };

struct DdsName {
  NameKind kind = NameKind::plain;
  std::string name;  ///< the ROS name ("/a/b"); for `plain` the DDS name as it is
};

/// Throws InvalidInput unless `name` is a full ROS name: starts with '/', tokens [A-Za-z_][A-Za-z0-9_]*, no
/// "//", no trailing '/', no "__".
void check_full_name(std::string_view name);

/// Throws InvalidInput unless `type` reads package/msg/Name (or srv, action).
void check_type_name(std::string_view type);

/// "/a/b" -> "rt/a/b"; checks the name first.
std::string topic_to_dds(std::string_view topic);
/// "/s" -> "rq/sRequest" and "rr/sReply".
std::string service_request_to_dds(std::string_view service);
std::string service_reply_to_dds(std::string_view service);
/// The inverse of the three above; a name without a ROS prefix comes back as `plain`.
DdsName from_dds(std::string_view dds_topic);

/// "pkg/msg/Name" -> "pkg::msg::dds_::Name_".
std::string type_to_dds(std::string_view type);
/// The inverse; nullopt when the DDS type is none of ROS 2's.
std::optional<std::string> type_from_dds(std::string_view dds_type);

/// Joins a namespace ("/" or "/a") and a name ("x", or "/x" which is taken as it is) to a full name.
std::string resolve_name(std::string_view name_space, std::string_view name);

}  // namespace ballast::ros
