#include <cmath>
#include <kdl/chain.hpp>
#include <kdl/chainfksolverpos_recursive.hpp>
#include <kdl/chainiksolverpos_lma.hpp>
#include <kdl/chainiksolverpos_nr_jl.hpp>
#include <kdl/chainiksolvervel_pinv.hpp>

#include "ballast/robot/components/arm.h"

namespace ballast::robot {
namespace {

constexpr double kHalfPi = 1.5707963267948966;
constexpr double kElbow = 1.3849179;

KDL::Chain make_chain() {
  KDL::Chain chain;
  for (const auto& row : arm_dh())
    chain.addSegment(
        KDL::Segment(KDL::Joint(KDL::Joint::RotZ), KDL::Frame::DH(row.a, row.alpha, row.d, row.theta)));
  return chain;
}

KDL::JntArray to_kdl(const JointVector& joints) {
  KDL::JntArray array(kArmJoints);
  for (unsigned i = 0; i < kArmJoints; ++i) array(i) = joints[i];
  return array;
}

Transform3 dh_transform(const DhRow& row, double joint) {
  const double ct = std::cos(row.theta + joint), st = std::sin(row.theta + joint);
  const double ca = std::cos(row.alpha), sa = std::sin(row.alpha);
  return {{ct, -st * ca, st * sa, st, ct * ca, -ct * sa, 0, sa, ca}, {row.a * ct, row.a * st, row.d}};
}

}  // namespace

const std::array<DhRow, kArmJoints>& arm_dh() {
  static constexpr std::array<DhRow, kArmJoints> rows{{{0, 0.267, 0, -kHalfPi},
                                                       {-kElbow, 0, 0.28948866, 0},
                                                       {kElbow, 0, 0.0775, -kHalfPi},
                                                       {0, 0.3425, 0, kHalfPi},
                                                       {0, 0, 0.076, -kHalfPi},
                                                       {0, 0.097, 0, 0}}};
  return rows;
}

JointVector arm_lower_limits() {
  return {-6.28318, -2.059, -3.927, -6.28318, -1.69297, -6.28318};
}
JointVector arm_upper_limits() {
  return {6.28318, 2.0944, 0.19198, 6.28318, 3.14159, 6.28318};
}

JointVector random_joints(Random& random) {
  JointVector joints;
  const auto low = arm_lower_limits(), high = arm_upper_limits();
  // Turns of a joint beyond half a circle repeat poses: queries stay within one.
  for (std::size_t i = 0; i < kArmJoints; ++i)
    joints[i] = random.uniform(std::max(low[i], -3.14159), std::min(high[i], 3.14159));
  return joints;
}

Transform3 operator*(const Transform3& a, const Transform3& b) {
  Transform3 result;
  for (std::size_t i = 0; i < 3; ++i) {
    result.position[i] = a.position[i];
    for (std::size_t j = 0; j < 3; ++j) {
      result.position[i] += a.rotation[3 * i + j] * b.position[j];
      result.rotation[3 * i + j] = 0;
      for (std::size_t k = 0; k < 3; ++k)
        result.rotation[3 * i + j] += a.rotation[3 * i + k] * b.rotation[3 * k + j];
    }
  }
  return result;
}

std::array<Transform3, kArmJoints + 1> arm_frames(const JointVector& joints) {
  std::array<Transform3, kArmJoints + 1> frames;
  for (std::size_t i = 0; i < kArmJoints; ++i)
    frames[i + 1] = frames[i] * dh_transform(arm_dh()[i], joints[i]);
  return frames;
}

struct ArmKinematics::Impl {
  KDL::Chain chain = make_chain();
  KDL::ChainFkSolverPos_recursive forward{chain};
  KDL::ChainIkSolverVel_pinv velocity{chain};
  KDL::JntArray low = to_kdl(arm_lower_limits()), high = to_kdl(arm_upper_limits());
  KDL::ChainIkSolverPos_NR_JL newton{chain, low, high, forward, velocity, 100, 1e-6};
  // Radians weigh as much as metres. KDL's own weights (0.01 for rotations) would end with 1e-3 rad left.
  KDL::ChainIkSolverPos_LMA levenberg{chain, Eigen::Matrix<double, 6, 1>::Ones(), 1e-5, 500};
};

ArmKinematics::ArmKinematics() : impl_(std::make_unique<Impl>()) {}
ArmKinematics::~ArmKinematics() = default;

Transform3 ArmKinematics::forward(const JointVector& joints) const {
  KDL::Frame frame;
  impl_->forward.JntToCart(to_kdl(joints), frame);
  Transform3 result;
  for (int i = 0; i < 3; ++i) {
    result.position[static_cast<std::size_t>(i)] = frame.p(i);
    for (int j = 0; j < 3; ++j) result.rotation[static_cast<std::size_t>(3 * i + j)] = frame.M(i, j);
  }
  return result;
}

std::optional<JointVector> ArmKinematics::inverse(const Transform3& goal, const JointVector& start,
                                                  Solver solver) const {
  const auto& r = goal.rotation;
  const KDL::Frame frame(KDL::Rotation(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8]),
                         KDL::Vector(goal.position[0], goal.position[1], goal.position[2]));
  KDL::JntArray result(kArmJoints);
  const int status = solver == Solver::newton ? impl_->newton.CartToJnt(to_kdl(start), frame, result)
                                              : impl_->levenberg.CartToJnt(to_kdl(start), frame, result);
  if (status < 0) return std::nullopt;
  JointVector joints;
  for (unsigned i = 0; i < kArmJoints; ++i) joints[i] = result(i);
  return joints;
}

std::array<double, 2> distance(const Transform3& a, const Transform3& b) {
  double squares = 0, trace = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    squares += (a.position[i] - b.position[i]) * (a.position[i] - b.position[i]);
    for (std::size_t k = 0; k < 3; ++k) trace += a.rotation[3 * k + i] * b.rotation[3 * k + i];
  }
  // Small angles come from the sine's side: acos loses half of the digits near 1.
  double anti = 0;
  for (const auto& [i, j] : {std::pair<std::size_t, std::size_t>{0, 1}, {0, 2}, {1, 2}}) {
    double rij = 0, rji = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      rij += a.rotation[3 * k + i] * b.rotation[3 * k + j];
      rji += a.rotation[3 * k + j] * b.rotation[3 * k + i];
    }
    anti += (rij - rji) * (rij - rji);
  }
  return {std::sqrt(squares), std::atan2(std::sqrt(anti) / 2, (trace - 1) / 2)};
}

}  // namespace ballast::robot
