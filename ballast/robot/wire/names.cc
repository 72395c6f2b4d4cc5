#include "ballast/robot/wire/names.h"

#include <fmt/format.h>

#include <cctype>
#include <vector>

#include "ballast/base/errors.h"

namespace ballast::ros {
namespace {

constexpr std::string_view kTopicPrefix = "rt", kRequestPrefix = "rq", kReplyPrefix = "rr";
constexpr std::string_view kRequestSuffix = "Request", kReplySuffix = "Reply";

bool is_token(std::string_view token) {
  if (token.empty() || std::isdigit(static_cast<unsigned char>(token[0]))) return false;
  for (const char c : token)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  return token.find("__") == std::string_view::npos;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + separator.size());
  }
}

}  // namespace

void check_full_name(std::string_view name) {
  bool good = name.size() > 1 && name[0] == '/';
  if (good) {
    for (const auto token : split(name.substr(1), "/")) good = good && is_token(token);
  }
  if (!good) {
    throw InvalidInput("ROS name", name,
                       "a full name such as /camera/image: tokens of letters, digits and single '_', none "
                       "starting with a digit, no '//' and no '/' at the end");
  }
}

void check_type_name(std::string_view type) {
  const auto parts = split(type, "/");
  const bool good = parts.size() == 3 && is_token(parts[0]) &&
                    (parts[1] == "msg" || parts[1] == "srv" || parts[1] == "action") && !parts[2].empty();
  if (!good) throw InvalidInput("ROS type", type, "package/msg/Name, such as sensor_msgs/msg/Image");
}

std::string topic_to_dds(std::string_view topic) {
  check_full_name(topic);
  return fmt::format("{}{}", kTopicPrefix, topic);
}

std::string service_request_to_dds(std::string_view service) {
  check_full_name(service);
  return fmt::format("{}{}{}", kRequestPrefix, service, kRequestSuffix);
}

std::string service_reply_to_dds(std::string_view service) {
  check_full_name(service);
  return fmt::format("{}{}{}", kReplyPrefix, service, kReplySuffix);
}

DdsName from_dds(std::string_view dds_topic) {
  const auto prefix = dds_topic.substr(0, 2);
  const bool ros = dds_topic.size() > 3 && dds_topic[2] == '/';
  if (ros && prefix == kTopicPrefix) return {NameKind::topic, std::string(dds_topic.substr(2))};
  if (ros && prefix == kRequestPrefix && dds_topic.ends_with(kRequestSuffix))
    return {NameKind::service_request,
            std::string(dds_topic.substr(2, dds_topic.size() - 2 - kRequestSuffix.size()))};
  if (ros && prefix == kReplyPrefix && dds_topic.ends_with(kReplySuffix))
    return {NameKind::service_reply,
            std::string(dds_topic.substr(2, dds_topic.size() - 2 - kReplySuffix.size()))};
  return {NameKind::plain, std::string(dds_topic)};
}

std::string type_to_dds(std::string_view type) {
  check_type_name(type);
  const auto parts = split(type, "/");
  return fmt::format("{}::{}::dds_::{}_", parts[0], parts[1], parts[2]);
}

std::optional<std::string> type_from_dds(std::string_view dds_type) {
  const auto parts = split(dds_type, "::");
  if (parts.size() != 4 || parts[2] != "dds_" || !parts[3].ends_with('_')) return std::nullopt;
  return fmt::format("{}/{}/{}", parts[0], parts[1], parts[3].substr(0, parts[3].size() - 1));
}

std::string resolve_name(std::string_view name_space, std::string_view name) {
  std::string full = name.starts_with('/') ? std::string(name)
                     : name_space == "/"   ? fmt::format("/{}", name)
                                           : fmt::format("{}/{}", name_space, name);
  check_full_name(full);
  return full;
}

}  // namespace ballast::ros
