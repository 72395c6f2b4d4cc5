#include "ballast/tune/timeline.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/trace.h"

namespace ballast::tune {

std::string to_string(Resource resource) {
  switch (resource) {
    case Resource::device:
      return "device";
    case Resource::d2h:
      return "link to host (emulated speed)";
    case Resource::host:
      return "host update (emulated rate)";
    case Resource::h2d:
      return "link to device (emulated speed)";
  }
  return {};
}

Breakdown& Breakdown::operator+=(const Breakdown& more) {
  total += more.total;
  compute += more.compute;
  link += more.link;
  update += more.update;
  other += more.other;
  return *this;
}

void write_trace(const std::string& path, const std::vector<Interval>& intervals) {
  if (path.empty()) return;
  Trace trace(path);
  double origin = intervals.empty() ? 0 : intervals.front().start;
  for (const Interval& interval : intervals) origin = std::min(origin, interval.start);
  const auto nanoseconds = [](double seconds) { return static_cast<std::int64_t>(seconds * 1e9); };
  for (const Interval& interval : intervals) {
    trace.track("training", to_string(interval.resource))
        .complete(fmt::format("{} {}", interval.what, interval.block), nanoseconds(interval.start - origin),
                  nanoseconds(interval.end - interval.start),
                  {{"step", interval.step}, {"block", interval.block}, {"unit", interval.unit}});
  }
  trace.commit();
}

}  // namespace ballast::tune
