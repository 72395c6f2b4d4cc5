#include "ballast/robot/trace/target_chain.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"

namespace ballast::trace {
namespace {

constexpr const char* kSuffixes[] = {"_cb_init", "_init", "_fini", "_cb_fini"};

std::optional<std::int64_t> key_of(const Event& event) {
  if (!event.values.contains("header_sec")) return std::nullopt;
  return static_cast<std::int64_t>(event.value("header_sec")) * 1'000'000'000 +
         static_cast<std::int64_t>(event.value("header_nsec"));
}

}  // namespace

ChainAnalysis analyse_chain(const Trace& trace, const std::vector<std::string>& points) {
  if (points.size() < 2) throw InvalidInput("a target chain needs at least two tracepoints");
  ChainAnalysis result{.points = points};
  result.missing.assign(points.size(), 0);
  result.discarded = trace.discarded;
  std::unordered_map<std::string, std::size_t> place;
  for (std::size_t i = 0; i < points.size(); ++i)
    if (!place.emplace(points[i], i).second)
      throw InvalidInput("tracepoint " + points[i] + " is in the chain twice");
  std::map<std::int64_t, std::vector<std::int64_t>> messages;  // by key: -1 where a point is missing
  std::vector<std::int64_t> order;
  for (const auto& event : trace.events) {
    const auto found = place.find(event.name);
    const auto key = found == place.end() ? std::nullopt : key_of(event);
    if (!key) continue;
    auto [item, fresh] = messages.try_emplace(*key, points.size(), -1);
    if (item->second[found->second] >= 0) {
      ++result.duplicates;
      continue;
    }
    item->second[found->second] = event.time_ns;
    if (found->second == 0) order.push_back(*key);
  }
  result.inputs = order.size();
  for (const auto key : order) {
    const auto& times = messages[key];
    const auto gap = std::find(times.begin(), times.end(), -1);
    if (gap != times.end()) {
      ++result.incomplete;
      ++result.missing[static_cast<std::size_t>(gap - times.begin())];
    } else {
      if (!std::is_sorted(times.begin(), times.end())) ++result.reordered;
      result.complete.push_back({key, times});
    }
  }
  return result;
}

std::vector<std::string> chain_of_operations(const std::vector<std::string>& operations) {
  std::vector<std::string> points;
  for (const auto& operation : operations)
    for (const char* suffix : kSuffixes) points.push_back("ros2_image_pipeline:" + operation + suffix);
  return points;
}

std::vector<std::string> operations_in(const Trace& trace) {
  std::vector<std::string> operations;
  const std::string prefix = "ros2_image_pipeline:", suffix = "_cb_init";
  for (const auto& event : trace.events) {
    if (!event.name.starts_with(prefix) || !event.name.ends_with(suffix)) continue;
    auto name = event.name.substr(prefix.size(), event.name.size() - prefix.size() - suffix.size());
    if (std::find(operations.begin(), operations.end(), name) == operations.end())
      operations.push_back(std::move(name));
  }
  return operations;
}

ChainSummary summarise_chain(const ChainAnalysis& analysis) {
  ChainSummary summary;
  std::vector<std::int64_t> totals;
  for (const auto& message : analysis.complete) totals.push_back(message.total_ns());
  summary.total = robot::summarise(totals);
  for (std::size_t i = 1; i < analysis.points.size(); ++i) {
    std::vector<std::int64_t> parts;
    for (const auto& message : analysis.complete)
      parts.push_back(message.times_ns[i] - message.times_ns[i - 1]);
    summary.segments.push_back(robot::summarise(std::move(parts)));
  }
  return summary;
}

Json to_json(const ChainAnalysis& analysis) {
  const auto summary = summarise_chain(analysis);
  Json segments = Json::array();
  for (std::size_t i = 0; i < summary.segments.size(); ++i)
    segments.push_back({{"from", analysis.points[i]},
                        {"to", analysis.points[i + 1]},
                        {"latency", robot::to_json(summary.segments[i])}});
  return {{"type", "grey"},
          {"inputs", analysis.inputs},
          {"complete", analysis.complete.size()},
          {"incomplete", analysis.incomplete},
          {"duplicates", analysis.duplicates},
          {"reordered", analysis.reordered},
          {"discarded_events", analysis.discarded},
          {"total", robot::to_json(summary.total)},
          {"segments", segments}};
}

GreyBlack compare_grey_black(const ChainAnalysis& grey, const std::vector<robot::Sent>& sent,
                             const std::vector<std::int64_t>& black_ns) {
  std::unordered_map<std::int64_t, std::int64_t> total;
  for (const auto& message : grey.complete) total[message.key] = message.total_ns();
  GreyBlack result;
  std::vector<double> greys, blacks;
  for (std::size_t i = 0; i < sent.size() && i < black_ns.size(); ++i) {
    const auto found = total.find(sent[i].key);
    if (found == total.end() || black_ns[i] < 0) continue;
    ++result.both;
    result.negative += black_ns[i] < found->second;
    greys.push_back(static_cast<double>(found->second) * 1e-6);
    blacks.push_back(static_cast<double>(black_ns[i]) * 1e-6);
  }
  if (result.both == 0) return result;
  result.grey_median_ms = median(greys);
  result.black_median_ms = median(blacks);
  result.ratio = result.grey_median_ms > 0 ? result.black_median_ms / result.grey_median_ms : 0;
  return result;
}

Json to_chrome(const Trace& trace) {
  Json events = Json::array();
  std::map<std::pair<std::uint64_t, std::string>, std::int64_t> open;
  const auto slice = [&](const Event& event, const std::string& name, std::int64_t start) {
    events.push_back({{"name", name},
                      {"ph", "X"},
                      {"pid", event.pid},
                      {"tid", event.tid},
                      {"ts", static_cast<double>(start) * 1e-3},
                      {"dur", static_cast<double>(event.time_ns - start) * 1e-3}});
  };
  for (const auto& event : trace.events) {
    const auto colon = event.name.find(':');
    std::string name = event.name.substr(colon + 1);
    if (name == "callback_start") {
      open[{event.tid, "callback"}] = event.time_ns;
    } else if (name == "callback_end") {
      if (const auto start = open.find({event.tid, "callback"}); start != open.end())
        slice(event, "callback", start->second);
    } else if (name.ends_with("_cb_init") || name.ends_with("_cb_fini")) {
      continue;
    } else if (name.ends_with("_init") && event.values.contains("header_sec")) {
      open[{event.tid, name.substr(0, name.size() - 5)}] = event.time_ns;
    } else if (name.ends_with("_fini")) {
      name.resize(name.size() - 5);
      if (const auto start = open.find({event.tid, name}); start != open.end())
        slice(event, name, start->second);
    }
  }
  return {{"traceEvents", events}};
}

}  // namespace ballast::trace
