#include <ompl/base/spaces/RealVectorStateSpace.h>
#include <ompl/geometric/SimpleSetup.h>
#include <ompl/geometric/planners/rrt/RRTConnect.h>
#include <ompl/util/Console.h>
#include <ompl/util/RandomNumbers.h>

#include <algorithm>
#include <cmath>

#include "ballast/robot/components/arm.h"
#include "ballast/robot/node/executable.h"

namespace ballast::robot {
namespace {

namespace ob = ompl::base;
namespace og = ompl::geometric;

constexpr double kMaxVelocity = 1.5, kMaxAcceleration = 3.0;  // rad/s, rad/s^2

JointVector joints_of(const ob::State* state) {
  JointVector joints;
  const auto* values = state->as<ob::RealVectorStateSpace::StateType>()->values;
  std::copy_n(values, kArmJoints, joints.begin());
  return joints;
}

double longest_move(const JointVector& a, const JointVector& b) {
  double most = 0;
  for (std::size_t i = 0; i < kArmJoints; ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

/// From rest to rest over the joint that moves most: a trapezoid, or a triangle when it is short.
double move_time(double radians) {
  const double ramp = kMaxVelocity * kMaxVelocity / kMaxAcceleration;
  return radians < ramp ? 2 * std::sqrt(radians / kMaxAcceleration)
                        : radians / kMaxVelocity + kMaxVelocity / kMaxAcceleration;
}

bool segment_is_free(const JointVector& a, const JointVector& b, CollisionChecker& checker, double step) {
  const int steps = std::max(1, static_cast<int>(std::ceil(longest_move(a, b) / step)));
  for (int i = 0; i <= steps; ++i) {
    JointVector at;
    for (std::size_t j = 0; j < kArmJoints; ++j) at[j] = a[j] + (b[j] - a[j]) * i / steps;
    const auto contacts = checker.check(at);
    if (contacts.world || contacts.self) return false;
  }
  return true;
}

}  // namespace

bool path_is_free(const std::vector<JointVector>& path, CollisionChecker& checker, double step) {
  for (std::size_t i = 1; i < path.size(); ++i)
    if (!segment_is_free(path[i - 1], path[i], checker, step)) return false;
  return !path.empty();
}

Plan plan_motion(const JointVector& start, const JointVector& goal, CollisionChecker& checker,
                 std::uint64_t seed, double limit_s) {
  ompl::msg::setLogLevel(ompl::msg::LOG_ERROR);
  auto space = std::make_shared<ob::RealVectorStateSpace>(kArmJoints);
  ob::RealVectorBounds bounds(kArmJoints);
  const auto low = arm_lower_limits(), high = arm_upper_limits();
  for (unsigned i = 0; i < kArmJoints; ++i) {
    bounds.setLow(i, low[i]);
    bounds.setHigh(i, high[i]);
  }
  space->setBounds(bounds);
  og::SimpleSetup setup(space);
  setup.setStateValidityChecker([&](const ob::State* state) {
    const auto contacts = checker.check(joints_of(state));
    return !contacts.world && !contacts.self;
  });
  setup.getSpaceInformation()->setStateValidityCheckingResolution(0.001);
  ob::ScopedState<ob::RealVectorStateSpace> from(space), to(space);
  for (unsigned i = 0; i < kArmJoints; ++i) {
    from[i] = start[i];
    to[i] = goal[i];
  }
  setup.setStartAndGoalStates(from, to);
  setup.setPlanner(std::make_shared<og::RRTConnect>(setup.getSpaceInformation()));
  Plan plan;
  const auto begun = ros::monotonic_ns();
  plan.solved = static_cast<bool>(setup.solve(limit_s)) && setup.haveExactSolutionPath();
  if (plan.solved) {
    for (const auto* state : setup.getSolutionPath().getStates()) plan.path.push_back(joints_of(state));
    Random random(seed, 0xd1);
    for (int attempt = 0; attempt < 50 && plan.path.size() > 2; ++attempt) {  // shortcuts
      const std::size_t a = random.below(plan.path.size() - 2);
      const std::size_t b = a + 2 + random.below(plan.path.size() - a - 2);
      if (segment_is_free(plan.path[a], plan.path[b], checker, 0.02))
        plan.path.erase(plan.path.begin() + static_cast<std::ptrdiff_t>(a) + 1,
                        plan.path.begin() + static_cast<std::ptrdiff_t>(b));
    }
    plan.times_s.push_back(0);
    for (std::size_t i = 1; i < plan.path.size(); ++i)
      plan.times_s.push_back(plan.times_s.back() + move_time(longest_move(plan.path[i - 1], plan.path[i])));
  }
  plan.planning_ms = static_cast<double>(ros::monotonic_ns() - begun) * 1e-6;
  return plan;
}

}  // namespace ballast::robot
