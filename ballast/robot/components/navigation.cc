#include "ballast/robot/components/navigation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>

#include "ballast/base/errors.h"
#include "ballast/robot/components/component.h"

namespace ballast::robot {
namespace {

constexpr double kFar = 1e18;
constexpr std::uint8_t kLethal = 254;

/// One dimension of the distance transform: the lower envelope of parabolas.
void transform_line(const std::vector<double>& f, std::vector<double>& d) {
  const int n = static_cast<int>(f.size());
  std::vector<int> v(f.size());
  std::vector<double> z(f.size() + 1);
  int k = 0;
  z[0] = -kFar;
  z[1] = kFar;
  const auto square = [](double x) { return x * x; };
  const auto at = [](int i) { return static_cast<std::size_t>(i); };
  for (int q = 1; q < n; ++q) {
    const auto meets = [&](int other) {  // where the parabola of q meets that of `other`
      return ((f[at(q)] + square(q)) - (f[at(other)] + square(other))) / (2.0 * q - 2.0 * other);
    };
    double s = meets(v[at(k)]);
    while (s <= z[at(k)]) s = meets(v[at(--k)]);
    v[at(++k)] = q;
    z[at(k)] = s;
    z[at(k) + 1] = kFar;
  }
  k = 0;
  for (int q = 0; q < n; ++q) {
    while (z[at(k) + 1] < q) ++k;
    d[at(q)] = square(q - v[at(k)]) + f[at(v[at(k)])];
  }
}

double step_cost(const Grid& grid, int x, int y, bool diagonal) {
  return (diagonal ? std::sqrt(2.0) : 1.0) * (1 + grid.at(x, y) / 50.0);
}

struct Search {
  std::vector<double> cost;
  std::vector<int> from;
};

/// Best-first from start; with the heuristic it is A*, without it Dijkstra.
Search search(const Grid& grid, Cell start, Cell goal, bool heuristic) {
  const auto inside = [&](Cell c) { return c.x >= 0 && c.y >= 0 && c.x < grid.width && c.y < grid.height; };
  if (!inside(start) || !inside(goal)) throw InvalidInput("start or goal lies outside of the map");
  const auto index = [&](int x, int y) { return y * grid.width + x; };
  Search result{std::vector<double>(grid.cost.size(), kFar), std::vector<int>(grid.cost.size(), -1)};
  if (grid.at(start.x, start.y) >= kLethal || grid.at(goal.x, goal.y) >= kLethal) return result;
  const auto estimate = [&](int x, int y) {
    if (!heuristic) return 0.0;
    const double dx = std::abs(x - goal.x), dy = std::abs(y - goal.y);
    return std::max(dx, dy) + (std::sqrt(2.0) - 1) * std::min(dx, dy);
  };
  using Entry = std::pair<double, int>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
  std::vector<bool> closed(grid.cost.size(), false);
  const int first = index(start.x, start.y), last = index(goal.x, goal.y);
  result.cost[static_cast<std::size_t>(first)] = 0;
  open.push({estimate(start.x, start.y), first});
  while (!open.empty()) {
    const int here = open.top().second;
    open.pop();
    if (closed[static_cast<std::size_t>(here)]) continue;
    closed[static_cast<std::size_t>(here)] = true;
    if (here == last) break;
    const int x = here % grid.width, y = here / grid.width;
    for (int dy = -1; dy <= 1; ++dy) {
      for (int dx = -1; dx <= 1; ++dx) {
        if ((dx == 0 && dy == 0) || !inside({x + dx, y + dy}) || grid.at(x + dx, y + dy) >= kLethal) continue;
        const auto next = static_cast<std::size_t>(index(x + dx, y + dy));
        const double cost =
            result.cost[static_cast<std::size_t>(here)] + step_cost(grid, x + dx, y + dy, dx != 0 && dy != 0);
        if (cost >= result.cost[next]) continue;
        result.cost[next] = cost;
        result.from[next] = here;
        open.push({cost + estimate(x + dx, y + dy), static_cast<int>(next)});
      }
    }
  }
  return result;
}

}  // namespace

std::vector<double> squared_distance(const std::vector<bool>& occupied, int width, int height) {
  const auto w = static_cast<std::size_t>(width), h = static_cast<std::size_t>(height);
  std::vector<double> result(w * h);
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = occupied[i] ? 0 : 1e12;
  std::vector<double> line(h), out(h);
  for (std::size_t x = 0; x < w; ++x) {
    for (std::size_t y = 0; y < h; ++y) line[y] = result[y * w + x];
    transform_line(line, out);
    for (std::size_t y = 0; y < h; ++y) result[y * w + x] = out[y];
  }
  line.resize(w);
  out.resize(w);
  for (std::size_t y = 0; y < h; ++y) {
    std::copy_n(result.begin() + static_cast<std::ptrdiff_t>(y * w), w, line.begin());
    transform_line(line, out);
    std::copy(out.begin(), out.end(), result.begin() + static_cast<std::ptrdiff_t>(y * w));
  }
  return result;
}

Grid inflate(const nav_msgs::OccupancyGrid& map, double radius_m, double k) {
  Grid grid{static_cast<int>(map.info.width),
            static_cast<int>(map.info.height),
            static_cast<double>(map.info.resolution),
            {}};
  const std::size_t cells = std::size_t{map.info.width} * map.info.height;
  if (cells == 0 || map.data.size() != cells || !(grid.resolution_m > 0))
    throw InvalidInput("an occupancy grid whose data do not fit its size and resolution");
  std::vector<bool> occupied(cells);
  for (std::size_t i = 0; i < cells; ++i) occupied[i] = map.data[i] >= 50;
  const auto squares = squared_distance(occupied, grid.width, grid.height);
  grid.cost.resize(cells);
  for (std::size_t i = 0; i < cells; ++i) {
    const double d = std::sqrt(squares[i]) * grid.resolution_m;
    grid.cost[i] =
        d <= radius_m ? kLethal : static_cast<std::uint8_t>(std::floor(253 * std::exp(-k * (d - radius_m))));
  }
  return grid;
}

std::vector<Cell> find_path(const Grid& grid, Cell start, Cell goal, double* cost) {
  const auto found = search(grid, start, goal, true);
  const auto last = static_cast<std::size_t>(goal.y * grid.width + goal.x);
  if (cost) *cost = found.cost[last];
  std::vector<Cell> path;
  if (found.cost[last] >= kFar) return path;
  for (int at = static_cast<int>(last); at >= 0; at = found.from[static_cast<std::size_t>(at)])
    path.push_back({at % grid.width, at / grid.width});
  std::reverse(path.begin(), path.end());
  return path;
}

double dijkstra_cost(const Grid& grid, Cell start, Cell goal) {
  return search(grid, start, goal, false).cost[static_cast<std::size_t>(goal.y * grid.width + goal.x)];
}

geometry_msgs::Twist pursue(const std::vector<std::array<double, 2>>& path, double x, double y,
                            double heading, double look_ahead_m, double speed) {
  geometry_msgs::Twist twist;
  if (path.empty()) return twist;
  // From the nearest point on: the first one at least so far away, else the end.
  std::size_t nearest = 0;
  for (std::size_t i = 1; i < path.size(); ++i)
    if (std::hypot(path[i][0] - x, path[i][1] - y) < std::hypot(path[nearest][0] - x, path[nearest][1] - y))
      nearest = i;
  std::size_t aim = nearest;
  while (aim + 1 < path.size() && std::hypot(path[aim][0] - x, path[aim][1] - y) < look_ahead_m) ++aim;
  const double dx = path[aim][0] - x, dy = path[aim][1] - y;
  const double lateral = -std::sin(heading) * dx + std::cos(heading) * dy, square = dx * dx + dy * dy;
  if (square < 1e-6) return twist;  // there
  twist.linear.x = speed;
  twist.angular.z = speed * 2 * lateral / square;
  return twist;
}

namespace {

/// e1: at every goal a path on the inflated map; the map comes once.
class Navigator : public Component {
 public:
  Navigator(ros::Node& node, const Json& params)
      : radius_(parameter(params, "radius", 0.2)), k_(parameter(params, "k", 3.0)) {
    out_ = node.publisher<nav_msgs::Path>("path", {});
    node.subscribe<nav_msgs::OccupancyGrid>("map", ros::QosProfile::transient_local(1),
                                            [this](auto map) { map_ = map; });
    node.subscribe<geometry_msgs::PoseStamped>("goal", {}, [this](auto goal) { plan(*goal); });
  }

 private:
  void plan(const geometry_msgs::PoseStamped& goal) {
    if (!map_) return;
    trace::Operation operation("navigation_plan", goal.header.stamp);
    operation.begin();
    const Grid grid = inflate(*map_, radius_, k_);
    const auto cell = [&](double x, double y) {
      return Cell{static_cast<int>(x / grid.resolution_m), static_cast<int>(y / grid.resolution_m)};
    };
    const auto cells = find_path(grid, cell(0.5, 0.5), cell(goal.pose.position.x, goal.pose.position.y));
    operation.end();
    nav_msgs::Path path;
    path.header = goal.header;
    for (const auto& at : cells) {
      geometry_msgs::PoseStamped pose;
      pose.pose.position = {(at.x + 0.5) * grid.resolution_m, (at.y + 0.5) * grid.resolution_m, 0};
      pose.pose.orientation.w = 1;
      path.poses.push_back(std::move(pose));
    }
    out_->publish(std::move(path));
  }
  double radius_, k_;
  std::shared_ptr<const nav_msgs::OccupancyGrid> map_;
  std::shared_ptr<ros::Publisher<nav_msgs::Path>> out_;
};

}  // namespace

std::vector<ComponentType> navigation_components() {
  return {{"ballast::components::Navigator",
           "costmap inflation and A* to a goal",
           {"radius", "k"},
           [](ros::Node& node, const Json& params) { return std::make_unique<Navigator>(node, params); }}};
}

}  // namespace ballast::robot
