#include "ballast/serve/request_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/trace.h"

namespace ballast::serve {
namespace {

std::int64_t nanoseconds(double ms) {
  return std::llround(ms * 1e6);
}

void draw(Trace& trace, const std::string& process, std::vector<RequestBars> requests) {
  std::stable_sort(requests.begin(), requests.end(),
                   [](const RequestBars& a, const RequestBars& b) { return a.arrival_ms < b.arrival_ms; });
  std::vector<double> row_free_ms;  // when each row's last request ended
  std::vector<std::pair<double, int>> changes;
  for (const RequestBars& request : requests) {
    const double arrival = request.arrival_ms;
    const double first = request.token_ms.empty() ? arrival : std::max(arrival, request.token_ms.front());
    const double last = request.token_ms.empty() ? arrival : std::max(first, request.token_ms.back());
    std::size_t row = 0;
    while (row < row_free_ms.size() && row_free_ms[row] > arrival) ++row;
    if (row == row_free_ms.size()) row_free_ms.push_back(0);
    row_free_ms[row] = last;
    Trace::Track& track = trace.track(process, fmt::format("row {}", row));
    const char* kept = request.kept ? "yes" : "no";
    if (request.token_ms.empty()) {
      track.instant(request.name + ": no answer", nanoseconds(arrival), {{"admission", request.admission}});
      continue;
    }
    track.complete(request.name + ": first token", nanoseconds(arrival),
                   nanoseconds(first) - nanoseconds(arrival),
                   {{"admission", request.admission}, {"promises kept", kept}});
    track.complete(request.name + ": decode", nanoseconds(first), nanoseconds(last) - nanoseconds(first),
                   {{"tokens", request.token_ms.size()}, {"promises kept", kept}});
    changes.emplace_back(arrival, 1);
    changes.emplace_back(last, -1);
  }
  std::sort(changes.begin(), changes.end());
  Trace::Track& load = trace.track(process, "load");
  int in_flight = 0;
  for (const auto& [at, change] : changes) {
    in_flight += change;
    load.counter("requests in flight", nanoseconds(at), in_flight);
  }
}

}  // namespace

void write_request_trace(const std::string& file, Basis basis,
                         const std::map<std::string, std::vector<RequestBars>>& runs) {
  if (file.empty()) return;
  Trace trace(file, basis);
  for (const auto& [process, requests] : runs) draw(trace, process, requests);
  trace.commit();
}

}  // namespace ballast::serve
