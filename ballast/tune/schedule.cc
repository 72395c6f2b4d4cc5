#include "ballast/tune/schedule.h"

#include <algorithm>
#include <cmath>

#include "ballast/base/cli.h"

namespace ballast::tune {
namespace {

std::vector<Schedule> all_schedules() {
  return {
      {.name = "serial",
       .update_waits_for_all = true,
       .upload_waits_for_all = true,
       .offload_waits_for_backward = true,
       .forward_waits_for_all = true},
      {.name = "zero", .update_waits_for_all = true, .forward_waits_for_all = true},
      {.name = "zero-dpu", .update_waits_for_all = true, .forward_waits_for_all = true, .delayed = true},
      {.name = "layerwise-fcfs"},
      {.name = "layerwise-lcfs", .service = Service::lcfs},
      {.name = "layerwise", .service = Service::transition},
      {.name = "edf", .service = Service::deadline},
  };
}

}  // namespace

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const Schedule& schedule : all_schedules()) names.push_back(schedule.name);
  return names;
}

Schedule schedule_from_string(const std::string& name) {
  cli::require_one_of("--schedule", name, schedule_names());
  for (const Schedule& schedule : all_schedules()) {
    if (schedule.name == name) return schedule;
  }
  return {};
}

std::tuple<std::int64_t, std::int64_t, std::int64_t> service_key(const Schedule& schedule,
                                                                 const Ticket& ticket) {
  switch (schedule.service) {
    case Service::fcfs:
      return {0, ticket.arrival, 0};
    case Service::lcfs:
      return {0, -ticket.arrival, 0};
    case Service::transition:
      return ticket.block > schedule.transition
                 ? std::tuple{std::int64_t{1}, ticket.arrival, std::int64_t{0}}
                 : std::tuple{std::int64_t{0}, -ticket.arrival, std::int64_t{0}};
    case Service::deadline:
      return {ticket.step, ticket.block, ticket.arrival};
  }
  return {};
}

std::int64_t transition_block(const StageTimes& times) {
  const double slowest = std::max({times.d2h, times.update, times.h2d});
  const double sum = times.d2h + times.update + times.h2d;
  if (slowest <= 0 || slowest <= times.backward / static_cast<double>(times.blocks)) return -1;
  const double k = std::floor((times.backward - (sum - slowest)) / slowest);
  return times.blocks - std::clamp<std::int64_t>(static_cast<std::int64_t>(k), 0, times.blocks) - 1;
}

}  // namespace ballast::tune
