// Keeps a performance model true while it is used (specification 4.1, safety): how much longer steps take
// than it says, and, where that drifts too far, a new fit from the steps themselves.
//
// Recent steps cover only the batches that the present load makes, so a refit takes the old model's own
// figures, rescaled, as further points over the whole grid: where nothing was measured, its shape stays.
#pragma once

#include <deque>
#include <optional>

#include "ballast/serve/perf_fitter.h"

namespace ballast::serve {

class OnlineFit {
 public:
  static constexpr double kDrift = 0.25;       ///< beyond it a warning is counted, and a refit is due
  static constexpr std::size_t kRecent = 512;  ///< steps that are looked back at
  static constexpr int kBetweenRefits = 256;   ///< steps

  /// A step took `ms` where the model as it was measured at first says `predicted`.
  void record(const BatchLoad& load, double ms, double predicted);
  /// Measured over predicted, a moving average over the last 256 steps or so.
  double scale() const { return scale_; }
  bool drifted() const { return scale_ > 1 + kDrift || scale_ < 1 / (1 + kDrift); }
  /// A new model when a refit is due and explains the recent steps better than the rescaled old one.
  std::optional<PerfModel> refit(const PerfModel& present);

 private:
  std::deque<MeasuredStep> recent_;
  double scale_ = 1;
  int since_refit_ = 0;
};

}  // namespace ballast::serve
