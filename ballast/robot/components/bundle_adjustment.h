// Bundle adjustment over a window of key frames: camera poses and points that explain the observed pixels and
// depths best (Huber loss of 1 pixel, Schur complement). Ceres stays behind this header.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace ballast::robot {

struct BundleObservation {
  std::size_t point = 0;
  double u = 0, v = 0;  ///< pixels
  double depth = 0;     ///< metres; 0: not observed
};

struct BundleView {
  std::array<double, 6> pose{};  ///< world to camera: rotation vector, then translation
  std::vector<BundleObservation> observations;
};

struct BundleWindow {
  double fx = 0, fy = 0, cx = 0, cy = 0;
  std::vector<BundleView> views;  ///< the first keeps its pose
  std::vector<std::array<double, 3>> points;
};

/// Improves poses and points in place; returns the root mean square reprojection error in pixels.
double adjust_bundle(BundleWindow& window, int iterations = 10);

}  // namespace ballast::robot
