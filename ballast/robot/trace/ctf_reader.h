// CTF traces (LTTng's, ours and those of `ros2 trace`) through libbabeltrace2. Built without the library,
// reading throws Unavailable.
#pragma once

#include <string>

#include "ballast/robot/trace/event.h"

namespace ballast::trace {

bool has_babeltrace();

/// All events below a folder (every sub-folder with a CTF `metadata` file is one trace), in order of time;
/// events that the tracer discarded are counted, not shown. Throws Unavailable for a folder that is not
/// there, InvalidInput for one that is no trace, a damaged trace, or one without an event.
Trace read_ctf(const std::string& folder);

}  // namespace ballast::trace
