// The xArm6 of benchmarks d1 to d6: kinematics (KDL), collision (FCL and Bullet), planning (OMPL).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ballast/base/random.h"

namespace ballast::robot {

inline constexpr std::size_t kArmJoints = 6;
using JointVector = std::array<double, kArmJoints>;

/// A rigid transform: rotation (rows) and position in metres.
struct Transform3 {
  std::array<double, 9> rotation{1, 0, 0, 0, 1, 0, 0, 0, 1};
  std::array<double, 3> position{};
};
Transform3 operator*(const Transform3& a, const Transform3& b);

/// Standard Denavit-Hartenberg rows of the xArm6 (UFACTORY's developer manual): theta offset, d, a, alpha.
struct DhRow {
  double theta, d, a, alpha;
};
const std::array<DhRow, kArmJoints>& arm_dh();
JointVector arm_lower_limits();
JointVector arm_upper_limits();
JointVector random_joints(Random& random);

/// The frames of base and all joints, by multiplying DH matrices: the oracle of the KDL chain.
std::array<Transform3, kArmJoints + 1> arm_frames(const JointVector& joints);

class ArmKinematics {
 public:
  ArmKinematics();
  ~ArmKinematics();
  Transform3 forward(const JointVector& joints) const;  ///< KDL

  enum class Solver {
    newton,     ///< Newton-Raphson with joint limits on the pseudo-inverse: 100 iterations, each of the six
                ///< components of the remaining twist below 1e-6
    levenberg,  ///< Levenberg-Marquardt: 500 iterations, the twist's norm (m and rad alike) below 1e-5
  };
  /// What is left of a solved goal, in metres and in radians: what the solvers' own criteria allow.
  static double tolerance(Solver solver) { return solver == Solver::newton ? 1.7320509e-6 : 1e-5; }
  /// nullopt when it did not converge.
  std::optional<JointVector> inverse(const Transform3& goal, const JointVector& start, Solver solver) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// |position difference| in metres and the angle of the rotation difference in radians.
std::array<double, 2> distance(const Transform3& a, const Transform3& b);

struct Contacts {
  bool world = false, self = false;  ///< collision of the robot with the cube, of the robot with itself
  double distance_m = 0;             ///< smallest of both; filled by distance checks only
};

/// The arm as capsules, one a link, and a cube in reach; links that touch by construction are not checked.
class CollisionChecker {
 public:
  enum class Library { fcl, bullet };
  static std::unique_ptr<CollisionChecker> make(Library library);
  virtual ~CollisionChecker() = default;
  virtual Contacts check(const JointVector& joints) = 0;
};

/// A link's shape in the frame of the base.
struct ArmCapsule {
  std::array<double, 3> from{}, to{};  ///< of its axis
  double radius = 0;
};
std::vector<ArmCapsule> arm_capsules(const JointVector& joints);

/// Distance by our own exact capsule and box geometry: segment to segment, and segment to box by refinement.
/// Slow; the oracle of both libraries, which may differ from it within 2 mm.
double exact_clearance(const JointVector& joints);

struct Plan {
  std::vector<JointVector> path;  ///< way-points, start and goal included
  std::vector<double> times_s;    ///< trapezoidal time scaling of the path
  double planning_ms = 0;
  bool solved = false;
};
/// RRTConnect, 50 shortcut tries, time scaling; the seed fixes the query's randomness.
Plan plan_motion(const JointVector& start, const JointVector& goal, CollisionChecker& checker,
                 std::uint64_t seed, double limit_s = 5);
/// Whether the straight segments of the path are free at a resolution of `step` radians.
bool path_is_free(const std::vector<JointVector>& path, CollisionChecker& checker, double step = 0.02);

}  // namespace ballast::robot
