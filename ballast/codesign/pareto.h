// Fronts of points whose every coordinate is to be small, and measures of them.
#pragma once

#include <vector>

namespace ballast::codesign {

using Point = std::vector<double>;

/// Constraint domination (Deb et al. 2002): a feasible point beats an infeasible one, of two infeasible ones
/// the less violating wins, of two feasible ones the one that is nowhere larger and somewhere smaller.
bool dominates(const Point& a, double violation_a, const Point& b, double violation_b);

/// Rank of each point: 0 on the front, 1 on the front of the rest, and so on.
std::vector<int> non_dominated_ranks(const std::vector<Point>& points, const std::vector<double>& violations);

/// Crowding distance of each of the points that `members` names; ends get infinity.
std::vector<double> crowding(const std::vector<Point>& points, const std::vector<int>& members);

/// Volume between the points and `reference` (points beyond it add nothing). Exact, by slicing: for some
/// hundred points of two to four coordinates.
double hypervolume(std::vector<Point> points, const Point& reference);

/// Kendall's tau-b and Spearman's rho of two samples of the same size (at least 2); 0 where one of them is
/// constant.
double kendall_tau(const std::vector<double>& a, const std::vector<double>& b);
double spearman(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace ballast::codesign
