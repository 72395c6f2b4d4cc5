// One event of a trace, whatever wrote it: our internal buffers, LTTng read by babeltrace2, or `ros2 trace`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ballast::trace {

struct Event {
  std::string name;          ///< "ros2:callback_start"
  std::int64_t time_ns = 0;  ///< of the trace's clock
  std::uint64_t pid = 0, tid = 0;
  std::map<std::string, std::uint64_t> values;
  std::map<std::string, std::string> texts;

  /// The value of a field, or `otherwise`.
  std::uint64_t value(const std::string& field, std::uint64_t otherwise = 0) const {
    const auto found = values.find(field);
    return found == values.end() ? otherwise : found->second;
  }
};

struct Trace {
  std::vector<Event> events;    ///< in order of time
  std::uint64_t discarded = 0;  ///< events that the buffers could not take; > 0 makes a run invalid
};

/// The events of the internal backend since the last call; threads keep recording meanwhile.
Trace collect_internal();
/// One line an event, for files: TIME PID TID NAME field=value ...; read back by read_text_trace.
std::string to_text(const Trace& trace);
Trace read_text_trace(const std::string& file);

}  // namespace ballast::trace
