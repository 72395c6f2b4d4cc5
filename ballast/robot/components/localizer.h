// b2: where a laser scan lies in a known map, as plain computations.
//
// Global: correlative scan matching by branch and bound (Hess et al., "Real-time loop closure in 2D LIDAR
// SLAM", ICRA 2016, section V): the score of a pose is the mean likelihood of its beams' ends; maxima over
// blocks of 2^h cells bound the score of all poses of a node from above. Local: Monte Carlo localization with
// a KLD-adapted number of particles (Fox, "Adapting the sample size in particle filters through
// KLD-sampling", IJRR 2003).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ballast/base/random.h"
#include "ballast/robot/wire/messages.h"

namespace ballast::robot {

struct Pose2 {
  double x = 0, y = 0, heading = 0;  ///< m, m, rad
};

/// exp(-d^2 / 2 sigma^2) of the distance d to the nearest occupied cell, and its maxima over blocks of 2^h
/// cells.
class LikelihoodField {
 public:
  /// `depth` levels above the cells. Throws InvalidInput for a map without cells or without an occupied one.
  LikelihoodField(const nav_msgs::OccupancyGrid& map, double sigma_m, int depth);

  int width() const { return width_; }
  int height() const { return height_; }
  int depth() const { return static_cast<int>(levels_.size()) - 1; }
  double resolution_m() const { return resolution_; }
  double origin_x() const { return origin_x_; }
  double origin_y() const { return origin_y_; }
  /// The largest value of cells [x, x + 2^level) x [y, y + 2^level); 0 outside of the map.
  float value(int level, int x, int y) const;
  float at_point(double x, double y) const;

 private:
  int width_, height_;
  double resolution_, origin_x_, origin_y_;
  std::vector<std::vector<float>> levels_;  ///< level h covers x from -(2^h - 1) on
};

/// The ends of the beams within range, in the scanner's frame; at most `most`, evenly chosen.
std::vector<std::array<double, 2>> scan_points(const sensor_msgs::LaserScan& scan, std::size_t most);

struct Match {
  Pose2 pose;
  double score = 0;             ///< mean likelihood, 0..1
  std::uint64_t evaluated = 0;  ///< nodes whose score was computed
};

/// The best pose on the grid of cells and of angles `acos(1 - resolution^2 / (2 r_max^2))` apart.
Match match_globally(const LikelihoodField& field, const std::vector<std::array<double, 2>>& points);
/// The same by trying every pose: the oracle.
Match match_exhaustively(const LikelihoodField& field, const std::vector<std::array<double, 2>>& points);
/// Climbs from a pose to sub-cell accuracy by shrinking steps.
Pose2 refine(const LikelihoodField& field, const std::vector<std::array<double, 2>>& points, Pose2 pose);

struct ParticleOptions {
  std::size_t fewest = 500, most = 5000;
  double hit_share = 0.5, random_share = 0.5;  ///< z_hit, z_rand
  double odometry_noise = 0.2;                 ///< alpha 1 to 4
  double kld_error = 0.05, kld_quantile = 2.33;
};

class ParticleFilter {
 public:
  ParticleFilter(const LikelihoodField& field, const ParticleOptions& options, std::uint64_t seed);
  /// Around a pose with these standard deviations.
  void start(const Pose2& pose, double position_m, double heading_rad);
  /// Moves by the odometry's step (rotation, translation, rotation), weighs by the scan, resamples when the
  /// effective number of particles falls below half.
  void update(const Pose2& odometry_before, const Pose2& odometry_after,
              const std::vector<std::array<double, 2>>& points);
  Pose2 mean() const;
  /// Variances of x, y and heading.
  std::array<double, 3> variance() const;
  std::size_t size() const { return particles_.size(); }

 private:
  struct Particle {
    Pose2 pose;
    double weight;
  };
  void resample();
  const LikelihoodField& field_;
  ParticleOptions options_;
  Random random_;
  std::vector<Particle> particles_;
};

/// The distance to the first occupied cell along a ray, by walking the grid (Amanatides and Woo); `range_max`
/// when there is none. Exact in the grid: what generated scans are made of.
double cast_ray(const nav_msgs::OccupancyGrid& map, double x, double y, double angle, double range_max);

}  // namespace ballast::robot
