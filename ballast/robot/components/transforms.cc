#include "ballast/robot/components/transforms.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/robot/components/component.h"

namespace ballast::robot {
namespace {

using geometry_msgs::Quaternion;
using geometry_msgs::Transform;
using geometry_msgs::Vector3;

Quaternion product(const Quaternion& a, const Quaternion& b) {
  return {a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y, a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
          a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w, a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z};
}

Vector3 rotated(const Quaternion& q, const Vector3& v) {
  const Quaternion r = product(product(q, {v.x, v.y, v.z, 0}), {-q.x, -q.y, -q.z, q.w});
  return {r.x, r.y, r.z};
}

Transform identity() {
  return {{0, 0, 0}, {0, 0, 0, 1}};
}

}  // namespace

Transform compose(const Transform& a, const Transform& b) {
  const Vector3 moved = rotated(a.rotation, b.translation);
  return {{a.translation.x + moved.x, a.translation.y + moved.y, a.translation.z + moved.z},
          product(a.rotation, b.rotation)};
}

Transform inverted(const Transform& t) {
  const Quaternion back{-t.rotation.x, -t.rotation.y, -t.rotation.z, t.rotation.w};
  const Vector3 moved = rotated(back, t.translation);
  return {{-moved.x, -moved.y, -moved.z}, back};
}

Transform interpolated(const Transform& a, const Transform& b, double share) {
  const auto mix = [share](double x, double y) { return x + (y - x) * share; };
  Transform result;
  result.translation = {mix(a.translation.x, b.translation.x), mix(a.translation.y, b.translation.y),
                        mix(a.translation.z, b.translation.z)};
  Quaternion p = a.rotation, q = b.rotation;
  double cosine = p.x * q.x + p.y * q.y + p.z * q.z + p.w * q.w;
  if (cosine < 0) {  // the short way round
    q = {-q.x, -q.y, -q.z, -q.w};
    cosine = -cosine;
  }
  double wp = 1 - share, wq = share;
  if (cosine < 0.9999995) {
    const double angle = std::acos(cosine), sine = std::sin(angle);
    wp = std::sin((1 - share) * angle) / sine;
    wq = std::sin(share * angle) / sine;
  }
  Quaternion r{wp * p.x + wq * q.x, wp * p.y + wq * q.y, wp * p.z + wq * q.z, wp * p.w + wq * q.w};
  const double n = std::sqrt(r.x * r.x + r.y * r.y + r.z * r.z + r.w * r.w);
  result.rotation = {r.x / n, r.y / n, r.z / n, r.w / n};
  return result;
}

void TransformBuffer::set(const geometry_msgs::TransformStamped& transform) {
  insert(transform, false);
}
void TransformBuffer::set_static(const geometry_msgs::TransformStamped& transform) {
  insert(transform, true);
}

void TransformBuffer::insert(const geometry_msgs::TransformStamped& transform, bool is_static) {
  const std::string &child = transform.child_frame_id, &parent = transform.header.frame_id;
  if (child.empty() || parent.empty() || child == parent)
    throw InvalidInput("a transform from '" + parent + "' to '" + child +
                       "': two different frames are needed");
  const auto& q = transform.transform.rotation;
  if (std::abs(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w - 1) > 1e-3)
    throw InvalidInput("the quaternion of frame '" + child + "' is not of length 1");
  const std::unique_lock lock(mutex_);
  auto found = edges_.find(child);
  if (found == edges_.end() || found->second.parent != parent) {
    for (auto up = edges_.find(parent); up != edges_.end(); up = edges_.find(up->second.parent))
      if (up->second.parent == child)
        throw InvalidInput("frame '" + child + "' below '" + parent + "' would close a cycle");
    if (found == edges_.end()) {
      found = edges_.emplace(child, Edge{parent, is_static, {}}).first;
    } else {
      found->second = Edge{parent, is_static, {}};  // a new parent: the old history means nothing
    }
  }
  auto& history = found->second.history;
  if (is_static) history.clear();
  history.insert_or_assign(to_nanoseconds(transform.header.stamp), transform.transform);
  while (history.rbegin()->first - history.begin()->first > cache_) history.erase(history.begin());
}

LookupError TransformBuffer::at(const Edge& edge, std::int64_t time_ns, Transform& result) const {
  if (edge.is_static) {
    result = edge.history.begin()->second;
    return LookupError::none;
  }
  const auto after = edge.history.lower_bound(time_ns);
  if (after == edge.history.end()) return LookupError::extrapolation;
  if (after->first == time_ns) {
    result = after->second;
    return LookupError::none;
  }
  if (after == edge.history.begin()) return LookupError::extrapolation;
  const auto before = std::prev(after);
  result = interpolated(
      before->second, after->second,
      static_cast<double>(time_ns - before->first) / static_cast<double>(after->first - before->first));
  return LookupError::none;
}

LookupError TransformBuffer::to_ancestor(const std::string& frame, const std::string& ancestor,
                                         std::int64_t time_ns, Transform& result) const {
  result = identity();
  for (std::string at_frame = frame; at_frame != ancestor;) {
    const auto& edge = edges_.at(at_frame);
    Transform step;
    if (const auto error = at(edge, time_ns, step); error != LookupError::none) return error;
    result = compose(step, result);
    at_frame = edge.parent;
  }
  return LookupError::none;
}

LookupError TransformBuffer::lookup(const std::string& target, const std::string& source,
                                    std::int64_t time_ns, Transform& result) const {
  const std::shared_lock lock(mutex_);
  const auto chain = [&](const std::string& frame) {
    std::vector<std::string> frames{frame};
    for (auto up = edges_.find(frame); up != edges_.end(); up = edges_.find(up->second.parent))
      frames.push_back(up->second.parent);
    return frames;
  };
  const auto from = chain(source), to = chain(target);
  const auto known = [&](const std::vector<std::string>& frames) {
    if (frames.size() > 1) return true;
    for (const auto& [unused, edge] : edges_)
      if (edge.parent == frames[0]) return true;
    return false;
  };
  if (!known(from) || !known(to)) return LookupError::unknown_frame;
  for (const auto& ancestor : from) {
    if (std::find(to.begin(), to.end(), ancestor) == to.end()) continue;
    Transform up, down;
    if (const auto error = to_ancestor(source, ancestor, time_ns, up); error != LookupError::none)
      return error;
    if (const auto error = to_ancestor(target, ancestor, time_ns, down); error != LookupError::none)
      return error;
    result = compose(inverted(down), up);
    return LookupError::none;
  }
  return LookupError::disconnected;
}

namespace {

/// m1: sets what comes on /tf and answers with the transform from the last frame to the first.
class TransformListener : public Component {
 public:
  TransformListener(ros::Node& node, const Json& params)
      : target_(parameter<std::string>(params, "target", "frame0")),
        source_(parameter<std::string>(params, "source", "frame4")) {
    out_ = node.publisher<geometry_msgs::TransformStamped>("transform", {});
    node.subscribe<geometry_msgs::TransformStamped>("tf_edge", {}, [this](auto edge) {
      trace::Operation operation("tf2_set_and_lookup", edge->header.stamp);
      operation.begin();
      auto kept = *edge;
      // A stamped edge of the chain: its number selects the frame, its stamp is the time.
      buffer_.set(kept);
      geometry_msgs::TransformStamped answer{edge->header, source_, {}};
      answer.header.frame_id = target_;
      const auto error =
          buffer_.lookup(target_, source_, to_nanoseconds(edge->header.stamp), answer.transform);
      operation.end();
      if (error != LookupError::none) answer.transform = {{0, 0, 0}, {0, 0, 0, 0}};
      out_->publish(std::move(answer));
    });
    for (int i = 1; i < 4;
         ++i) {  // the still part of the chain: frame1 .. frame3, quarter turns about z, 1 m apart
      geometry_msgs::TransformStamped edge;
      edge.header.frame_id = "frame" + std::to_string(i);
      edge.child_frame_id = "frame" + std::to_string(i + 1);
      edge.transform = {{1, 0, 0}, {0, 0, std::sqrt(0.5), std::sqrt(0.5)}};
      buffer_.set_static(edge);
    }
  }

 private:
  std::string target_, source_;
  TransformBuffer buffer_;
  std::shared_ptr<ros::Publisher<geometry_msgs::TransformStamped>> out_;
};

}  // namespace

std::vector<ComponentType> transform_components() {
  return {{"ballast::components::TransformListener",
           "sets and looks up transforms",
           {"target", "source"},
           [](ros::Node& node, const Json& params) {
             return std::make_unique<TransformListener>(node, params);
           }}};
}

}  // namespace ballast::robot
