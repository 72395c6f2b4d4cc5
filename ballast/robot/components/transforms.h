// m1: the transform buffer of tf2. A tree of frames, each with up to 10 s of history; a lookup walks to the
// lowest common ancestor and interpolates (linear and slerp) at every edge. Safe to set and look up from
// several threads.
#pragma once

#include <cstdint>
#include <map>
#include <shared_mutex>
#include <string>

#include "ballast/robot/wire/messages.h"

namespace ballast::robot {

/// Why a lookup has no answer, each its own error.
enum class LookupError { none, unknown_frame, disconnected, extrapolation };

class TransformBuffer {
 public:
  explicit TransformBuffer(std::int64_t cache_ns = 10'000'000'000) : cache_(cache_ns) {}

  /// Throws InvalidInput for a frame that is its own parent, empty names, a quaternion far from length 1, a
  /// new edge that would close a cycle.
  void set(const geometry_msgs::TransformStamped& transform);
  void set_static(const geometry_msgs::TransformStamped& transform);

  /// The transform that takes points of `source` to `target` at this time (nanoseconds).
  LookupError lookup(const std::string& target, const std::string& source, std::int64_t time_ns,
                     geometry_msgs::Transform& result) const;

 private:
  struct Edge {
    std::string parent;
    bool is_static = false;
    std::map<std::int64_t, geometry_msgs::Transform> history;
  };
  void insert(const geometry_msgs::TransformStamped& transform, bool is_static);
  /// The chain from a frame to its root, composed at this time.
  LookupError to_ancestor(const std::string& frame, const std::string& ancestor, std::int64_t time_ns,
                          geometry_msgs::Transform& result) const;
  LookupError at(const Edge& edge, std::int64_t time_ns, geometry_msgs::Transform& result) const;

  std::int64_t cache_;
  mutable std::shared_mutex mutex_;
  std::map<std::string, Edge> edges_;
};

/// a then b: the transform of b's frame seen through a.
geometry_msgs::Transform compose(const geometry_msgs::Transform& a, const geometry_msgs::Transform& b);
geometry_msgs::Transform inverted(const geometry_msgs::Transform& transform);
/// share 0: a, 1: b.
geometry_msgs::Transform interpolated(const geometry_msgs::Transform& a, const geometry_msgs::Transform& b,
                                      double share);

}  // namespace ballast::robot
