// Which nodes live in a participant and which endpoints are theirs, told to the graph on
// `ros_discovery_info`: the whole record at every change, an empty one at the end, as ROS 2's middleware
// layers do.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ballast/robot/wire/dds.h"

namespace ballast::ros {

inline constexpr const char* kDiscoveryTopic = "ros_discovery_info";
inline constexpr const char* kDiscoveryType = "rmw_dds_common/msg/ParticipantEntitiesInfo";

struct NodeEndpoints {
  std::string name_space;
  std::string name;
  std::vector<Guid> readers, writers;
};

struct ParticipantNodes {
  Guid participant{};
  std::vector<NodeEndpoints> nodes;
};

/// The record's bytes: Gid of 24 bytes for Humble, of 16 from Iron on.
Bytes encode_discovery(const ParticipantNodes& record, Dialect dialect);
/// Reads both dialects (the Gid's length follows from what parses completely). Throws InvalidInput.
ParticipantNodes decode_discovery(ByteView payload);

class NodeAnnouncer {
 public:
  explicit NodeAnnouncer(Context& context);
  ~NodeAnnouncer();

  /// `node` is a full name ("/ns/name"). A node without endpoints is announced too.
  void add_node(const std::string& node);
  void remove_node(const std::string& node);
  void add_reader(const std::string& node, const Guid& guid);
  void remove_reader(const std::string& node, const Guid& guid);
  void add_writer(const std::string& node, const Guid& guid);
  void remove_writer(const std::string& node, const Guid& guid);

 private:
  template <typename Change>
  void change(const std::string& node, Change apply);
  void publish();

  Context& context_;
  std::mutex mutex_;
  std::map<std::string, NodeEndpoints> nodes_;
  std::unique_ptr<RawPublisher> publisher_;
};

}  // namespace ballast::ros
