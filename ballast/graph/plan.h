// What an algorithm would take on a graph and a number of machines that are not here, from small runs: laws
// fitted to what was counted and measured, and their error on a larger run that the fit has not seen.
//
//   std::vector<PlanPoint> points = ...;          // point_of(run_job(...)) over sizes and machines
//   const PlanLaws laws = fit_plan(points);
//   PlanFigures f = laws.at({.vertices = 1e9, .edges = 3.2e10, .machines = 256});
//   double seconds = f.seconds(cluster::find_profile("100gbe"));
#pragma once

#include <span>

#include "ballast/cluster/cost_model.h"
#include "ballast/cost/model.h"
#include "ballast/graph/run.h"

namespace ballast::graph {

struct PlanSize {
  double vertices = 0, edges = 0;  ///< directed edges
  double machines = 1;

  /// The share of partners that lie on another machine: what remains with few machines is no trend.
  double foreign() const { return (machines - 1) / machines; }
};

/// Of the busiest machine, in the whole algorithm (without ingestion).
struct PlanFigures {
  double bytes = 0;       ///< on the wire, the larger direction of each superstep
  double cpu_s = 0;       ///< CPU time
  double supersteps = 0;  ///< exchanges
  double memory = 0;      ///< bytes of its share of the graph
  double copies = 1;      ///< of a vertex, the mean

  double seconds(const cluster::Profile& net) const {
    return cpu_s + bytes / net.bytes_per_s + supersteps * net.latency_s;
  }
};

struct PlanPoint {
  PlanSize size;
  PlanFigures figures;
};
PlanPoint point_of(const JobReport& report, std::uint64_t vertices);

/// value = exp(c0 + c1 log(vertices) + c2 log(machines)): how counts grow on graphs of one kind.
struct PowerLaw {
  double constant = 0, vertices = 0, machines = 0;
  double at(const PlanSize& size) const;
};

struct PlanLaws {
  PowerLaw bytes_per_edge, supersteps, extra_copies;  ///< bytes: over foreign(); extra_copies: of a vertex
                                                      ///< beyond the first, each per other machine
  cost::Model cpu, memory;                            ///< by (edges, vertices, mirrors) of a machine

  PlanFigures at(const PlanSize& size) const;
};

/// From points of one kind of graph, one algorithm; at least two sizes and two numbers of machines above 1.
/// Throws InvalidInput for fewer.
PlanLaws fit_plan(std::span<const PlanPoint> points);

}  // namespace ballast::graph
