// Drift detectors for streams: fed one value at a time (a 0/1 error for the binary ones), they say when its
// distribution has changed. The rules and defaults are those of the river library, whose published detections
// the tests reproduce.
//
//   auto detector = make_detector("ddm");
//   for (double x : errors) { detector->update(x); if (detector->drift()) ... }
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ballast::federate {

class DriftDetector {
 public:
  virtual ~DriftDetector() = default;
  /// Takes one value; a detector that reported drift starts afresh with it.
  void update(double x) {
    if (drift_) reset();
    drift_ = warning_ = false;
    take(x);
  }
  bool drift() const { return drift_; }
  bool warning() const { return warning_; }

 protected:
  virtual void reset() = 0;
  virtual void take(double x) = 0;
  bool drift_ = false, warning_ = false;
};

struct DetectorOptions {
  double drift_level = 0;    ///< 0: the detector's default (DDM 3.0, EDDM 0.9, HDDM 0.001)
  double warning_level = 0;  ///< 0: the detector's default (DDM 2.0, EDDM 0.95, HDDM 0.005)
};

/// ddm, eddm, hddm_a, hddm_w, page_hinkley, adwin, kswin.
std::vector<std::string> detector_names();
/// KSWIN draws at random; make_detector gives it seed 1.
std::unique_ptr<DriftDetector> make_kswin(std::uint64_t seed);
/// Chance that two samples of n values of one continuous distribution differ by h / n or more in the
/// statistic of Kolmogorov and Smirnov; exact.
double smirnov_p_value(int n, int h);
std::unique_ptr<DriftDetector> make_detector(const std::string& name, const DetectorOptions& options = {});

}  // namespace ballast::federate
