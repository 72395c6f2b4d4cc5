// Quality-of-service profiles with ROS 2's defaults, and the question whether two of them match.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace ballast::ros {

enum class Reliability { reliable, best_effort };
enum class Durability { volatile_, transient_local };
enum class History { keep_last, keep_all };
enum class Liveliness { automatic, manual_by_topic };

/// A duration policy; nullopt is infinite.
using Lease = std::optional<std::chrono::nanoseconds>;

/// ROS 2's `default` profile: reliable, volatile, keep-last 10.
struct QosProfile {
  Reliability reliability = Reliability::reliable;
  Durability durability = Durability::volatile_;
  History history = History::keep_last;
  int depth = 10;
  Lease deadline = {};
  Lease lifespan = {};
  Liveliness liveliness = Liveliness::automatic;
  Lease liveliness_lease = {};

  bool operator==(const QosProfile&) const = default;

  static QosProfile sensor_data();  ///< best-effort, keep-last 5
  static QosProfile services();     ///< reliable, keep-last 10
  static QosProfile parameters();   ///< reliable, keep-last 1000
  static QosProfile clock();        ///< best-effort, keep-last 1
  static QosProfile transient_local(int depth);
  /// By the name of a profile: default, sensor_data, services, parameters, clock, latched.
  static QosProfile named(const std::string& name);
  QosProfile with_depth(int messages) const;
};

/// "reliable volatile keep_last(10)".
std::string to_string(const QosProfile& qos);

/// Why a reader that asks for `requested` gets nothing from a writer that offers `offered`: the name of the
/// first policy that is incompatible with both sides' values; nullopt when they match (DDS 1.4, 2.2.3).
std::optional<std::string> incompatibility(const QosProfile& offered, const QosProfile& requested);

}  // namespace ballast::ros
