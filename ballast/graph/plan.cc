#include "ballast/graph/plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/cost/fit.h"

namespace ballast::graph {
namespace {

// Least squares in logarithms: three unknowns, by the normal equations.
PowerLaw fit_power(std::span<const PlanPoint> points, const std::function<double(const PlanPoint&)>& value) {
  std::array<std::array<double, 4>, 3> a{};
  for (const PlanPoint& point : points) {
    const double y = value(point);
    if (point.size.machines < 2 || y <= 0) continue;
    const std::array<double, 3> x{1, std::log(point.size.vertices), std::log(point.size.machines)};
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < 3; ++j) a[i][j] += x[i] * x[j];
      a[i][3] += x[i] * std::log(y);
    }
  }
  for (std::size_t i = 0; i < 3; ++i) {
    std::size_t pivot = i;
    for (std::size_t k = i + 1; k < 3; ++k) {
      if (std::abs(a[k][i]) > std::abs(a[pivot][i])) pivot = k;
    }
    std::swap(a[i], a[pivot]);
    if (std::abs(a[i][i]) < 1e-12)
      throw InvalidInput("a plan needs runs of two sizes on two numbers of machines");
    for (std::size_t k = 0; k < 3; ++k) {
      if (k == i) continue;
      const double times = a[k][i] / a[i][i];
      for (std::size_t j = i; j < 4; ++j) a[k][j] -= times * a[i][j];
    }
  }
  return {a[0][3] / a[0][0], a[1][3] / a[1][1], a[2][3] / a[2][2]};
}

std::vector<double> share_of(const PlanSize& size, double copies) {
  return {size.edges / size.machines, size.vertices / size.machines,
          size.vertices * (copies - 1) / size.machines};
}

cost::Model fit_share(const char* name, std::span<const PlanPoint> points,
                      const std::function<double(const PlanPoint&)>& value) {
  std::vector<cost::Sample> samples;
  for (const PlanPoint& point : points)
    samples.push_back({share_of(point.size, point.figures.copies), std::max(1e-9, value(point))});
  return cost::fit_lines(name, {"edges", "vertices", "mirrors"}, samples, {.lines = 1, .folds = 0});
}

}  // namespace

double PowerLaw::at(const PlanSize& size) const {
  return std::exp(constant + vertices * std::log(size.vertices) + machines * std::log(size.machines));
}

PlanPoint point_of(const JobReport& report, std::uint64_t vertices) {
  PlanPoint point{.size = {.vertices = static_cast<double>(vertices),
                           .edges = static_cast<double>(report.graph_edges),
                           .machines = static_cast<double>(report.accounts.size())},
                  .figures = {.bytes = static_cast<double>(report.busiest_bytes),
                              .supersteps = static_cast<double>(report.supersteps),
                              .memory = static_cast<double>(report.layout.bytes),
                              .copies = report.layout.replication}};
  for (const cluster::Account& account : report.accounts) {
    std::uint64_t ns = 0;
    const auto last = static_cast<std::uint32_t>(account.stages.size());
    for (const auto& s : account.supersteps) ns += s.stage == 1 || s.stage == last ? 0 : s.cpu_ns;
    point.figures.cpu_s = std::max(point.figures.cpu_s, static_cast<double>(ns) * 1e-9);
  }
  return point;
}

PlanLaws fit_plan(std::span<const PlanPoint> points) {
  PlanLaws laws;
  laws.bytes_per_edge =
      fit_power(points, [](const PlanPoint& p) { return p.figures.bytes / p.size.edges / p.size.foreign(); });
  laws.supersteps = fit_power(points, [](const PlanPoint& p) { return p.figures.supersteps; });
  laws.extra_copies =
      fit_power(points, [](const PlanPoint& p) { return (p.figures.copies - 1) / (p.size.machines - 1); });
  laws.cpu = fit_share("cpu", points, [](const PlanPoint& p) { return p.figures.cpu_s; });
  laws.memory = fit_share("memory", points, [](const PlanPoint& p) { return p.figures.memory; });
  return laws;
}

PlanFigures PlanLaws::at(const PlanSize& size) const {
  PlanFigures figures;
  if (size.machines > 1) {
    figures.bytes = bytes_per_edge.at(size) * size.edges * size.foreign();
    figures.supersteps = supersteps.at(size);
    figures.copies = 1 + std::min(1.0, extra_copies.at(size)) * (size.machines - 1);
  }
  const std::vector<double> share = share_of(size, figures.copies);
  figures.cpu_s = cpu(share);
  figures.memory = memory(share);
  return figures;
}

}  // namespace ballast::graph
