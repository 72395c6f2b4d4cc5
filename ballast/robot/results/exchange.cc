#include "ballast/robot/results/exchange.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/robot/results/fingerprint.h"

namespace ballast::robot {
namespace {

Json basic_metrics(const Run& run) {
  const Analysis& a = run.analysis();
  Json metrics{
      {"BasicPerformanceMetrics.RECEIVED_DURATION", a.received_duration_ms},
      {"BasicPerformanceMetrics.MEAN_PLAYBACK_FRAME_RATE", a.send_rate_hz},
      {"BasicPerformanceMetrics.MEAN_FRAME_RATE", a.compat_frame_rate_hz},
      {"BasicPerformanceMetrics.NUM_MISSED_FRAMES", a.counts.lost},
      {"BasicPerformanceMetrics.NUM_FRAMES_SENT", a.counts.sent},
      {"BasicPerformanceMetrics.FIRST_SENT_RECEIVED_LATENCY", a.first_latency_ms},
      {"BasicPerformanceMetrics.LAST_SENT_RECEIVED_LATENCY", a.last_latency_ms},
      {"BasicPerformanceMetrics.FIRST_INPUT_LATENCY", a.first_latency_ms},
      {"BasicPerformanceMetrics.LAST_INPUT_LATENCY", a.last_latency_ms},
      {"BasicPerformanceMetrics.MAX_LATENCY", a.service.max_ms},
      {"BasicPerformanceMetrics.MIN_LATENCY", a.service.min_ms},
      {"BasicPerformanceMetrics.MEAN_LATENCY", a.service.mean_ms},
      {"BasicPerformanceMetrics.MAX_JITTER", a.compat_jitter_max_ms},
      {"BasicPerformanceMetrics.MIN_JITTER", a.compat_jitter_min_ms},
      {"BasicPerformanceMetrics.MEAN_JITTER", a.compat_jitter_mean_ms},
      {"BasicPerformanceMetrics.STD_DEV_JITTER", a.compat_jitter_std_ms},
      {"ResourceMetrics.MEAN_OVERALL_CPU_UTILIZATION",
       run.resources.sut_cpu_percent + run.resources.harness_cpu_percent + run.resources.rest_cpu_percent}};
  return metrics;
}

/// The valid run whose mean latency is the middle one.
const Run* middle_run(const RateResult& rate) {
  std::vector<const Run*> runs;
  for (const auto& run : rate.runs)
    if (run.valid() || rate.valid == 0) runs.push_back(&run);
  if (runs.empty()) return nullptr;
  std::sort(runs.begin(), runs.end(), [](const Run* a, const Run* b) {
    return a->analysis().service.mean_ms < b->analysis().service.mean_ms;
  });
  return runs[runs.size() / 2];
}

}  // namespace

Json to_r2b(const SessionResult& result) {
  Json document = Json::object();
  for (const auto& rate : result.rates) {
    const Run* run = middle_run(rate);
    if (!run) continue;
    if (document.empty()) document = basic_metrics(*run);
    document[fmt::format("{:.1f}fps", rate.rate_hz)] = basic_metrics(*run);
  }
  const Json machine = fingerprint();
  Json& metadata = document["metadata"];
  metadata["BenchmarkMetadata.NAME"] = result.id + " " + result.slot;
  metadata["BenchmarkMetadata.DEVICE_HOSTNAME"] = machine.at("host");
  metadata["BenchmarkMetadata.DEVICE_ARCH"] = machine.at("machine");
  metadata["BenchmarkMetadata.DEVICE_OS"] = machine.at("kernel");
  metadata["BenchmarkMetadata.BENCHMARK_MODE"] = "SWEEPING";
  metadata["BenchmarkMetadata.INPUT_DATA_PATH"] = result.input;
  if (result.peak) metadata["BenchmarkMetadata.PEAK_THROUGHPUT_PREDICTION"] = result.peak->hz;
  metadata["BenchmarkMetadata.CONFIG"] = {
      {"test_iterations", result.rates.empty() ? 0 : result.rates[0].runs.size()}};
  return document;
}

PublishedSet to_robotperf(const SessionResult& result, const std::string& hardware,
                          const std::string& category, const std::string& date) {
  PublishedSet set{result.id, result.id, result.input, {}};
  const auto add = [&](const char* metric, const char* unit, double value, const std::string& note) {
    PublishedResult item;
    item.benchmark = result.id;
    item.hardware = hardware;
    item.category = category;
    item.metric = metric;
    item.unit = unit;
    item.type = "black";
    item.datasource = result.input;
    item.note = note;
    item.date = date;
    item.value = value;
    item.stated = parse_note(note);
    set.results.push_back(std::move(item));
  };
  for (const auto& rate : result.rates) {
    double worst = 0, least = 1e300, sum = 0, joules = 0, seconds = 0;
    std::size_t runs = 0, measured = 0;
    for (const auto& run : rate.runs) {
      if (!run.valid()) continue;
      ++runs;
      worst = std::max(worst, run.analysis().corrected.max_ms);
      least = std::min(least, run.analysis().corrected.min_ms);
      sum += run.analysis().corrected.mean_ms;
      if (run.energy.joules) {
        ++measured;
        joules += *run.energy.joules;
        seconds += run.energy.seconds;
      }
    }
    if (runs == 0) continue;
    add("latency", "ms", worst,
        fmt::format(
            "implementation {}; at {:g} Hz; mean {:.4f} ms, max {:.4f} ms, min {:.4f} ms, lost {:.2f} %",
            result.slot, rate.rate_hz, sum / static_cast<double>(runs), worst, least,
            rate.loss_percent.value));
    add("throughput", "fps", rate.throughput_hz.value,
        fmt::format("implementation {}; bounded to {:g}fps", result.slot, rate.rate_hz));
    if (measured > 0 && seconds > 0)
      add("power", "W", joules / seconds,
          fmt::format("implementation {}; at {:g} Hz", result.slot, rate.rate_hz));
  }
  if (result.peak && result.peak->hz > 0)
    add("throughput", "fps", result.peak->hz,
        fmt::format("implementation {}; peak, strict search", result.slot));
  return set;
}

}  // namespace ballast::robot
