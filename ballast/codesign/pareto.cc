#include "ballast/codesign/pareto.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ballast/base/errors.h"

namespace ballast::codesign {
namespace {

std::vector<double> ranks_of(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t i = 0; i < order.size();) {
    std::size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (std::size_t j = i; j < end; ++j)
      ranks[order[j]] = (static_cast<double>(i) + static_cast<double>(end) - 1) / 2;
    i = end;
  }
  return ranks;
}

double slice_volume(std::vector<Point> points, const Point& reference, std::size_t dims) {
  if (dims == 1) {
    double least = reference[0];
    for (const auto& p : points) least = std::min(least, p[0]);
    return reference[0] - least;
  }
  std::sort(points.begin(), points.end(),
            [&](const Point& a, const Point& b) { return a[dims - 1] < b[dims - 1]; });
  double volume = 0;
  std::vector<Point> inside;
  for (std::size_t i = 0; i < points.size(); ++i) {
    inside.push_back(points[i]);
    const double next = i + 1 < points.size() ? points[i + 1][dims - 1] : reference[dims - 1];
    const double depth = next - points[i][dims - 1];
    if (depth > 0) volume += depth * slice_volume(inside, reference, dims - 1);
  }
  return volume;
}

}  // namespace

bool dominates(const Point& a, double violation_a, const Point& b, double violation_b) {
  if (violation_a > 0 || violation_b > 0) return violation_a < violation_b;
  bool smaller = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return false;
    smaller = smaller || a[i] < b[i];
  }
  return smaller;
}

std::vector<int> non_dominated_ranks(const std::vector<Point>& points,
                                     const std::vector<double>& violations) {
  const std::size_t n = points.size();
  std::vector<std::vector<std::size_t>> beats(n);
  std::vector<int> beaten_by(n, 0), rank(n, -1);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      if (i != j && dominates(points[i], violations[i], points[j], violations[j])) {
        beats[i].push_back(j);
        ++beaten_by[j];
      }
    }
  }
  std::vector<std::size_t> front;
  for (std::size_t i = 0; i < n; ++i) {
    if (beaten_by[i] == 0) front.push_back(i);
  }
  for (int level = 0; !front.empty(); ++level) {
    std::vector<std::size_t> next;
    for (std::size_t i : front) {
      rank[i] = level;
      for (std::size_t j : beats[i]) {
        if (--beaten_by[j] == 0) next.push_back(j);
      }
    }
    front = std::move(next);
  }
  return rank;
}

std::vector<double> crowding(const std::vector<Point>& points, const std::vector<int>& members) {
  std::vector<double> distance(members.size(), 0);
  if (members.empty()) return distance;
  const auto point = [&](std::size_t m) -> const Point& {
    return points[static_cast<std::size_t>(members[m])];
  };
  std::vector<std::size_t> order(members.size());
  for (std::size_t d = 0; d < point(0).size(); ++d) {
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return point(a)[d] < point(b)[d]; });
    const double span = point(order.back())[d] - point(order.front())[d];
    distance[order.front()] = distance[order.back()] = std::numeric_limits<double>::infinity();
    for (std::size_t i = 1; i + 1 < order.size() && span > 0; ++i)
      distance[order[i]] += (point(order[i + 1])[d] - point(order[i - 1])[d]) / span;
  }
  return distance;
}

double hypervolume(std::vector<Point> points, const Point& reference) {
  std::erase_if(points, [&](const Point& p) {
    BALLAST_CHECK(p.size() == reference.size());
    for (std::size_t d = 0; d < p.size(); ++d) {
      if (!(p[d] < reference[d])) return true;
    }
    return false;
  });
  return points.empty() ? 0 : slice_volume(std::move(points), reference, reference.size());
}

double kendall_tau(const std::vector<double>& a, const std::vector<double>& b) {
  BALLAST_CHECK(a.size() == b.size());
  double agree = 0, ties_a = 0, ties_b = 0, pairs = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = i + 1; j < a.size(); ++j) {
      const double x = (a[i] > a[j]) - (a[i] < a[j]), y = (b[i] > b[j]) - (b[i] < b[j]);
      ++pairs;
      agree += x * y;
      ties_a += x == 0 ? 1 : 0;
      ties_b += y == 0 ? 1 : 0;
    }
  }
  const double norm = std::sqrt((pairs - ties_a) * (pairs - ties_b));
  return norm > 0 ? agree / norm : 0;
}

double spearman(const std::vector<double>& a, const std::vector<double>& b) {
  BALLAST_CHECK(a.size() == b.size());
  const auto x = ranks_of(a), y = ranks_of(b);
  const double middle = (static_cast<double>(a.size()) - 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - middle) * (y[i] - middle);
    xx += (x[i] - middle) * (x[i] - middle);
    yy += (y[i] - middle) * (y[i] - middle);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

}  // namespace ballast::codesign
