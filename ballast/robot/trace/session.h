// A LTTng recording of our tracepoints, and of any ROS 2 program's, through the `lttng` program.
#pragma once

#include <string>

namespace ballast::trace {

/// Why LTTng cannot be used here; empty when it can.
std::string lttng_problem();

class LttngSession {
 public:
  /// Starts recording the user-space events of the providers of ROS 2 and RobotPerf with contexts
  /// vpid, vtid and procname into `folder`. Throws Unavailable when the programs or the shared memory are
  /// missing.
  explicit LttngSession(const std::string& folder, const std::string& name = {});
  ~LttngSession();
  LttngSession(const LttngSession&) = delete;
  void stop();
  /// The recording, and its daemon, outlive this object; stop_lttng() ends it.
  void leave_running();

 private:
  std::string name_;
  int daemon_ = 0;  ///< our own session daemon's process, or 0 where one was there
  bool running_ = false;
};

/// Ends a recording that was left running. Throws Unavailable when there is none of this name.
void stop_lttng(const std::string& name);

}  // namespace ballast::trace
