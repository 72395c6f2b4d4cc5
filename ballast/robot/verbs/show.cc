#include "ballast/robot/verbs/show.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "ballast/base/errors.h"

namespace ballast::robot {

void show_progress(const std::string& text) {
  if (!::isatty(2)) return;
  fmt::print(stderr, "\r\033[K{}", text);
  std::fflush(stderr);
}

Table result_table(const std::vector<SessionResult>& results) {
  Table table("Black-box latency from the intended send time (measured), median of the runs",
              {"id", "implementation", "Hz", "median ms", "p99 ms", "max ms", "loss %", "out Hz", "CPU %",
               "MiB", "valid runs", "check"});
  for (const auto& result : results) {
    const std::string check =
        fmt::format("{} ({:.3g})", result.check.passed ? "right" : "WRONG", result.check.value);
    for (const auto& rate : result.rates) {
      double cpu = 0, memory = 0;
      for (const auto& run : rate.runs) {
        cpu += run.resources.sut_cpu_percent / static_cast<double>(rate.runs.size());
        memory = std::max(memory, static_cast<double>(run.resources.sut_resident_peak_kib) / 1024);
      }
      table.row({result.id, result.slot, fmt::format("{:g}", rate.rate_hz),
                 fmt::format("{:.3f}", rate.median_ms.value), fmt::format("{:.3f}", rate.p99_ms.value),
                 fmt::format("{:.3f}", rate.max_ms.value), fmt::format("{:.2f}", rate.loss_percent.value),
                 fmt::format("{:.2f}", rate.throughput_hz.value), fmt::format("{:.0f}", cpu),
                 fmt::format("{:.0f}", memory), fmt::format("{}/{}", rate.valid, rate.runs.size()), check});
    }
    if (result.peak)
      table.row({result.id, result.slot, fmt::format("peak {:.1f}", result.peak->hz), "", "", "", "", "", "",
                 "", result.peak->confirmed ? "confirmed" : result.peak->note, check});
    if (result.rates.empty() && !result.peak)
      table.row({result.id, result.slot, "-", "-", "-", "-", "-", "-", "-", "-", "0", check});
  }
  return table;
}

Table grey_table(const std::vector<SessionResult>& results) {
  Table table("Grey box: stages inside the graph, and both methods on the same messages (measured)",
              {"id", "implementation", "from", "to", "median ms", "p99 ms", "messages"});
  for (const auto& result : results) {
    if (!result.grey) continue;
    const auto row = [&](const std::string& from, const std::string& to, const Json& latency) {
      table.row({result.id, result.slot, from, to,
                 fmt::format("{:.4f}", latency.at("median_ms").get<double>()),
                 fmt::format("{:.4f}", latency.at("p99_ms").get<double>()),
                 std::to_string(latency.at("count").get<std::size_t>())});
    };
    for (const auto& segment : result.grey->at("segments")) {
      const auto name = [](const Json& point) {
        const auto text = point.get<std::string>();
        return text.substr(text.find(':') + 1);
      };
      row(name(segment.at("from")), name(segment.at("to")), segment.at("latency"));
    }
    row("all stages", "", result.grey->at("total"));
    if (result.grey_black)
      table.row({result.id, result.slot, "black / grey", fmt::format("{:.2f}", result.grey_black->ratio),
                 fmt::format("{:.4f}", result.grey_black->black_median_ms), "",
                 std::to_string(result.grey_black->both)});
  }
  return table;
}

Series distribution(const std::string& name, const std::vector<std::int64_t>& latencies_ns) {
  std::vector<double> ms;
  for (const auto value : latencies_ns)
    if (value >= 0) ms.push_back(static_cast<double>(value) * 1e-6);
  std::sort(ms.begin(), ms.end());
  Series series{name, {}, {}};
  const std::size_t points = std::min<std::size_t>(ms.size(), 100);
  for (std::size_t i = 0; i < points; ++i) {
    const std::size_t at = points == 1 ? 0 : i * (ms.size() - 1) / (points - 1);
    series.xs.push_back(ms[at]);
    series.ys.push_back(100.0 * static_cast<double>(at + 1) / static_cast<double>(ms.size()));
  }
  return series;
}

void fill_section(Section& section, const std::vector<SessionResult>& results, const std::string& command) {
  section.table(result_table(results));
  Chart chart{.kind = Chart::Kind::line,
              .title = "Latency distribution, first rate and run",
              .x_label = "latency ms",
              .y_label = "% of messages at or below",
              .x_log = true};
  for (const auto& result : results) {
    if (result.rates.empty() || result.rates[0].runs.empty()) continue;
    chart.series.push_back(
        distribution(fmt::format("{} {} at {:g} Hz", result.id, result.slot, result.rates[0].rate_hz),
                     result.rates[0].runs[0].analysis().corrected_ns));
  }
  if (!chart.series.empty()) section.chart(std::move(chart));
  for (const auto& result : results) {
    for (const auto& benchmark : benchmarks()) {
      if (benchmark.id != result.id) continue;
      section.figure({fmt::format("{} {} ({})", result.id, benchmark.name, result.slot),
                      to_svg(benchmark.graph(result.slot)), Basis::counted});
    }
    section.text(fmt::format("{} {}: input {}{}.", result.id, result.slot, result.input,
                             result.synthetic ? " (synthetic)" : ""));
  }
  section.command(command);
}

}  // namespace ballast::robot
