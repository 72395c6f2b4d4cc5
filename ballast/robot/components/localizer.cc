#include "ballast/robot/components/localizer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/robot/components/navigation.h"

namespace ballast::robot {
namespace {

using Points = std::vector<std::array<double, 2>>;

constexpr double kPi = 3.14159265358979323846;

std::size_t index_of(int width, int x, int y) {
  return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x);
}

/// The cells of the beam ends for one angle, relative to the scanner's cell.
std::vector<std::array<int, 2>> turned(const Points& points, double angle, double resolution) {
  const double c = std::cos(angle), s = std::sin(angle);
  std::vector<std::array<int, 2>> cells;
  cells.reserve(points.size());
  for (const auto& [x, y] : points)
    cells.push_back({static_cast<int>(std::floor((c * x - s * y) / resolution + 0.5)),
                     static_cast<int>(std::floor((s * x + c * y) / resolution + 0.5))});
  return cells;
}

double block_score(const LikelihoodField& field, const std::vector<std::array<int, 2>>& cells, int level,
                   int x, int y) {
  double sum = 0;
  for (const auto& [dx, dy] : cells) sum += field.value(level, x + dx, y + dy);
  return sum / static_cast<double>(cells.size());
}

std::vector<double> angles_for(const LikelihoodField& field, const Points& points) {
  double farthest = 0;
  for (const auto& [x, y] : points) farthest = std::max(farthest, std::hypot(x, y));
  const double r = field.resolution_m();
  if (!(farthest > r)) throw InvalidInput("the scan has no beam longer than a cell");
  const double step = std::acos(1 - r * r / (2 * farthest * farthest));
  const int count = static_cast<int>(std::ceil(2 * kPi / step));
  std::vector<double> angles;
  for (int i = 0; i < count; ++i) angles.push_back(2 * kPi * i / count);
  return angles;
}

Pose2 pose_of_cell(const LikelihoodField& field, int x, int y, double angle) {
  return {field.origin_x() + (x + 0.5) * field.resolution_m(),
          field.origin_y() + (y + 0.5) * field.resolution_m(), std::remainder(angle, 2 * kPi)};
}

double point_score(const LikelihoodField& field, const Points& points, const Pose2& pose) {
  const double c = std::cos(pose.heading), s = std::sin(pose.heading);
  double sum = 0;
  for (const auto& [x, y] : points) sum += field.at_point(pose.x + c * x - s * y, pose.y + s * x + c * y);
  return points.empty() ? 0 : sum / static_cast<double>(points.size());
}

}  // namespace

LikelihoodField::LikelihoodField(const nav_msgs::OccupancyGrid& map, double sigma_m, int depth)
    : width_(static_cast<int>(map.info.width)),
      height_(static_cast<int>(map.info.height)),
      resolution_(static_cast<double>(map.info.resolution)),
      origin_x_(map.info.origin.position.x),
      origin_y_(map.info.origin.position.y) {
  const std::size_t cells = map.data.size();
  if (width_ < 1 || height_ < 1 || cells != std::size_t{map.info.width} * map.info.height)
    throw InvalidInput("a map whose cells do not fill its width and height");
  if (!(resolution_ > 0)) throw InvalidInput("map resolution", std::to_string(resolution_), "above 0");
  std::vector<bool> occupied(cells);
  for (std::size_t i = 0; i < cells; ++i) occupied[i] = map.data[i] >= 50;
  if (std::find(occupied.begin(), occupied.end(), true) == occupied.end())
    throw InvalidInput("a map without an occupied cell places no scan");
  const auto squares = squared_distance(occupied, width_, height_);
  auto& base = levels_.emplace_back(cells);
  for (std::size_t i = 0; i < cells; ++i)
    base[i] = static_cast<float>(std::exp(-squares[i] * resolution_ * resolution_ / (2 * sigma_m * sigma_m)));
  // Level h at (x, y) with x from -(2^h - 1): the maximum of four blocks of the level below.
  for (int h = 1; h <= depth; ++h) {
    const int half = 1 << (h - 1), pad = (1 << h) - 1, wide = width_ + pad;
    std::vector<float> level(static_cast<std::size_t>(wide) * static_cast<std::size_t>(height_ + pad));
    for (int y = -pad; y < height_; ++y)
      for (int x = -pad; x < width_; ++x)
        level[index_of(wide, x + pad, y + pad)] =
            std::max({value(h - 1, x, y), value(h - 1, x + half, y), value(h - 1, x, y + half),
                      value(h - 1, x + half, y + half)});
    levels_.push_back(std::move(level));
  }
}

float LikelihoodField::value(int level, int x, int y) const {
  const int pad = (1 << level) - 1;
  x += pad;
  y += pad;
  if (x < 0 || y < 0 || x >= width_ + pad || y >= height_ + pad) return 0;
  return levels_[static_cast<std::size_t>(level)][index_of(width_ + pad, x, y)];
}

float LikelihoodField::at_point(double x, double y) const {
  return value(0, static_cast<int>(std::floor((x - origin_x_) / resolution_)),
               static_cast<int>(std::floor((y - origin_y_) / resolution_)));
}

std::vector<std::array<double, 2>> scan_points(const sensor_msgs::LaserScan& scan, std::size_t most) {
  Points all;
  for (std::size_t i = 0; i < scan.ranges.size(); ++i) {
    const double range = static_cast<double>(scan.ranges[i]);
    if (!std::isfinite(range) || range < static_cast<double>(scan.range_min) ||
        range >= static_cast<double>(scan.range_max))
      continue;
    const double angle = static_cast<double>(scan.angle_min) +
                         static_cast<double>(i) * static_cast<double>(scan.angle_increment);
    all.push_back({range * std::cos(angle), range * std::sin(angle)});
  }
  if (all.size() <= most) return all;
  Points chosen;
  for (std::size_t k = 0; k < most; ++k) chosen.push_back(all[k * all.size() / most]);
  return chosen;
}

Match match_globally(const LikelihoodField& field, const std::vector<std::array<double, 2>>& points) {
  if (points.empty()) throw InvalidInput("a scan without a beam in range places nothing");
  const auto angles = angles_for(field, points);
  std::vector<std::vector<std::array<int, 2>>> cells;
  for (const double angle : angles) cells.push_back(turned(points, angle, field.resolution_m()));
  struct Node {
    double bound;
    int angle, level, x, y;
    bool operator<(const Node& other) const { return bound < other.bound; }
  };
  Match best;
  best.score = -1;
  std::priority_queue<Node> open;
  const int top = field.depth(), block = 1 << top;
  for (int a = 0; a < static_cast<int>(angles.size()); ++a)
    for (int y = 0; y < field.height(); y += block)
      for (int x = 0; x < field.width(); x += block) {
        ++best.evaluated;
        open.push({block_score(field, cells[static_cast<std::size_t>(a)], top, x, y), a, top, x, y});
      }
  // Best first: the first leaf that leaves the queue is the optimum.
  while (!open.empty()) {
    const Node node = open.top();
    open.pop();
    const auto& turned_cells = cells[static_cast<std::size_t>(node.angle)];
    if (node.level == 0) {
      best.pose = pose_of_cell(field, node.x, node.y, angles[static_cast<std::size_t>(node.angle)]);
      best.score = node.bound;
      return best;
    }
    const int half = 1 << (node.level - 1);
    for (const auto& [dx, dy] : {std::array<int, 2>{0, 0}, {half, 0}, {0, half}, {half, half}}) {
      const int x = node.x + dx, y = node.y + dy;
      if (x >= field.width() || y >= field.height()) continue;
      ++best.evaluated;
      open.push({block_score(field, turned_cells, node.level - 1, x, y), node.angle, node.level - 1, x, y});
    }
  }
  return best;
}

Match match_exhaustively(const LikelihoodField& field, const std::vector<std::array<double, 2>>& points) {
  Match best;
  best.score = -1;
  for (const double angle : angles_for(field, points)) {
    const auto cells = turned(points, angle, field.resolution_m());
    for (int y = 0; y < field.height(); ++y)
      for (int x = 0; x < field.width(); ++x) {
        const double score = block_score(field, cells, 0, x, y);
        ++best.evaluated;
        if (score <= best.score) continue;
        best.score = score;
        best.pose = pose_of_cell(field, x, y, angle);
      }
  }
  return best;
}

Pose2 refine(const LikelihoodField& field, const std::vector<std::array<double, 2>>& points, Pose2 pose) {
  double best = point_score(field, points, pose), step = field.resolution_m(), turn = 0.02;
  for (int round = 0; round < 6; ++round, step /= 2, turn /= 2) {
    for (bool better = true; better;) {
      better = false;
      for (const auto& [dx, dy, dh] : {std::array<double, 3>{step, 0, 0},
                                       {-step, 0, 0},
                                       {0, step, 0},
                                       {0, -step, 0},
                                       {0, 0, turn},
                                       {0, 0, -turn}}) {
        const Pose2 trial{pose.x + dx, pose.y + dy, pose.heading + dh};
        const double score = point_score(field, points, trial);
        if (score <= best + 1e-12) continue;
        best = score;
        pose = trial;
        better = true;
      }
    }
  }
  return pose;
}

ParticleFilter::ParticleFilter(const LikelihoodField& field, const ParticleOptions& options,
                               std::uint64_t seed)
    : field_(field), options_(options), random_(seed, 0xb2) {}

void ParticleFilter::start(const Pose2& pose, double position_m, double heading_rad) {
  particles_.clear();
  const double weight = 1.0 / static_cast<double>(options_.most);
  for (std::size_t i = 0; i < options_.most; ++i)
    particles_.push_back({{pose.x + position_m * random_.normal(), pose.y + position_m * random_.normal(),
                           pose.heading + heading_rad * random_.normal()},
                          weight});
}

void ParticleFilter::update(const Pose2& before, const Pose2& after,
                            const std::vector<std::array<double, 2>>& points) {
  // Thrun, Burgard and Fox, "Probabilistic Robotics", table 5.6.
  const double dx = after.x - before.x, dy = after.y - before.y, length = std::hypot(dx, dy);
  const double first = length < 1e-3 ? 0 : std::remainder(std::atan2(dy, dx) - before.heading, 2 * kPi);
  const double last = std::remainder(after.heading - before.heading - first, 2 * kPi);
  const double a = options_.odometry_noise;
  const auto noise = [&](double variance) { return std::sqrt(variance) * random_.normal(); };
  double total = 0, squares = 0;
  for (auto& [pose, weight] : particles_) {
    const double turn_in = first - noise(a * first * first + a * length * length);
    const double move = length - noise(a * length * length + a * (first * first + last * last) * 0.01);
    const double turn_out = last - noise(a * last * last + a * length * length);
    pose.x += move * std::cos(pose.heading + turn_in);
    pose.y += move * std::sin(pose.heading + turn_in);
    pose.heading = std::remainder(pose.heading + turn_in + turn_out, 2 * kPi);
    // Beams are no independent witnesses: the sum of cubes of AMCL instead of a product.
    const double c = std::cos(pose.heading), s = std::sin(pose.heading);
    double p = 1;
    for (const auto& [x, y] : points) {
      const double z = options_.hit_share * static_cast<double>(field_.at_point(pose.x + c * x - s * y,
                                                                                pose.y + s * x + c * y)) +
                       options_.random_share * 0.1;
      p += z * z * z;
    }
    weight *= p;
    total += weight;
  }
  for (auto& particle : particles_) {
    particle.weight /= total;
    squares += particle.weight * particle.weight;
  }
  if (1 / squares < 0.5 * static_cast<double>(particles_.size())) resample();
}

void ParticleFilter::resample() {
  std::vector<double> cumulative;
  double sum = 0;
  for (const auto& particle : particles_) cumulative.push_back(sum += particle.weight);
  std::vector<Particle> next;
  std::set<std::array<int, 3>> bins;
  double wanted = static_cast<double>(options_.fewest);
  while (next.size() < options_.most && static_cast<double>(next.size()) < wanted) {
    const auto chosen = std::upper_bound(cumulative.begin(), cumulative.end(), random_.uniform() * sum);
    const auto& pose =
        particles_[std::min(static_cast<std::size_t>(chosen - cumulative.begin()), particles_.size() - 1)]
            .pose;
    next.push_back({pose, 1});
    if (!bins.insert({static_cast<int>(std::floor(pose.x / 0.1)), static_cast<int>(std::floor(pose.y / 0.1)),
                      static_cast<int>(std::floor(pose.heading / 0.1))})
             .second ||
        bins.size() < 2)
      continue;
    const double k = static_cast<double>(bins.size()) - 1, b = 2 / (9 * k);
    const double root = 1 - b + std::sqrt(b) * options_.kld_quantile;
    wanted =
        std::max(static_cast<double>(options_.fewest), k / (2 * options_.kld_error) * root * root * root);
  }
  for (auto& particle : next) particle.weight = 1 / static_cast<double>(next.size());
  particles_ = std::move(next);
}

Pose2 ParticleFilter::mean() const {
  Pose2 mean;
  double c = 0, s = 0;
  for (const auto& [pose, weight] : particles_) {
    mean.x += weight * pose.x;
    mean.y += weight * pose.y;
    c += weight * std::cos(pose.heading);
    s += weight * std::sin(pose.heading);
  }
  mean.heading = std::atan2(s, c);
  return mean;
}

std::array<double, 3> ParticleFilter::variance() const {
  const Pose2 at = mean();
  std::array<double, 3> sums{};
  for (const auto& [pose, weight] : particles_) {
    const double dh = std::remainder(pose.heading - at.heading, 2 * kPi);
    sums[0] += weight * (pose.x - at.x) * (pose.x - at.x);
    sums[1] += weight * (pose.y - at.y) * (pose.y - at.y);
    sums[2] += weight * dh * dh;
  }
  return sums;
}

double cast_ray(const nav_msgs::OccupancyGrid& map, double x, double y, double angle, double range_max) {
  const double r = static_cast<double>(map.info.resolution), far = std::numeric_limits<double>::infinity();
  const double px = (x - map.info.origin.position.x) / r, py = (y - map.info.origin.position.y) / r;
  const double dx = std::cos(angle), dy = std::sin(angle);
  int cx = static_cast<int>(std::floor(px)), cy = static_cast<int>(std::floor(py));
  const int sx = dx > 0 ? 1 : -1, sy = dy > 0 ? 1 : -1;
  double tx = dx == 0 ? far : ((sx > 0 ? cx + 1 : cx) - px) / dx,
         ty = dy == 0 ? far : ((sy > 0 ? cy + 1 : cy) - py) / dy;
  const double step_x = dx == 0 ? far : std::abs(1 / dx), step_y = dy == 0 ? far : std::abs(1 / dy);
  const int width = static_cast<int>(map.info.width), height = static_cast<int>(map.info.height);
  double t = 0;
  while (t * r < range_max) {
    if (cx < 0 || cy < 0 || cx >= width || cy >= height) return range_max;
    if (map.data[index_of(width, cx, cy)] >= 50) return t * r;
    if (tx < ty) {
      t = tx;
      tx += step_x;
      cx += sx;
    } else {
      t = ty;
      ty += step_y;
      cy += sy;
    }
  }
  return range_max;
}

}  // namespace ballast::robot
