// The nodes of d1 (planning), d2/d3 (collision), d4/d5 (inverse) and d6 (direct kinematics).
#include <cmath>

#include "ballast/robot/components/arm.h"
#include "ballast/robot/components/arm_messages.h"
#include "ballast/robot/components/component.h"

namespace ballast::robot {

JointVector joints_of_message(const sensor_msgs::JointState& state) {
  if (state.position.size() != kArmJoints)
    throw InvalidInput("joint positions", std::to_string(state.position.size()), "6 of them");
  JointVector joints;
  std::copy_n(state.position.begin(), kArmJoints, joints.begin());
  return joints;
}

sensor_msgs::JointState joint_message(const std_msgs::Header& header, const JointVector& joints) {
  sensor_msgs::JointState state;
  state.header = header;
  for (std::size_t i = 1; i <= kArmJoints; ++i) state.name.push_back("joint" + std::to_string(i));
  state.position.assign(joints.begin(), joints.end());
  return state;
}

geometry_msgs::Pose pose_message(const Transform3& t) {
  // Shepperd's method: divide by the largest of the four.
  const auto& r = t.rotation;
  geometry_msgs::Quaternion q;
  const double trace = r[0] + r[4] + r[8];
  if (trace > 0) {
    const double s = 2 * std::sqrt(trace + 1);
    q = {(r[7] - r[5]) / s, (r[2] - r[6]) / s, (r[3] - r[1]) / s, s / 4};
  } else if (r[0] > r[4] && r[0] > r[8]) {
    const double s = 2 * std::sqrt(1 + r[0] - r[4] - r[8]);
    q = {s / 4, (r[1] + r[3]) / s, (r[2] + r[6]) / s, (r[7] - r[5]) / s};
  } else if (r[4] > r[8]) {
    const double s = 2 * std::sqrt(1 + r[4] - r[0] - r[8]);
    q = {(r[1] + r[3]) / s, s / 4, (r[5] + r[7]) / s, (r[2] - r[6]) / s};
  } else {
    const double s = 2 * std::sqrt(1 + r[8] - r[0] - r[4]);
    q = {(r[2] + r[6]) / s, (r[5] + r[7]) / s, s / 4, (r[3] - r[1]) / s};
  }
  return {{t.position[0], t.position[1], t.position[2]}, q};
}

Transform3 transform_of(const geometry_msgs::Pose& pose) {
  const auto& q = pose.orientation;
  const double n = std::sqrt(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w);
  if (!(n > 0.5)) throw InvalidInput("a pose whose quaternion is not of length 1");
  const double x = q.x / n, y = q.y / n, z = q.z / n, w = q.w / n;
  return {{1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), 2 * (x * y + z * w),
           1 - 2 * (x * x + z * z), 2 * (y * z - x * w), 2 * (x * z - y * w), 2 * (y * z + x * w),
           1 - 2 * (x * x + y * y)},
          {pose.position.x, pose.position.y, pose.position.z}};
}

namespace {

using sensor_msgs::JointState;

class Collision : public Component {
 public:
  Collision(ros::Node& node, const Json& params) {
    const auto library = parameter<std::string>(params, "library", "fcl");
    if (library != "fcl" && library != "bullet") throw InvalidInput("library", library, "fcl or bullet");
    checker_ = CollisionChecker::make(library == "fcl" ? CollisionChecker::Library::fcl
                                                       : CollisionChecker::Library::bullet);
    operation_ = "collision_checking_" + library;
    out_ = node.publisher<JointState>("contacts", {});
    node.subscribe<JointState>("joint_states", {}, [this](auto state) {
      trace::Operation operation(operation_, state->header.stamp);
      const auto joints = joints_of_message(*state);
      operation.begin();
      const auto contacts = checker_->check(joints);
      operation.end();
      JointState answer;
      answer.header = state->header;
      answer.name = {"world", "self"};
      answer.position = {contacts.world ? 1.0 : 0.0, contacts.self ? 1.0 : 0.0};
      out_->publish(std::move(answer));
    });
  }

 private:
  std::string operation_;
  std::unique_ptr<CollisionChecker> checker_;
  std::shared_ptr<ros::Publisher<JointState>> out_;
};

class Inverse : public Component {
 public:
  Inverse(ros::Node& node, const Json& params) {
    const auto solver = parameter<std::string>(params, "solver", "newton");
    if (solver != "newton" && solver != "levenberg")
      throw InvalidInput("solver", solver, "newton or levenberg");
    solver_ = solver == "newton" ? ArmKinematics::Solver::newton : ArmKinematics::Solver::levenberg;
    operation_ = "inverse_kinematics_" + solver;
    out_ = node.publisher<JointState>("joints", {});
    node.subscribe<geometry_msgs::PoseStamped>("goal", {}, [this](auto goal) {
      trace::Operation operation(operation_, goal->header.stamp);
      const auto wanted = transform_of(goal->pose);
      operation.begin();
      const auto joints = arm_.inverse(wanted, JointVector{0, 0, -0.8, 0, 0.8, 0}, solver_);
      operation.end();
      // Unsolved: no positions.
      auto answer = joints ? joint_message(goal->header, *joints) : JointState{goal->header, {}, {}, {}, {}};
      out_->publish(std::move(answer));
    });
  }

 private:
  std::string operation_;
  ArmKinematics::Solver solver_;
  ArmKinematics arm_;
  std::shared_ptr<ros::Publisher<JointState>> out_;
};

class Direct : public Component {
 public:
  Direct(ros::Node& node, const Json&) {
    out_ = node.publisher<geometry_msgs::PoseStamped>("pose", {});
    node.subscribe<JointState>("joint_states", {}, [this](auto state) {
      trace::Operation operation("direct_kinematics", state->header.stamp);
      const auto joints = joints_of_message(*state);
      operation.begin();
      const auto pose = arm_.forward(joints);
      operation.end();
      out_->publish(geometry_msgs::PoseStamped{state->header, pose_message(pose)});
    });
  }

 private:
  ArmKinematics arm_;
  std::shared_ptr<ros::Publisher<geometry_msgs::PoseStamped>> out_;
};

/// Goal as a joint state of 12 positions: start, then goal.
class Planner : public Component {
 public:
  Planner(ros::Node& node, const Json& params)
      : checker_(CollisionChecker::make(CollisionChecker::Library::fcl)),
        limit_s_(parameter(params, "limit_s", 5.0)) {
    out_ = node.publisher<trajectory_msgs::JointTrajectory>("trajectory", {});
    node.subscribe<JointState>("query", {}, [this](auto query) {
      if (query->position.size() != 2 * kArmJoints) throw InvalidInput("a query needs 12 positions");
      JointVector start, goal;
      std::copy_n(query->position.begin(), kArmJoints, start.begin());
      std::copy_n(query->position.begin() + kArmJoints, kArmJoints, goal.begin());
      trace::Operation operation("motion_planning", query->header.stamp);
      operation.begin();
      const auto plan = plan_motion(start, goal, *checker_, 1, limit_s_);
      operation.end();
      trajectory_msgs::JointTrajectory trajectory;
      trajectory.header = query->header;
      trajectory.joint_names = joint_message({}, start).name;
      for (std::size_t i = 0; i < plan.path.size(); ++i) {
        trajectory_msgs::JointTrajectoryPoint point;
        point.positions.assign(plan.path[i].begin(), plan.path[i].end());
        const auto time = to_time(static_cast<std::int64_t>(plan.times_s[i] * 1e9));
        point.time_from_start = {time.sec, time.nanosec};
        trajectory.points.push_back(std::move(point));
      }
      out_->publish(std::move(trajectory));
    });
  }

 private:
  std::unique_ptr<CollisionChecker> checker_;
  double limit_s_;
  std::shared_ptr<ros::Publisher<trajectory_msgs::JointTrajectory>> out_;
};

}  // namespace

std::vector<ComponentType> arm_components() {
  return {{"ballast::components::CollisionChecker",
           "robot against world and itself",
           {"library"},
           [](ros::Node& node, const Json& params) { return std::make_unique<Collision>(node, params); }},
          {"ballast::components::InverseKinematics",
           "pose to joints (KDL)",
           {"solver"},
           [](ros::Node& node, const Json& params) { return std::make_unique<Inverse>(node, params); }},
          {"ballast::components::DirectKinematics",
           "joints to pose (KDL)",
           {},
           [](ros::Node& node, const Json& params) { return std::make_unique<Direct>(node, params); }},
          {"ballast::components::MotionPlanner",
           "collision-free joint paths (OMPL RRTConnect)",
           {"limit_s"},
           [](ros::Node& node, const Json& params) { return std::make_unique<Planner>(node, params); }}};
}

}  // namespace ballast::robot
