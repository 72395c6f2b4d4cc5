// c6: model predictive control of a unicycle along a path: speed and turn of the next 20 steps that keep the
// predicted poses near the path's points at little effort, by sequential quadratic programming (NLopt's
// SLSQP).
#pragma once

#include <array>
#include <vector>

namespace ballast::robot {

struct MpcOptions {
  int horizon = 20;
  double step_s = 0.1;
  double max_speed = 1.0, max_turn = 1.5;  ///< m/s, rad/s; reverse is not driven
  double effort = 0.05;                    ///< weight of the squared controls against squared metres
  double smooth = 0.05;                    ///< weight of their squared changes
};

struct MpcProblem {
  std::array<double, 3> start{};                  ///< x, y, heading
  std::vector<std::array<double, 2>> references;  ///< one point a step of the horizon
};

/// The cost of controls (v0, w0, v1, w1, ...), and its gradient when asked for (adjoint of the rollout).
double mpc_cost(const MpcProblem& problem, const MpcOptions& options, const std::vector<double>& controls,
                std::vector<double>* gradient = nullptr);

/// The best controls. Throws InvalidInput unless there is one reference a step.
std::vector<double> solve_mpc(const MpcProblem& problem, const MpcOptions& options);
/// The same by projected gradient descent: slow, the oracle.
std::vector<double> solve_mpc_slowly(const MpcProblem& problem, const MpcOptions& options);

/// Points of the path that a vehicle of `speed` should reach at each step, from the nearest point on.
std::vector<std::array<double, 2>> references_on(const std::vector<std::array<double, 2>>& path, double x,
                                                 double y, double speed, const MpcOptions& options);

}  // namespace ballast::robot
