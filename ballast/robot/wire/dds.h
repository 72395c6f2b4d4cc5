// Participants and raw endpoints over Cyclone DDS, as ROS 2's own middleware would make them.
//
//   ros::Context context({.domain_id = 7});
//   ros::RawPublisher out(context, "/chatter", "std_msgs/msg/String", {});
//   out.publish(serialize(std_msgs::String{"hello"}));
//   ros::RawSubscription in(context, "/chatter", "std_msgs/msg/String", {}, [&] { ready(); });
//   while (auto sample = in.take()) use(sample->payload());
//
// A Context configures Cyclone itself: loopback only without multicast unless asked otherwise, and fragments
// and receive buffers that let camera images through (docs/robot.md, "DDS settings").
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ballast/robot/wire/cdr.h"
#include "ballast/robot/wire/qos.h"

struct ddsi_serdata;
struct ddsi_sertype;

namespace ballast::ros {

using Guid = std::array<std::uint8_t, 16>;
std::string to_string(const Guid& guid);

/// What ROS 2 release the graph speaks: Gid of 24 bytes and no type hashes, or 16 and hashes.
enum class Dialect { humble, iron_plus };

enum class Range {
  localhost,  ///< loopback, unicast discovery: works without multicast and in containers
  subnet,     ///< the default interface with multicast, as ROS 2 does by default
};

struct DdsTuning {
  bool large_messages = true;  ///< 64 kB fragments and 4 MiB receive buffers; false: Cyclone's defaults
  std::string receive_buffer = "4MB";  ///< asked for as a maximum, so that a smaller limit only warns
  int max_participants = 100;          ///< processes a domain on one machine
};

struct ContextOptions {
  std::uint32_t domain_id = 0;
  Range range = Range::localhost;
  Dialect dialect = Dialect::iron_plus;
  DdsTuning tuning = {};
  std::vector<std::string> peers = {};  ///< further static peers (ROS_STATIC_PEERS)
  std::string enclave = "/";
  bool announce_nodes = true;  ///< publish ros_discovery_info

  /// From ROS_DOMAIN_ID, ROS_AUTOMATIC_DISCOVERY_RANGE, ROS_LOCALHOST_ONLY, ROS_STATIC_PEERS. Throws
  /// InvalidInput for values that those variables do not take.
  static ContextOptions from_environment();
};

/// The Cyclone configuration of these options, XML; $CYCLONEDDS_URI, when set, is applied on top by Context.
std::string cyclone_config(const ContextOptions& options);

/// One received sample; keeps its bytes until destroyed.
class Sample {
 public:
  Sample(ddsi_serdata* blob, std::int64_t source_timestamp, std::uint64_t writer);
  ~Sample();
  Sample(Sample&& other) noexcept;
  Sample& operator=(Sample&& other) noexcept;

  ByteView payload() const;
  std::int64_t source_timestamp_ns() const { return source_timestamp_; }  ///< CLOCK_REALTIME of the writer
  std::uint64_t writer_handle() const { return writer_; }

 private:
  ddsi_serdata* blob_;
  std::int64_t source_timestamp_;
  std::uint64_t writer_;
};

class NodeAnnouncer;

/// One participant of one domain. Everything made from it must be gone before it is.
class Context {
 public:
  explicit Context(ContextOptions options);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const ContextOptions& options() const { return options_; }
  std::int32_t participant() const { return participant_; }
  Guid guid() const;
  NodeAnnouncer* announcer() { return announcer_.get(); }

 private:
  ContextOptions options_;
  std::int32_t domain_ = 0, participant_ = 0;
  std::unique_ptr<NodeAnnouncer> announcer_;
};

struct EndpointOptions {
  bool plain_name = false;     ///< take the topic as DDS name, without ROS 2's prefix
  std::string type_hash = {};  ///< empty: that of the standard library when it knows the type
  std::string node = {};       ///< full node name under which the endpoint is announced; empty: none
  std::string user_data = {};  ///< taken as it is in place of the type hash (services)
  bool ignore_local = false;   ///< do not match endpoints of the same participant
};

class RawPublisher {
 public:
  RawPublisher(Context& context, const std::string& topic, const std::string& type, const QosProfile& qos,
               const EndpointOptions& options = {});
  ~RawPublisher();
  RawPublisher(const RawPublisher&) = delete;

  /// Blocks while a reliable reader's window is full. Throws Unavailable when the middleware refuses.
  void publish(ByteView payload);
  /// With a source timestamp of the caller's (CLOCK_REALTIME, nanoseconds).
  void publish(ByteView payload, std::int64_t source_timestamp_ns);
  int matched() const;
  Guid guid() const;
  const std::string& topic() const { return topic_; }
  const std::string& type() const { return type_; }

 private:
  Context& context_;
  std::string topic_, type_, node_;
  std::int32_t topic_entity_ = 0, writer_ = 0;
  const ddsi_sertype* sertype_ = nullptr;
};

class RawSubscription {
 public:
  /// `on_data` is called from a receive thread of the middleware; it must be short and may call take().
  using OnData = std::function<void(RawSubscription&)>;

  RawSubscription(Context& context, const std::string& topic, const std::string& type, const QosProfile& qos,
                  OnData on_data = {}, const EndpointOptions& options = {});
  ~RawSubscription();
  RawSubscription(const RawSubscription&) = delete;

  std::optional<Sample> take();
  /// Waits on the middleware until a sample is there; nullopt after `timeout`.
  std::optional<Sample> take_within(std::chrono::nanoseconds timeout);
  int matched() const;
  Guid guid() const;
  const std::string& topic() const { return topic_; }
  const std::string& type() const { return type_; }
  /// Samples that the middleware dropped here (keep-last overwritten are not counted by DDS; lost ones are).
  std::uint64_t lost() const;

 private:
  Context& context_;
  std::string topic_, type_, node_;
  OnData on_data_;
  std::int32_t topic_entity_ = 0, reader_ = 0, waitset_ = 0;
};

/// A domain id for a test or a private run that nobody else on this machine uses, as far as a file lock in
/// /tmp can say; released when destroyed.
class PrivateDomain {
 public:
  PrivateDomain();
  ~PrivateDomain();
  PrivateDomain(const PrivateDomain&) = delete;
  std::uint32_t id() const { return id_; }

 private:
  std::uint32_t id_ = 0;
  int descriptor_ = -1;
};

}  // namespace ballast::ros
