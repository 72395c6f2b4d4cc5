#include "ballast/robot/components/mpc.h"

#include <nlopt.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ballast/base/errors.h"

namespace ballast::robot {
namespace {

struct MpcContext {
  const MpcProblem& problem;
  const MpcOptions& options;
};

double nlopt_cost(unsigned n, const double* x, double* gradient, void* data) {
  const auto& context = *static_cast<MpcContext*>(data);
  std::vector<double> controls(x, x + n), slope;
  const double cost = mpc_cost(context.problem, context.options, controls, gradient ? &slope : nullptr);
  if (gradient) std::copy(slope.begin(), slope.end(), gradient);
  return cost;
}

void require_references(const MpcProblem& problem, const MpcOptions& options) {
  if (options.horizon < 1 || problem.references.size() != static_cast<std::size_t>(options.horizon))
    throw InvalidInput("references", std::to_string(problem.references.size()), "one a step of the horizon");
}

}  // namespace

double mpc_cost(const MpcProblem& problem, const MpcOptions& o, const std::vector<double>& u,
                std::vector<double>* gradient) {
  const auto n = static_cast<std::size_t>(o.horizon);
  std::vector<std::array<double, 3>> poses(n + 1);
  poses[0] = problem.start;
  double cost = 0;
  for (std::size_t k = 0; k < n; ++k) {
    const double v = u[2 * k], w = u[2 * k + 1];
    const auto& [x, y, heading] = poses[k];
    poses[k + 1] = {x + v * std::cos(heading) * o.step_s, y + v * std::sin(heading) * o.step_s,
                    heading + w * o.step_s};
    const double ex = poses[k + 1][0] - problem.references[k][0],
                 ey = poses[k + 1][1] - problem.references[k][1];
    cost += ex * ex + ey * ey + o.effort * w * w;
    if (k > 0) {
      const double dv = v - u[2 * k - 2], dw = w - u[2 * k - 1];
      cost += o.smooth * (dv * dv + dw * dw);
    }
  }
  if (!gradient) return cost;
  gradient->assign(2 * n, 0);
  std::array<double, 3> adjoint{};  // d cost / d pose k + 1
  for (std::size_t k = n; k-- > 0;) {
    const double v = u[2 * k], w = u[2 * k + 1], heading = poses[k][2], c = std::cos(heading),
                 s = std::sin(heading);
    adjoint[0] += 2 * (poses[k + 1][0] - problem.references[k][0]);
    adjoint[1] += 2 * (poses[k + 1][1] - problem.references[k][1]);
    (*gradient)[2 * k] += (adjoint[0] * c + adjoint[1] * s) * o.step_s;
    (*gradient)[2 * k + 1] += adjoint[2] * o.step_s + 2 * o.effort * w;
    if (k > 0) {
      const double dv = 2 * o.smooth * (v - u[2 * k - 2]), dw = 2 * o.smooth * (w - u[2 * k - 1]);
      (*gradient)[2 * k] += dv;
      (*gradient)[2 * k - 2] -= dv;
      (*gradient)[2 * k + 1] += dw;
      (*gradient)[2 * k - 1] -= dw;
    }
    adjoint[2] += (-adjoint[0] * s + adjoint[1] * c) * v * o.step_s;
  }
  return cost;
}

std::vector<double> solve_mpc(const MpcProblem& problem, const MpcOptions& options) {
  require_references(problem, options);
  const std::size_t n = 2 * static_cast<std::size_t>(options.horizon);
  std::vector<double> controls(n, 0), low(n), high(n);
  for (std::size_t i = 0; i < n; ++i) {
    low[i] = i % 2 == 0 ? 0 : -options.max_turn;
    high[i] = i % 2 == 0 ? options.max_speed : options.max_turn;
    if (i % 2 == 0) controls[i] = options.max_speed / 2;
  }
  MpcContext context{problem, options};
  const nlopt_opt solver = nlopt_create(NLOPT_LD_SLSQP, static_cast<unsigned>(n));
  nlopt_set_lower_bounds(solver, low.data());
  nlopt_set_upper_bounds(solver, high.data());
  nlopt_set_min_objective(solver, nlopt_cost, &context);
  nlopt_set_ftol_rel(solver, 1e-10);
  nlopt_set_maxeval(solver, 300);
  double best = 0;
  const nlopt_result result = nlopt_optimize(solver, controls.data(), &best);
  nlopt_destroy(solver);
  // Round-off at the optimum (-4) is an optimum; anything else below 0 is none.
  if (result < 0 && result != NLOPT_ROUNDOFF_LIMITED)
    throw Unavailable("SLSQP did not solve the control problem");
  return controls;
}

std::vector<double> solve_mpc_slowly(const MpcProblem& problem, const MpcOptions& options) {
  require_references(problem, options);
  std::vector<double> controls(2 * static_cast<std::size_t>(options.horizon), 0), gradient;
  for (std::size_t i = 0; i < controls.size(); i += 2) controls[i] = options.max_speed / 2;
  const auto projected = [&](const std::vector<double>& u) {
    auto result = u;
    for (std::size_t i = 0; i < u.size(); ++i)
      result[i] = i % 2 == 0 ? std::clamp(u[i], 0.0, options.max_speed)
                             : std::clamp(u[i], -options.max_turn, options.max_turn);
    return result;
  };
  double cost = mpc_cost(problem, options, controls, &gradient), step = 0.1;
  for (int i = 0; i < 20000 && step > 1e-12; ++i) {
    auto next = controls;
    for (std::size_t k = 0; k < next.size(); ++k) next[k] -= step * gradient[k];
    next = projected(next);
    std::vector<double> slope;
    const double lower = mpc_cost(problem, options, next, &slope);
    if (lower < cost) {
      controls = std::move(next);
      gradient = std::move(slope);
      cost = lower;
      step *= 1.2;
    } else {
      step /= 2;
    }
  }
  return controls;
}

std::vector<std::array<double, 2>> references_on(const std::vector<std::array<double, 2>>& path, double x,
                                                 double y, double speed, const MpcOptions& options) {
  if (path.empty()) throw InvalidInput("a path without points cannot be followed");
  std::size_t at = 0;
  double nearest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < path.size(); ++i) {
    const double d = std::hypot(path[i][0] - x, path[i][1] - y);
    if (d < nearest) {
      nearest = d;
      at = i;
    }
  }
  std::vector<std::array<double, 2>> references;
  double along = 0;  // already walked of the segment at -> at + 1
  for (int k = 0; k < options.horizon; ++k) {
    double left = speed * options.step_s;
    while (at + 1 < path.size()) {
      const double length = std::hypot(path[at + 1][0] - path[at][0], path[at + 1][1] - path[at][1]);
      if (along + left < length) {
        along += left;
        break;
      }
      left -= length - along;
      along = 0;
      ++at;
    }
    std::array<double, 2> point = path[at];
    if (at + 1 < path.size()) {
      const double length = std::hypot(path[at + 1][0] - path[at][0], path[at + 1][1] - path[at][1]);
      for (std::size_t i = 0; i < 2; ++i)
        point[i] += (path[at + 1][i] - path[at][i]) * along / std::max(length, 1e-12);
    }
    references.push_back(point);
  }
  return references;
}

}  // namespace ballast::robot
