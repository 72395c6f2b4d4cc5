// Bags as a user meets them: a rosbag2 folder (sqlite3 or MCAP, plain or compressed, with or without
// metadata.yaml), or one .mcap or .db3 file; told apart by content.
//
//   auto bag = bag::open("r2b_storage");
//   for (const auto& topic : bag->topics()) ...
//   while (auto message = bag->next()) use(bag->topics()[message->topic], message->data);
//
//   auto out = bag::create("copy", Storage::mcap, Compression::zstd);
//   const auto id = out->add_topic({.name = "/scan", .type = "sensor_msgs/msg/LaserScan"});
//   out->write(id, time_ns, bytes);
//   out->finish();
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ballast/robot/bag/mcap.h"
#include "ballast/robot/wire/qos.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::bag {

struct Topic {
  std::string name, type;
  std::string serialization = "cdr";
  std::string qos = {};  ///< offered_qos_profiles as the bag has it (YAML text), or empty
  std::string type_hash = {};
  std::uint64_t count = 0;  ///< messages, where the bag states it or after reading
};

struct Message {
  std::size_t topic = 0;     ///< index into topics()
  std::int64_t time_ns = 0;  ///< when it was recorded, since the epoch
  ByteView data;             ///< CDR with encapsulation; valid until the next call
};

struct OpenOptions {
  bool recover = false;  ///< read what is whole of a damaged bag; what is lost stands in warnings()
};

class Reader {
 public:
  virtual ~Reader() = default;
  const std::vector<Topic>& topics() const { return topics_; }
  /// The bag's own message definitions, beside those of the program.
  const ros::TypeLibrary& types() const { return types_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::string& storage() const { return storage_; }  ///< "sqlite3" or "mcap"
  /// Messages in the order of time; nullopt at the end.
  virtual std::optional<Message> next() = 0;
  virtual void rewind() = 0;
  /// The topic's index; throws InvalidInput listing the topics that there are.
  std::size_t topic_index(const std::string& name) const;

 protected:
  std::vector<Topic> topics_;
  ros::TypeLibrary types_;
  std::vector<std::string> warnings_;
  std::string storage_;
};

/// Throws Unavailable when nothing can be read there, InvalidInput naming file and field when it is damaged.
std::unique_ptr<Reader> open(const std::string& path, const OpenOptions& options = {});

enum class Storage { sqlite3, mcap };
Storage storage_from_string(const std::string& word);
Compression compression_from_string(const std::string& word);

class Writer {
 public:
  virtual ~Writer() = default;
  virtual std::size_t add_topic(const Topic& topic, const ros::TypeLibrary& types) = 0;
  std::size_t add_topic(const Topic& topic) { return add_topic(topic, ros::TypeLibrary::standard()); }
  virtual void write(std::size_t topic, std::int64_t time_ns, ByteView data) = 0;
  /// Writes metadata.yaml; must be called once, last. Without it no bag appears.
  virtual void finish() = 0;
};

/// A new bag folder of rosbag2 version 5 (read by Humble and later). Throws InvalidInput when the folder
/// exists. sqlite3 with compression compresses the whole file (X.db3.zstd); lz4 is MCAP's only.
std::unique_ptr<Writer> create(const std::string& folder, Storage storage, Compression compression);

/// "reliability: 1\n..." of offered_qos_profiles, in the numbers of versions up to 8, and back (words too).
std::string qos_to_yaml(const ros::QosProfile& qos);
std::optional<ros::QosProfile> qos_from_yaml(const std::string& text);

namespace internal {
std::unique_ptr<Reader> open_sqlite(const std::vector<std::string>& files,
                                    const std::string& message_compression, const OpenOptions& options);
std::unique_ptr<Reader> open_mcap(const std::vector<std::string>& files, const OpenOptions& options);
/// A zstd file's content in a temporary file that is gone when the last owner is.
std::shared_ptr<std::string> decompressed_copy(const std::string& file);
}  // namespace internal

}  // namespace ballast::bag
