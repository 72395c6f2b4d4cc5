// A script of faults, to see what a failure does: which machine, where, what.
//
//   kill 3 stage=td-orch superstep=2      the machine ends as if its process had died
//   die 1 superstep=4                     its process really ends (SIGKILL): for machines that are MPI ranks
//   delay 1 ms=50 superstep=0             it comes late
//   drop 0 to=2 superstep=1               its message to 2 loses its payload
//   corrupt 0 to=2 superstep=1            one bit of its message to 2 flips
//
// One fault a line or between ';'. `stage=` (a name) and `superstep=` may be left out: then it strikes at the
// first exchange that fits. Every fault strikes once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ballast::cluster {

struct Fault {
  enum class Kind { kill, die, delay, drop, corrupt };
  Kind kind = Kind::kill;
  int machine = 0;
  int to = -1;         ///< destination of drop and corrupt; -1: the first message there is
  std::string stage;   ///< empty: any
  int superstep = -1;  ///< -1: any
  double delay_ms = 0;
};

struct FaultScript {
  std::vector<Fault> faults;
  /// Throws InvalidInput naming the line and what is accepted.
  static FaultScript parse(const std::string& text);
};

}  // namespace ballast::cluster
