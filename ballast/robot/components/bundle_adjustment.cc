#include "ballast/robot/components/bundle_adjustment.h"

#include <ceres/autodiff_cost_function.h>
#include <ceres/loss_function.h>
#include <ceres/problem.h>
#include <ceres/rotation.h>
#include <ceres/solver.h>

#include <cmath>

namespace ballast::robot {
namespace {

/// Pixels, and depth scaled so that 1 % of it weighs as a pixel.
struct Reprojection {
  const BundleWindow& window;
  BundleObservation seen;

  template <typename T>
  bool operator()(const T* pose, const T* point, T* residual) const {
    T at[3];
    ceres::AngleAxisRotatePoint(pose, point, at);
    for (int i = 0; i < 3; ++i) at[i] += pose[3 + i];
    if (at[2] < T(1e-3)) return false;
    residual[0] = window.fx * at[0] / at[2] + window.cx - seen.u;
    residual[1] = window.fy * at[1] / at[2] + window.cy - seen.v;
    residual[2] = seen.depth > 0 ? (at[2] - seen.depth) * (100.0 / seen.depth) : T(0);
    return true;
  }
};

}  // namespace

double adjust_bundle(BundleWindow& window, int iterations) {
  ceres::Problem problem;
  std::size_t count = 0;
  for (auto& view : window.views)
    for (const auto& seen : view.observations) {
      problem.AddResidualBlock(
          new ceres::AutoDiffCostFunction<Reprojection, 3, 6, 3>(new Reprojection{window, seen}),
          new ceres::HuberLoss(1.0), view.pose.data(), window.points[seen.point].data());
      ++count;
    }
  if (count == 0) return 0;
  if (problem.HasParameterBlock(window.views[0].pose.data()))
    problem.SetParameterBlockConstant(window.views[0].pose.data());
  ceres::Solver::Options options;
  options.linear_solver_type = ceres::DENSE_SCHUR;
  options.max_num_iterations = iterations;
  options.num_threads = 1;
  options.logging_type = ceres::SILENT;
  ceres::Solver::Summary summary;
  ceres::Solve(options, &problem, &summary);
  return std::sqrt(2 * summary.final_cost / static_cast<double>(count));
}

}  // namespace ballast::robot
