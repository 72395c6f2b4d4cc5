// The arm's capsules and the cube, in FCL, in Bullet, and by our own exact geometry.
#include <BulletCollision/btBulletCollisionCommon.h>
#include <fcl/geometry/shape/box.h>
#include <fcl/geometry/shape/capsule.h>
#include <fcl/narrowphase/collision.h>
#include <fcl/narrowphase/collision_object.h>

#include <algorithm>
#include <cmath>

#include "ballast/robot/components/arm.h"

namespace ballast::robot {
namespace {

using Eigen::Vector3d;

struct Capsule {
  std::size_t frame;  ///< moves with this frame of arm_frames
  Vector3d from, to;  ///< axis, in that frame
  double radius;
};

/// One capsule a link, along the line from each frame's origin to the next one's.
const std::vector<Capsule>& capsules() {
  static const std::vector<Capsule> list{
      {0, {0, 0, 0.03}, {0, 0, 0.20}, 0.060},             // base column
      {2, {-0.285, 0.0, 0.0}, {-0.03, 0.0, 0.0}, 0.050},  // upper arm
      {3, {-0.0775, 0.0, 0.0}, {0.0, 0.0, 0.0}, 0.045},   // elbow
      {3, {0.0, 0.0, 0.07}, {0.0, 0.0, 0.25}, 0.040},     // forearm
      {5, {-0.076, 0.0, 0.0}, {0.0, 0.0, 0.0}, 0.038},    // wrist
      {6, {0.0, 0.0, -0.05}, {0.0, 0.0, 0.0}, 0.035},     // flange
  };
  return list;
}

/// Neighbours touch by construction.
bool may_touch(std::size_t a, std::size_t b) {
  return b - a <= 2;
}

const Vector3d kCubeCentre{0.40, 0.0, 0.25};
constexpr double kCubeHalf = 0.10;

Vector3d place(const Transform3& frame, const Vector3d& point) {
  const auto& r = frame.rotation;
  return {r[0] * point[0] + r[1] * point[1] + r[2] * point[2] + frame.position[0],
          r[3] * point[0] + r[4] * point[1] + r[5] * point[2] + frame.position[1],
          r[6] * point[0] + r[7] * point[1] + r[8] * point[2] + frame.position[2]};
}

struct Segment {
  Vector3d a, b;
  double radius;
};
std::vector<Segment> segments(const JointVector& joints) {
  const auto frames = arm_frames(joints);
  std::vector<Segment> result;
  for (const auto& capsule : capsules())
    result.push_back({place(frames[capsule.frame], capsule.from), place(frames[capsule.frame], capsule.to),
                      capsule.radius});
  return result;
}

/// Position and rotation that carry the z axis onto the segment, as both libraries want their capsules.
Eigen::Isometry3d pose_of(const Segment& segment) {
  Eigen::Isometry3d pose = Eigen::Isometry3d::Identity();
  pose.linear() =
      Eigen::Quaterniond::FromTwoVectors(Vector3d::UnitZ(), segment.b - segment.a).toRotationMatrix();
  pose.translation() = (segment.a + segment.b) / 2;
  return pose;
}

double segment_distance(const Segment& s, const Segment& t) {
  // Ericson, "Real-Time Collision Detection", 5.1.9: closest points of two segments.
  const Vector3d d1 = s.b - s.a, d2 = t.b - t.a, r = s.a - t.a;
  const double a = d1.squaredNorm(), e = d2.squaredNorm(), f = d2.dot(r), c = d1.dot(r), b = d1.dot(d2);
  const double denominator = a * e - b * b;
  double u = denominator > 1e-12 ? std::clamp((b * f - c * e) / denominator, 0.0, 1.0) : 0;
  double v = (b * u + f) / e;
  if (v < 0) {
    v = 0;
    u = std::clamp(-c / a, 0.0, 1.0);
  } else if (v > 1) {
    v = 1;
    u = std::clamp((b - c) / a, 0.0, 1.0);
  }
  return (s.a + u * d1 - t.a - v * d2).norm();
}

double box_distance(const Vector3d& point) {
  const Vector3d out = ((point - kCubeCentre).cwiseAbs().array() - kCubeHalf).matrix();
  return out.cwiseMax(0.0).norm() + std::min(0.0, out.maxCoeff());
}

/// The distance of a convex body along a segment is convex in the parameter: ternary search.
double segment_box_distance(const Segment& s) {
  double low = 0, high = 1;
  for (int i = 0; i < 100; ++i) {
    const double m1 = low + (high - low) / 3, m2 = high - (high - low) / 3;
    (box_distance(s.a + m1 * (s.b - s.a)) < box_distance(s.a + m2 * (s.b - s.a)) ? high : low) =
        box_distance(s.a + m1 * (s.b - s.a)) < box_distance(s.a + m2 * (s.b - s.a)) ? m2 : m1;
  }
  return box_distance(s.a + low * (s.b - s.a));
}

class Fcl : public CollisionChecker {
 public:
  Fcl()
      : cube_(std::make_shared<fcl::Boxd>(2 * kCubeHalf, 2 * kCubeHalf, 2 * kCubeHalf),
              Eigen::Isometry3d(Eigen::Translation3d(kCubeCentre))) {
    for (const auto& capsule : capsules())
      links_.emplace_back(
          std::make_shared<fcl::Capsuled>(capsule.radius, (capsule.to - capsule.from).norm()));
  }
  Contacts check(const JointVector& joints) override {
    const auto now = segments(joints);
    for (std::size_t i = 0; i < now.size(); ++i) {
      links_[i].setTransform(pose_of(now[i]));
      links_[i].computeAABB();
    }
    const fcl::CollisionRequestd request(1, false, 1, false, true, fcl::GST_LIBCCD);
    const auto hit = [&](const fcl::CollisionObjectd& a, const fcl::CollisionObjectd& b) {
      if (!a.getAABB().overlap(b.getAABB())) return false;
      fcl::CollisionResultd result;
      return fcl::collide(&a, &b, request, result) > 0;
    };
    Contacts contacts;
    for (std::size_t i = 1; i < links_.size(); ++i) contacts.world = contacts.world || hit(links_[i], cube_);
    for (std::size_t i = 0; i < links_.size(); ++i)
      for (std::size_t k = i + 1; k < links_.size(); ++k)
        if (!may_touch(i, k)) contacts.self = contacts.self || hit(links_[i], links_[k]);
    return contacts;
  }

 private:
  fcl::CollisionObjectd cube_;
  std::vector<fcl::CollisionObjectd> links_;
};

class Bullet : public CollisionChecker {
 public:
  Bullet()
      : dispatcher_(&configuration_),
        world_(&dispatcher_, &broadphase_, &configuration_),
        box_(btVector3(kCubeHalf, kCubeHalf, kCubeHalf)) {
    box_.setMargin(0);
    cube_.setCollisionShape(&box_);
    cube_.setWorldTransform(btTransform(btQuaternion::getIdentity(), vector(kCubeCentre)));
    for (const auto& capsule : capsules()) {
      shapes_.push_back(
          std::make_unique<btCapsuleShapeZ>(capsule.radius, (capsule.to - capsule.from).norm()));
      links_.push_back(std::make_unique<btCollisionObject>());
      links_.back()->setCollisionShape(shapes_.back().get());
    }
  }
  Contacts check(const JointVector& joints) override {
    const auto now = segments(joints);
    for (std::size_t i = 0; i < now.size(); ++i) {
      const auto pose = pose_of(now[i]);
      const Eigen::Quaterniond q(pose.linear());
      links_[i]->setWorldTransform(
          btTransform(btQuaternion(q.x(), q.y(), q.z(), q.w()), vector(pose.translation())));
    }
    Contacts contacts;
    for (std::size_t i = 1; i < links_.size(); ++i) contacts.world = contacts.world || hit(*links_[i], cube_);
    for (std::size_t i = 0; i < links_.size(); ++i)
      for (std::size_t k = i + 1; k < links_.size(); ++k)
        if (!may_touch(i, k)) contacts.self = contacts.self || hit(*links_[i], *links_[k]);
    return contacts;
  }

 private:
  static btVector3 vector(const Vector3d& v) { return {btScalar(v[0]), btScalar(v[1]), btScalar(v[2])}; }

  struct Deepest : btCollisionWorld::ContactResultCallback {
    btScalar distance = 1;
    btScalar addSingleResult(btManifoldPoint& point, const btCollisionObjectWrapper*, int, int,
                             const btCollisionObjectWrapper*, int, int) override {
      distance = std::min(distance, point.getDistance());
      return 0;
    }
  };
  bool hit(btCollisionObject& a, btCollisionObject& b) {
    btVector3 low_a, high_a, low_b, high_b;
    a.getCollisionShape()->getAabb(a.getWorldTransform(), low_a, high_a);
    b.getCollisionShape()->getAabb(b.getWorldTransform(), low_b, high_b);
    if (!TestAabbAgainstAabb2(low_a, high_a, low_b, high_b)) return false;
    Deepest deepest;
    world_.contactPairTest(&a, &b, deepest);
    return deepest.distance <= 0;
  }
  btDefaultCollisionConfiguration configuration_;
  btCollisionDispatcher dispatcher_;
  btDbvtBroadphase broadphase_;
  btCollisionWorld world_;
  btBoxShape box_;
  btCollisionObject cube_;
  std::vector<std::unique_ptr<btCapsuleShapeZ>> shapes_;
  std::vector<std::unique_ptr<btCollisionObject>> links_;
};

}  // namespace

std::unique_ptr<CollisionChecker> CollisionChecker::make(Library library) {
  if (library == Library::fcl) return std::make_unique<Fcl>();
  return std::make_unique<Bullet>();
}

std::vector<ArmCapsule> arm_capsules(const JointVector& joints) {
  std::vector<ArmCapsule> result;
  for (const auto& segment : segments(joints))
    result.push_back({{segment.a[0], segment.a[1], segment.a[2]},
                      {segment.b[0], segment.b[1], segment.b[2]},
                      segment.radius});
  return result;
}

double exact_clearance(const JointVector& joints) {
  const auto now = segments(joints);
  double clearance = INFINITY;
  for (std::size_t i = 1; i < now.size(); ++i)
    clearance = std::min(clearance, segment_box_distance(now[i]) - now[i].radius);
  for (std::size_t i = 0; i < now.size(); ++i)
    for (std::size_t k = i + 1; k < now.size(); ++k)
      if (!may_touch(i, k))
        clearance = std::min(clearance, segment_distance(now[i], now[k]) - now[i].radius - now[k].radius);
  return clearance;
}

}  // namespace ballast::robot
