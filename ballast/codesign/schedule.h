// A mapping as a schedule over the device's resources, by the house's timeline: which operator runs when, and
// what is gained when devices may work at the same time, weights come early, layers are cut into row tiles,
// or frames follow one another.
#pragma once

#include "ballast/codesign/mapping.h"
#include "ballast/cost/timeline.h"

namespace ballast::codesign {

/// Which overlaps are allowed beside `seq`, where one resource works at a time.
struct Schema {
  bool branch = false;    ///< operators whose inputs are ready run at once on both devices
  bool prefetch = false;  ///< an operator's weights are loaded while another one runs, one operator ahead
  int tiles = 1;          ///< row tiles that convolutions hand on one by one (a kernel waits for its halo)
  int frames = 1;         ///< consecutive inputs in flight
};
/// "seq", or any of branch, prefetch, tile and frame, joined by '+' or ',': "branch+prefetch". Tiles are 4,
/// frames 8.
Schema schema_from_string(const std::string& word);
std::string to_string(const Schema& schema);

struct NetworkSchedule {
  cost::Workload workload;
  cost::Schedule schedule;
  Schema used;          ///< the best sub-schema of the one asked for: more freedom never costs
  double frame_ms = 0;  ///< from one frame's end to the next one's, at frames > 1
  Energy energy;        ///< of one frame, with the static share of the time that it takes
  double ms() const { return schedule.makespan_s * 1e3; }  ///< of all frames
};

/// The schedule of exactly this schema. It is checked by cost::violations each time.
NetworkSchedule schedule_exactly(const Graph& graph, const System& system, const Mapping& mapping,
                                 const Schema& schema);

/// The quickest of the schema's sub-schemas (with all of its frames).
NetworkSchedule schedule_network(const Graph& graph, const System& system, const Mapping& mapping,
                                 const Schema& schema);
/// Schema `seq`, or with `branch`.
NetworkSchedule schedule_network(const Graph& graph, const System& system, const Mapping& mapping,
                                 bool branch);

}  // namespace ballast::codesign
