#include "ballast/tune/timeline.h"

#include <fmt/format.h>

#include <algorithm>

namespace ballast::tune {

std::string to_string(Resource resource) {
  switch (resource) {
    case Resource::device:
      return "device";
    case Resource::d2h:
      return "link to host";
    case Resource::host:
      return "host update";
    case Resource::h2d:
      return "link to device";
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

Json chrome_trace(const std::vector<Interval>& intervals) {
  Json events = Json::array();
  for (const Resource resource : {Resource::device, Resource::d2h, Resource::host, Resource::h2d}) {
    events.push_back({{"name", "thread_name"},
                      {"ph", "M"},
                      {"pid", 1},
                      {"tid", static_cast<int>(resource)},
                      {"args", {{"name", to_string(resource)}}}});
  }
  double origin = intervals.empty() ? 0 : intervals.front().start;
  for (const Interval& interval : intervals) origin = std::min(origin, interval.start);
  for (const Interval& interval : intervals) {
    events.push_back(
        {{"name", fmt::format("{} {}", interval.what, interval.block)},
         {"ph", "X"},
         {"pid", 1},
         {"tid", static_cast<int>(interval.resource)},
         {"ts", (interval.start - origin) * 1e6},
         {"dur", (interval.end - interval.start) * 1e6},
         {"args", {{"step", interval.step}, {"block", interval.block}, {"unit", interval.unit}}}});
  }
  return {{"traceEvents", events}, {"displayTimeUnit", "ms"}};
}

}  // namespace ballast::tune
