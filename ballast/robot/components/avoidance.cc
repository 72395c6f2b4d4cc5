#include "ballast/robot/components/avoidance.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_reduce.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ballast/base/errors.h"

namespace ballast::robot {
namespace {

struct Nearest {
  double distance = std::numeric_limits<double>::infinity();
  std::size_t link = 0, point = 0;
};

struct Partial {
  std::vector<Nearest> arms;
  std::size_t self = 0, obstacles = 0;

  void join(const Partial& other) {
    for (std::size_t i = 0; i < arms.size(); ++i)
      // Equal distances: the first point, so that the split into parts does not show.
      if (other.arms[i].distance < arms[i].distance ||
          (other.arms[i].distance == arms[i].distance && other.arms[i].point < arms[i].point))
        arms[i] = other.arms[i];
    self += other.self;
    obstacles += other.obstacles;
  }
};

/// The share 0..1 along the capsule's axis that is nearest to a point.
double share_along(const ArmCapsule& capsule, const Point3& point) {
  double dot = 0, square = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const double axis = capsule.to[i] - capsule.from[i];
    dot += (static_cast<double>(point[i]) - capsule.from[i]) * axis;
    square += axis * axis;
  }
  return square > 0 ? std::clamp(dot / square, 0.0, 1.0) : 0;
}

std::array<double, 3> away(const ArmCapsule& capsule, const Point3& point) {
  const double share = share_along(capsule, point);
  std::array<double, 3> difference;
  for (std::size_t i = 0; i < 3; ++i)
    difference[i] =
        capsule.from[i] + share * (capsule.to[i] - capsule.from[i]) - static_cast<double>(point[i]);
  return difference;
}

double length(const std::array<double, 3>& v) {
  return std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
}

Partial scan_part(const std::vector<Point3>& points, std::size_t first, std::size_t last,
                  const std::vector<std::vector<ArmCapsule>>& arms, double self_margin) {
  Partial partial{.arms = std::vector<Nearest>(arms.size())};
  std::vector<Nearest> here(arms.size());
  for (std::size_t p = first; p < last; ++p) {
    bool self = false;
    for (std::size_t a = 0; a < arms.size() && !self; ++a) {
      here[a] = {};
      for (std::size_t link = 0; link < arms[a].size(); ++link) {
        const double distance = length(away(arms[a][link], points[p])) - arms[a][link].radius;
        if (distance < here[a].distance) here[a] = {distance, link, p};
      }
      self = here[a].distance < self_margin;
    }
    if (self) {
      ++partial.self;
      continue;
    }
    ++partial.obstacles;
    for (std::size_t a = 0; a < arms.size(); ++a)
      if (here[a].distance < partial.arms[a].distance) partial.arms[a] = here[a];
  }
  return partial;
}

}  // namespace

std::vector<Point3> cloud_points(const sensor_msgs::PointCloud2& cloud) {
  std::array<std::uint32_t, 3> offsets{};
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string name(1, static_cast<char>('x' + i));
    const auto field = std::find_if(cloud.fields.begin(), cloud.fields.end(),
                                    [&](const sensor_msgs::PointField& f) { return f.name == name; });
    if (field == cloud.fields.end() || field->datatype != 7 ||
        std::size_t{field->offset} + 4 > cloud.point_step)
      throw InvalidInput("cloud field " + name, field == cloud.fields.end() ? "missing" : "of another type",
                         "FLOAT32 within the point");
    offsets[i] = field->offset;
  }
  const std::size_t count = std::size_t{cloud.width} * cloud.height;
  if (cloud.is_bigendian || cloud.point_step == 0 || cloud.data.size() / cloud.point_step < count)
    throw InvalidInput("a cloud that is shorter than its width and height, or big-endian");
  std::vector<Point3> points;
  points.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    Point3 point;
    for (std::size_t k = 0; k < 3; ++k)
      std::memcpy(&point[k], cloud.data.data() + i * cloud.point_step + offsets[k], 4);
    if (std::isfinite(point[0]) && std::isfinite(point[1]) && std::isfinite(point[2]))
      points.push_back(point);
  }
  return points;
}

AvoidanceResult avoid(const std::vector<Point3>& points, const std::vector<std::vector<ArmCapsule>>& arms,
                      const AvoidanceOptions& options) {
  Partial found{.arms = std::vector<Nearest>(arms.size())};
  if (options.parallel) {
    found = tbb::parallel_reduce(
        tbb::blocked_range<std::size_t>(0, points.size(), 1024), found,
        [&](const tbb::blocked_range<std::size_t>& range, Partial partial) {
          partial.join(scan_part(points, range.begin(), range.end(), arms, options.self_margin_m));
          return partial;
        },
        [](Partial a, const Partial& b) {
          a.join(b);
          return a;
        });
  } else {
    found = scan_part(points, 0, points.size(), arms, options.self_margin_m);
  }
  AvoidanceResult result{.self_points = found.self, .obstacle_points = found.obstacles};
  for (std::size_t a = 0; a < arms.size(); ++a) {
    const Nearest& nearest = found.arms[a];
    Avoidance arm{.distance_m = nearest.distance, .link = nearest.link};
    if (nearest.distance < options.reach_m) {
      const auto direction = away(arms[a][nearest.link], points[nearest.point]);
      const double share = 1 - nearest.distance / options.reach_m;
      const double speed = options.max_speed * share * share / length(direction);
      for (std::size_t i = 0; i < 3; ++i) arm.velocity[i] = direction[i] * speed;
    }
    result.arms.push_back(arm);
  }
  return result;
}

}  // namespace ballast::robot
