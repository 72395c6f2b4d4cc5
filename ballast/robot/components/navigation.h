// e1: inflated costs, grid search and path following, as plain computations.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ballast/robot/wire/messages.h"

namespace ballast::robot {

struct Grid {
  int width = 0, height = 0;
  double resolution_m = 0.05;
  std::vector<std::uint8_t> cost;  ///< 0 free to 253; 254 and more: never entered
  std::uint8_t at(int x, int y) const {
    return cost[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)];
  }
};

struct Cell {
  int x = 0, y = 0;
  bool operator==(const Cell&) const = default;
};

/// The exact squared Euclidean distance in cells to the nearest occupied one (Felzenszwalb and Huttenlocher).
std::vector<double> squared_distance(const std::vector<bool>& occupied, int width, int height);

/// Costs 253 exp(-k (d - radius)) around occupied cells (value >= 50 of the map), 254 within the radius.
Grid inflate(const nav_msgs::OccupancyGrid& map, double radius_m, double k);

/// A* over 8 neighbours with the octile heuristic; a step costs its length times (1 + cost / 50). Empty: no
/// way.
std::vector<Cell> find_path(const Grid& grid, Cell start, Cell goal, double* cost = nullptr);
/// The same by Dijkstra's algorithm: the oracle of the cost.
double dijkstra_cost(const Grid& grid, Cell start, Cell goal);

/// Pure pursuit: the curvature that leads to the point `look_ahead` metres along the path; speed v, so turn v
/// * curvature.
geometry_msgs::Twist pursue(const std::vector<std::array<double, 2>>& path, double x, double y,
                            double heading, double look_ahead_m, double speed);

}  // namespace ballast::robot
