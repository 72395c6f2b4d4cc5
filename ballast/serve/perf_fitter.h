// Fits a performance model to measured steps: non-negative least squares on relative errors (residuals
// weighted by 1/T; unweighted, small batches are several times off). Every term of the model is linear in its
// coefficient, the table too: base(N) = y0 + sum_j d_j ramp_j(N) with d_j >= 0, so that it never falls.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ballast/serve/perf_model.h"

namespace ballast::serve {

struct MeasuredStep {
  BatchLoad load;
  double ms = 0;
  std::string region;  ///< "decode", "prefill", "mixed": residuals are reported by region
};

struct FitOptions {
  bool table = true;          ///< base as a table over log2 N; false: two lines (alternating assignment)
  bool cpu_terms = true;      ///< false: the paper's form
  bool context_terms = true;  ///< false: the base alone (ablation)
  double least_r2 = 0.8;      ///< below it, Unavailable is thrown unless `force`
  bool force = false;
  std::uint64_t seed = 1;
};

/// Fits on all points; the held-out error is that of points that five-fold fits have not seen. Fills lines or
/// table, terms, `safety` (the one-sided 95 % quantile of relative under-prediction on held-out points, at
/// least 0.03) and `statistics`: {r2, mape, p95, held_out{r2, mape, p95}, regions{...}, points}.
PerfModel fit_perf_model(std::span<const MeasuredStep> points, const FitOptions& options = {});

/// Quality of a model on points: R^2 of times, mean and 95 % quantile of the absolute relative error.
struct FitQuality {
  double r2 = 0, mape = 0, p95 = 0;
};
FitQuality fit_quality(const PerfModel& model, std::span<const MeasuredStep> points);

}  // namespace ballast::serve
