// What happened when, on which resource: the record behind breakdowns and traces.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ballast::tune {

enum class Resource { device, d2h, host, h2d };
std::string to_string(Resource resource);

struct Interval {
  Resource resource = Resource::device;
  std::string what;  ///< "forward", "backward", "apply", "stall", "offload", "update", "upload"
  std::int64_t step = 0, block = 0, unit = -1;
  double start = 0, end = 0;  ///< seconds of the steady clock
};

/// Where one step's wall time went on the device's own line; the four parts sum to the whole.
struct Breakdown {
  double total = 0;
  double compute = 0;  ///< forward, backward, compress, apply
  double link = 0;     ///< waiting while what it waited for was on the link
  double update = 0;   ///< waiting while it was being updated
  double other = 0;    ///< the rest
  Breakdown& operator+=(const Breakdown& more);
};

/// Writes a trace (base/trace.h) with one track a resource. Does nothing for an empty path.
void write_trace(const std::string& path, const std::vector<Interval>& intervals);

}  // namespace ballast::tune
