#include "ballast/robot/wire/qos.h"

#include <fmt/format.h>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::ros {
namespace {

const char* word(Reliability value) {
  return value == Reliability::reliable ? "reliable" : "best_effort";
}
const char* word(Durability value) {
  return value == Durability::volatile_ ? "volatile" : "transient_local";
}

/// DDS orders durations; infinite is the largest.
bool longer(const Lease& a, const Lease& b) {
  if (!b) return false;
  return !a || *a > *b;
}

std::string text(const Lease& lease) {
  return lease ? fmt::format("{} ms", std::chrono::duration<double, std::milli>(*lease).count()) : "infinite";
}

}  // namespace

QosProfile QosProfile::sensor_data() {
  return {.reliability = Reliability::best_effort, .depth = 5};
}
QosProfile QosProfile::services() {
  return {};
}
QosProfile QosProfile::parameters() {
  return {.depth = 1000};
}
QosProfile QosProfile::clock() {
  return {.reliability = Reliability::best_effort, .depth = 1};
}
QosProfile QosProfile::transient_local(int depth) {
  return {.durability = Durability::transient_local, .depth = depth};
}

QosProfile QosProfile::named(const std::string& name) {
  cli::require_one_of("QoS profile", name,
                      {"default", "sensor_data", "services", "parameters", "clock", "latched"});
  if (name == "sensor_data") return sensor_data();
  if (name == "services") return services();
  if (name == "parameters") return parameters();
  if (name == "clock") return clock();
  if (name == "latched") return transient_local(1);
  return {};
}

QosProfile QosProfile::with_depth(int messages) const {
  if (messages < 1) throw InvalidInput("QoS depth", std::to_string(messages), "at least 1 with keep_last");
  QosProfile copy = *this;
  copy.history = History::keep_last;
  copy.depth = messages;
  return copy;
}

std::string to_string(const QosProfile& qos) {
  std::string result = fmt::format("{} {}", word(qos.reliability), word(qos.durability));
  if (qos.history == History::keep_all) {
    result += " keep_all";
  } else {
    result += fmt::format(" keep_last({})", qos.depth);
  }
  if (qos.deadline) result += " deadline " + text(qos.deadline);
  if (qos.liveliness == Liveliness::manual_by_topic) result += " manual_by_topic";
  return result;
}

std::optional<std::string> incompatibility(const QosProfile& offered, const QosProfile& requested) {
  if (offered.reliability == Reliability::best_effort && requested.reliability == Reliability::reliable)
    return "reliability: offered best_effort, requested reliable";
  if (offered.durability == Durability::volatile_ && requested.durability == Durability::transient_local)
    return "durability: offered volatile, requested transient_local";
  if (longer(offered.deadline, requested.deadline))
    return fmt::format("deadline: offered {}, requested {}", text(offered.deadline),
                       text(requested.deadline));
  if (offered.liveliness == Liveliness::automatic && requested.liveliness == Liveliness::manual_by_topic)
    return "liveliness: offered automatic, requested manual_by_topic";
  if (longer(offered.liveliness_lease, requested.liveliness_lease))
    return fmt::format("liveliness lease: offered {}, requested {}", text(offered.liveliness_lease),
                       text(requested.liveliness_lease));
  return std::nullopt;
}

}  // namespace ballast::ros
