#include "ballast/robot/bag/metadata.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "ballast/base/errors.h"

namespace ballast::bag {
namespace {

constexpr std::int64_t kInfiniteSeconds = 9223372036;

template <typename T>
T field(const YAML::Node& map, const char* key, const std::string& file) {
  const YAML::Node value = map[key];
  const auto line = static_cast<std::uint64_t>(std::max(map.Mark().line, 0)) + 1;
  if (!value) throw InvalidInput::at(file, line, fmt::format("the field '{}' is missing", key));
  T result;
  if (!YAML::convert<T>::decode(value, result))
    throw InvalidInput::at(file, static_cast<std::uint64_t>(std::max(value.Mark().line, 0)) + 1,
                           fmt::format("the field '{}' has no value of its kind", key));
  return result;
}

std::string text_of(const YAML::Node& node) {
  if (!node || node.IsNull()) return "";
  if (node.IsScalar()) return node.as<std::string>();
  YAML::Emitter out;
  out << node;
  return out.c_str();
}

ros::Lease lease(const YAML::Node& node) {
  if (!node || !node.IsMap()) return std::nullopt;
  const auto seconds = node["sec"].as<std::int64_t>(kInfiniteSeconds);
  const auto rest = node["nsec"].as<std::int64_t>(0);
  if (seconds >= kInfiniteSeconds || seconds < 0 || (seconds == 0 && rest == 0)) return std::nullopt;
  return std::chrono::seconds(seconds) + std::chrono::nanoseconds(rest);
}

void put_lease(std::string& text, const char* name, const ros::Lease& value) {
  const std::int64_t all = value ? value->count() : 0;
  text +=
      fmt::format("  {}:\n    sec: {}\n    nsec: {}\n", name, value ? all / 1'000'000'000 : kInfiniteSeconds,
                  value ? all % 1'000'000'000 : 854775807);
}

}  // namespace

Metadata parse_metadata(const std::string& text, const std::string& file) {
  try {
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap() || !root["rosbag2_bagfile_information"])
      throw InvalidInput::at(file, 1, "no 'rosbag2_bagfile_information'");
    const YAML::Node info = root["rosbag2_bagfile_information"];
    Metadata metadata;
    metadata.version = field<int>(info, "version", file);
    if (metadata.version < 1 || metadata.version > 9)
      throw InvalidInput::at(file, 1, fmt::format("version {}", metadata.version), "1 to 9");
    metadata.storage = field<std::string>(info, "storage_identifier", file);
    if (info["duration"]) metadata.duration_ns = field<std::int64_t>(info["duration"], "nanoseconds", file);
    if (info["starting_time"])
      metadata.start_ns = field<std::int64_t>(info["starting_time"], "nanoseconds_since_epoch", file);
    metadata.message_count = field<std::uint64_t>(info, "message_count", file);
    for (const auto& item : info["topics_with_message_count"]) {
      const YAML::Node topic = item["topic_metadata"];
      if (!topic) throw InvalidInput::at(file, 1, "a topic without 'topic_metadata'");
      metadata.topics.push_back({.name = field<std::string>(topic, "name", file),
                                 .type = field<std::string>(topic, "type", file),
                                 .serialization = field<std::string>(topic, "serialization_format", file),
                                 .qos = text_of(topic["offered_qos_profiles"]),
                                 .type_hash = text_of(topic["type_description_hash"]),
                                 .count = field<std::uint64_t>(item, "message_count", file)});
    }
    metadata.compression_format = text_of(info["compression_format"]);
    metadata.compression_mode = text_of(info["compression_mode"]);
    std::transform(metadata.compression_mode.begin(), metadata.compression_mode.end(),
                   metadata.compression_mode.begin(), [](unsigned char c) { return std::toupper(c); });
    for (const auto& item : info["relative_file_paths"]) metadata.files.push_back(item.as<std::string>());
    if (metadata.files.empty()) throw InvalidInput::at(file, 1, "'relative_file_paths' names no file");
    return metadata;
  } catch (const YAML::Exception& error) {
    throw InvalidInput::at(file, static_cast<std::uint64_t>(std::max(error.mark.line, 0)) + 1, error.msg);
  }
}

std::string to_yaml(const Metadata& metadata) {
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "rosbag2_bagfile_information" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "version" << YAML::Value << metadata.version;
  out << YAML::Key << "storage_identifier" << YAML::Value << metadata.storage;
  out << YAML::Key << "duration" << YAML::Value << YAML::BeginMap << YAML::Key << "nanoseconds" << YAML::Value
      << metadata.duration_ns << YAML::EndMap;
  out << YAML::Key << "starting_time" << YAML::Value << YAML::BeginMap << YAML::Key
      << "nanoseconds_since_epoch" << YAML::Value << metadata.start_ns << YAML::EndMap;
  out << YAML::Key << "message_count" << YAML::Value << metadata.message_count;
  out << YAML::Key << "topics_with_message_count" << YAML::Value << YAML::BeginSeq;
  for (const auto& topic : metadata.topics) {
    out << YAML::BeginMap << YAML::Key << "topic_metadata" << YAML::Value << YAML::BeginMap;
    out << YAML::Key << "name" << YAML::Value << topic.name << YAML::Key << "type" << YAML::Value
        << topic.type;
    out << YAML::Key << "serialization_format" << YAML::Value << topic.serialization;
    out << YAML::Key << "offered_qos_profiles" << YAML::Value << YAML::DoubleQuoted << topic.qos;
    out << YAML::EndMap << YAML::Key << "message_count" << YAML::Value << topic.count << YAML::EndMap;
  }
  out << YAML::EndSeq;
  out << YAML::Key << "compression_format" << YAML::Value << YAML::DoubleQuoted
      << metadata.compression_format;
  out << YAML::Key << "compression_mode" << YAML::Value << YAML::DoubleQuoted << metadata.compression_mode;
  out << YAML::Key << "relative_file_paths" << YAML::Value << metadata.files;
  out << YAML::Key << "files" << YAML::Value << YAML::BeginSeq;
  for (const auto& file : metadata.files) {
    out << YAML::BeginMap << YAML::Key << "path" << YAML::Value << file;
    out << YAML::Key << "starting_time" << YAML::Value << YAML::BeginMap << YAML::Key
        << "nanoseconds_since_epoch" << YAML::Value << metadata.start_ns << YAML::EndMap;
    out << YAML::Key << "duration" << YAML::Value << YAML::BeginMap << YAML::Key << "nanoseconds"
        << YAML::Value << metadata.duration_ns << YAML::EndMap;
    out << YAML::Key << "message_count" << YAML::Value << metadata.message_count << YAML::EndMap;
  }
  out << YAML::EndSeq << YAML::EndMap << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

std::string qos_to_yaml(const ros::QosProfile& qos) {
  std::string text = fmt::format("- history: {}\n  depth: {}\n  reliability: {}\n  durability: {}\n",
                                 qos.history == ros::History::keep_last ? 1 : 2, qos.depth,
                                 qos.reliability == ros::Reliability::reliable ? 1 : 2,
                                 qos.durability == ros::Durability::transient_local ? 1 : 2);
  put_lease(text, "deadline", qos.deadline);
  put_lease(text, "lifespan", qos.lifespan);
  text += fmt::format("  liveliness: {}\n", qos.liveliness == ros::Liveliness::automatic ? 1 : 3);
  put_lease(text, "liveliness_lease_duration", qos.liveliness_lease);
  text += "  avoid_ros_namespace_conventions: false\n";
  return text;
}

std::optional<ros::QosProfile> qos_from_yaml(const std::string& text) {
  try {
    const YAML::Node list = YAML::Load(text);
    if (!list.IsSequence() || list.size() == 0 || !list[0].IsMap()) return std::nullopt;
    const YAML::Node first = list[0];
    const auto word = [&](const char* key) { return text_of(first[key]); };
    ros::QosProfile qos;
    qos.history = word("history") == "2" || word("history") == "keep_all" ? ros::History::keep_all
                                                                          : ros::History::keep_last;
    qos.depth = std::max(1, first["depth"].as<int>(10));
    qos.reliability = word("reliability") == "2" || word("reliability") == "best_effort"
                          ? ros::Reliability::best_effort
                          : ros::Reliability::reliable;
    qos.durability = word("durability") == "1" || word("durability") == "transient_local"
                         ? ros::Durability::transient_local
                         : ros::Durability::volatile_;
    qos.deadline = lease(first["deadline"]);
    qos.lifespan = lease(first["lifespan"]);
    qos.liveliness = word("liveliness") == "3" || word("liveliness") == "manual_by_topic"
                         ? ros::Liveliness::manual_by_topic
                         : ros::Liveliness::automatic;
    qos.liveliness_lease = lease(first["liveliness_lease_duration"]);
    return qos;
  } catch (const YAML::Exception&) {
    return std::nullopt;
  }
}

}  // namespace ballast::bag
