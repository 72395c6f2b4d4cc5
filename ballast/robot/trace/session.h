// A LTTng recording of our tracepoints through the `lttng` program, and the reading of CTF traces (ours and
// those of `ros2 trace`) through `babeltrace2`.
#pragma once

#include <string>

#include "ballast/robot/trace/event.h"

namespace ballast::trace {

/// Why LTTng cannot be used here; empty when it can.
std::string lttng_problem();

class LttngSession {
 public:
  /// Starts recording the user-space events of the providers `ros2` and `ros2_image_pipeline` with contexts
  /// vpid, vtid and procname into `folder`. Throws Unavailable when the programs or the shared memory are
  /// missing.
  explicit LttngSession(const std::string& folder);
  ~LttngSession();
  LttngSession(const LttngSession&) = delete;
  void stop();

 private:
  std::string name_;
  int daemon_ = 0;  ///< our own session daemon's process, or 0 where one was there
  bool running_ = false;
};

/// All events of a CTF trace folder in order of time; discarded ones are counted from babeltrace2's warnings.
/// Throws Unavailable without babeltrace2, InvalidInput for a folder that is no trace or holds no event.
Trace read_ctf(const std::string& folder);
/// One line of babeltrace2's text form; false when it is none.
bool parse_babeltrace_line(const std::string& line, Event& event);

}  // namespace ballast::trace
