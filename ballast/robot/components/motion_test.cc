// Controllers, kinematics, collision and planning against closed forms and each other.
#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/robot/components/arm.h"
#include "ballast/robot/components/arm_messages.h"
#include "ballast/robot/components/control.h"

namespace ballast::robot {
namespace {

trajectory_msgs::JointTrajectory random_trajectory(Random& random, int order) {
  trajectory_msgs::JointTrajectory trajectory;
  trajectory.joint_names = {"a", "b", "c"};
  double time = 0;
  for (int i = 0; i < 6; ++i) {
    trajectory_msgs::JointTrajectoryPoint point;
    for (int j = 0; j < 3; ++j) {
      point.positions.push_back(random.uniform(-2, 2));
      if (order >= 3) point.velocities.push_back(random.uniform(-1, 1));
      if (order >= 5) point.accelerations.push_back(random.uniform(-1, 1));
    }
    const auto stamp = to_time(static_cast<std::int64_t>(time * 1e9));
    point.time_from_start = {stamp.sec, stamp.nanosec};
    trajectory.points.push_back(point);
    time += random.uniform(0.2, 1.5);
  }
  return trajectory;
}

TEST(JointSpline, PassesThroughItsPointsWithTheirDerivatives) {
  const std::uint64_t seed = 9;
  Random random(seed);
  for (const int order : {1, 3, 5}) {
    for (int trial = 0; trial < 20; ++trial) {
      const auto trajectory = random_trajectory(random, order);
      const JointSpline spline(trajectory);
      for (std::size_t i = 0; i < trajectory.points.size(); ++i) {
        const auto& point = trajectory.points[i];
        const double time = point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec;
        for (std::size_t j = 0; j < 3; ++j) {
          EXPECT_NEAR(spline.at(time).positions[j], point.positions[j], 1e-9)
              << "order " << order << " seed " << seed;
          if (order < 3 || i == 0 || i + 1 == trajectory.points.size()) continue;
          const double h = 1e-6;
          const double before = (spline.at(time).positions[j] - spline.at(time - h).positions[j]) / h;
          const double after = (spline.at(time + h).positions[j] - spline.at(time).positions[j]) / h;
          EXPECT_NEAR(before, point.velocities[j], 1e-3);
          EXPECT_NEAR(after, point.velocities[j], 1e-3);
        }
      }
    }
  }
  auto bad = random_trajectory(random, 1);
  bad.points[2].time_from_start = bad.points[1].time_from_start;
  EXPECT_THROW(JointSpline{bad}, InvalidInput);
  bad = random_trajectory(random, 1);
  bad.points[2].positions.pop_back();
  EXPECT_THROW(JointSpline{bad}, InvalidInput);
  EXPECT_THROW(JointSpline{trajectory_msgs::JointTrajectory{}}, InvalidInput);
}

TEST(DiffDrive, FollowsTheCircleAndItsLimits) {
  DiffDrive drive({.max_acceleration = 1e9, .max_turn_acceleration = 1e9});
  DiffDrive::Output out;
  // v = 0.5, w = 0.5: a circle of radius 1 about (0, 1); after a quarter turn at (1, 1).
  const double quarter = 3.14159265358979 / 2 / 0.5;
  for (int i = 0; i < 1000; ++i) out = drive.step(0.5, 0.5, quarter / 1000);
  EXPECT_NEAR(out.x, 1, 1e-9);
  EXPECT_NEAR(out.y, 1, 1e-9);
  EXPECT_NEAR(out.left_rad_s, (0.5 - 0.5 * 0.2) / 0.1, 1e-12);
  EXPECT_NEAR(out.right_rad_s, (0.5 + 0.5 * 0.2) / 0.1, 1e-12);
  DiffDrive limited({});
  out = limited.step(5, 0, 0.1);
  EXPECT_NEAR(out.speed, 0.2, 1e-12);  // 2 m/s^2 for 0.1 s
  for (int i = 0; i < 100; ++i) out = limited.step(5, 0, 0.1);
  EXPECT_NEAR(out.speed, 1.0, 1e-12);
  for (int i = 0; i < 100; ++i) out = limited.step(5, 0, 0.1, 0.6);  // the command is too old
  EXPECT_EQ(out.speed, 0);
}

TEST(Arm, KdlEqualsTheProductOfDhMatrices) {
  const std::uint64_t seed = 4;
  Random random(seed);
  const ArmKinematics arm;
  for (int i = 0; i < 200; ++i) {
    const auto joints = random_joints(random);
    const auto error = distance(arm.forward(joints), arm_frames(joints).back());
    EXPECT_LE(error[0], 1e-12) << "seed " << seed;
    EXPECT_LE(error[1], 1e-9);
  }
}

TEST(Arm, InverseThenForwardIsTheGoal) {
  const std::uint64_t seed = 6;
  Random random(seed);
  const ArmKinematics arm;
  for (const auto solver : {ArmKinematics::Solver::newton, ArmKinematics::Solver::levenberg}) {
    int solved = 0;
    for (int i = 0; i < 100; ++i) {
      const auto goal = arm.forward(random_joints(random));
      const auto joints = arm.inverse(goal, JointVector{0, 0, -0.8, 0, 0.8, 0}, solver);
      if (!joints) continue;
      ++solved;
      const auto error = distance(arm.forward(*joints), goal);
      EXPECT_LE(error[0], ArmKinematics::tolerance(solver) * 1.001) << "seed " << seed;
      EXPECT_LE(error[1], ArmKinematics::tolerance(solver) * 1.001) << "seed " << seed;
    }
    EXPECT_GE(solved, 20);
  }
}

TEST(Arm, PosesSurviveTheMessage) {
  Random random(8);
  for (int i = 0; i < 100; ++i) {
    const auto pose = arm_frames(random_joints(random)).back();
    const auto error = distance(transform_of(pose_message(pose)), pose);
    EXPECT_LE(error[0] + std::abs(error[1]), 1e-9);
  }
  EXPECT_THROW(transform_of(geometry_msgs::Pose{}), InvalidInput);
  EXPECT_THROW(joints_of_message(sensor_msgs::JointState{}), InvalidInput);
}

TEST(Collision, FclBulletAndExactGeometryAgreeOutsideOfTwoMillimetres) {
  const std::uint64_t seed = 12;
  Random random(seed);
  const auto fcl = CollisionChecker::make(CollisionChecker::Library::fcl);
  const auto bullet = CollisionChecker::make(CollisionChecker::Library::bullet);
  int hits = 0, near = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto joints = random_joints(random);
    const double clearance = exact_clearance(joints);
    if (std::abs(clearance) < 0.002) {
      ++near;
      continue;
    }
    for (auto* checker : {fcl.get(), bullet.get()}) {
      const auto contacts = checker->check(joints);
      EXPECT_EQ(contacts.world || contacts.self, clearance < 0)
          << (checker == fcl.get() ? "FCL" : "Bullet") << " at clearance " << clearance << ", seed " << seed
          << " draw " << i;
    }
    hits += clearance < 0;
  }
  EXPECT_GT(hits, 50);
  EXPECT_LT(hits, 1950);
  EXPECT_LT(near, 200);
}

TEST(Planning, PathsAreFreeAndTimed) {
  const std::uint64_t seed = 3;
  Random random(seed);
  const auto checker = CollisionChecker::make(CollisionChecker::Library::fcl);
  int solved = 0;
  for (int query = 0; query < 3;) {
    const auto start = random_joints(random), goal = random_joints(random);
    if (exact_clearance(start) < 0.01 || exact_clearance(goal) < 0.01) continue;
    ++query;
    const auto plan = plan_motion(start, goal, *checker, seed);
    if (!plan.solved) continue;
    ++solved;
    EXPECT_TRUE(path_is_free(plan.path, *checker));
    ASSERT_EQ(plan.times_s.size(), plan.path.size());
    for (std::size_t i = 1; i < plan.times_s.size(); ++i) EXPECT_GT(plan.times_s[i], plan.times_s[i - 1]);
  }
  EXPECT_GE(solved, 1) << "seed " << seed;
}

}  // namespace
}  // namespace ballast::robot
