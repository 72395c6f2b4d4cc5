// The ROS graph as discovery shows it: participants, nodes, topics, types, QoS and type hashes, of any
// vendor's processes on the domain.
//
//   GraphCache cache(context);
//   cache.wait_until([&](const Graph& graph) { return graph.writers("/image").size() == 1; }, 20s);
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/robot/wire/announcer.h"
#include "ballast/robot/wire/dds.h"
#include "ballast/robot/wire/names.h"

namespace ballast::ros {

struct Endpoint {
  Guid guid{}, participant{};
  bool writer = false;
  std::string dds_topic = {}, dds_type = {};
  NameKind kind = NameKind::plain;
  std::string name = {};  ///< ROS name when kind is not plain
  std::string type = {};  ///< ROS type, or the DDS type when it is none
  QosProfile qos = {};
  std::string type_hash = {};  ///< "RIHS01_..." or empty
  std::string node = {};       ///< full name; empty when no record names the endpoint
};

struct ParticipantInfo {
  Guid guid{};
  std::string vendor = {};  ///< by the GUID's vendor id: "Cyclone DDS", "Fast DDS", ...
  std::string enclave = {};
};

struct Graph {
  std::vector<ParticipantInfo> participants;
  std::vector<Endpoint> endpoints;
  std::vector<std::string> nodes;  ///< full names, sorted

  std::vector<const Endpoint*> writers(const std::string& topic) const;
  std::vector<const Endpoint*> readers(const std::string& topic) const;
  Json to_json() const;
};

/// "Cyclone DDS" for 01.10, "Fast DDS" for 01.0f, ...: RTPS vendor ids.
std::string vendor_name(const Guid& guid);

/// What keeps `topic` from flowing to (wants_writer) or from (not) an endpoint of ours with this type and
/// QoS: no endpoint, another type, another type hash, an incompatible QoS policy. Empty when something
/// matches.
std::string explain_mismatch(const Graph& graph, const std::string& topic, const std::string& type,
                             const QosProfile& qos, bool wants_writer);

class GraphCache {
 public:
  explicit GraphCache(Context& context);
  ~GraphCache();
  GraphCache(const GraphCache&) = delete;

  Graph snapshot();
  /// Looks at the graph at every change until the condition holds; false after `limit`.
  bool wait_until(const std::function<bool(const Graph&)>& condition, std::chrono::milliseconds limit);

 private:
  void changed();
  Context& context_;
  std::int32_t participants_ = 0, publications_ = 0, subscriptions_ = 0;
  std::unique_ptr<RawSubscription> discovery_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::uint64_t changes_ = 0;
  std::map<Guid, ParticipantNodes> records_;
};

}  // namespace ballast::ros
