#include "ballast/robot/harness/accounting.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"

namespace ballast::robot {
namespace {

constexpr double kMs = 1e-6;

/// n values over their span, less one: intervals, not fence posts.
double rate_of(std::size_t events, std::int64_t first, std::int64_t last, std::size_t less) {
  if (events < 2 || last <= first) return 0;
  return static_cast<double>(events - less) * 1e9 / static_cast<double>(last - first);
}

void fill_jitter(const std::vector<std::int64_t>& arrivals, double rate_hz, Analysis& out) {
  std::vector<double> gaps, deviation, second;
  const double period_ms = rate_hz > 0 ? 1e3 / rate_hz : 0;
  for (std::size_t i = 1; i < arrivals.size(); ++i) {
    gaps.push_back(static_cast<double>(arrivals[i] - arrivals[i - 1]) * kMs);
    deviation.push_back(std::abs(gaps.back() - period_ms));
    if (gaps.size() > 1) second.push_back(std::abs(gaps.back() - gaps[gaps.size() - 2]));
  }
  if (gaps.empty()) return;
  out.jitter_std_ms = std::sqrt(variance(gaps));
  out.jitter_p99_ms = quantile(deviation, 0.99);
  if (second.empty()) return;
  out.compat_jitter_mean_ms = mean(second);
  out.compat_jitter_std_ms = std::sqrt(variance(second));
  out.compat_jitter_min_ms = *std::min_element(second.begin(), second.end());
  out.compat_jitter_max_ms = *std::max_element(second.begin(), second.end());
}

void fill_sending(const std::vector<Sent>& sent, double rate_hz, Analysis& out) {
  if (sent.empty()) return;
  std::vector<double> lateness;
  for (const auto& message : sent)
    lateness.push_back(static_cast<double>(message.actual_ns - message.intended_ns) * kMs);
  out.lateness_p99_ms = quantile(lateness, 0.99);
  out.send_rate_hz = rate_of(sent.size(), sent.front().actual_ns, sent.back().actual_ns, 1);
  const double intended = rate_of(sent.size(), sent.front().intended_ns, sent.back().intended_ns, 1);
  if (intended > 0 && rate_hz > 0) out.rate_error = out.send_rate_hz / intended - 1;
}

}  // namespace

LatencySummary summarise(std::vector<std::int64_t> latencies_ns) {
  LatencySummary result;
  result.count = latencies_ns.size();
  if (latencies_ns.empty()) return result;
  std::vector<double> ms;
  ms.reserve(latencies_ns.size());
  double squares = 0;
  for (const auto value : latencies_ns) {
    ms.push_back(static_cast<double>(value) * kMs);
    squares += ms.back() * ms.back();
  }
  std::sort(ms.begin(), ms.end());
  result.min_ms = ms.front();
  result.max_ms = ms.back();
  result.mean_ms = mean(ms);
  result.rms_ms = std::sqrt(squares / static_cast<double>(ms.size()));
  result.median_ms = quantile(ms, 0.5);
  result.p90_ms = quantile(ms, 0.9);
  result.p95_ms = quantile(ms, 0.95);
  result.p99_ms = quantile(ms, 0.99);
  result.p999_ms = quantile(ms, 0.999);
  result.std_ms = std::sqrt(variance(ms));
  return result;
}

double theil_sen(const std::vector<double>& xs, const std::vector<double>& ys) {
  constexpr std::size_t kAllPairs = 300;
  const std::size_t stride = std::max<std::size_t>(1, xs.size() / kAllPairs);
  std::vector<double> slopes;
  for (std::size_t i = 0; i < xs.size(); i += stride)
    for (std::size_t k = i + stride; k < xs.size(); k += stride)
      if (xs[k] != xs[i]) slopes.push_back((ys[k] - ys[i]) / (xs[k] - xs[i]));
  return slopes.empty() ? 0 : median(slopes);
}

Analysis analyse(const std::vector<Sent>& sent, const std::vector<Received>& received,
                 const AnalysisOptions& options) {
  Analysis out;
  out.counts.sent = sent.size();
  if (options.key == KeyMode::order && sent.size() != received.size())
    throw InvalidInput(
        fmt::format("keys by order need as many outputs as inputs, and there were {} of {}; with any loss "
                    "the pairs are wrong",
                    received.size(), sent.size()));
  std::unordered_map<std::int64_t, std::size_t> number;
  number.reserve(sent.size() * 2);
  for (std::size_t i = 0; i < sent.size(); ++i) number.emplace(sent[i].key, i);

  out.service_ns.assign(sent.size(), -1);
  out.corrected_ns.assign(sent.size(), -1);
  std::vector<bool> seen(sent.size(), false);
  std::vector<std::int64_t> arrivals, service, corrected;
  std::size_t newest = 0;
  for (std::size_t k = 0; k < received.size(); ++k) {
    const auto& message = received[k];
    std::size_t i = k;
    if (options.key != KeyMode::order) {
      const auto found = number.find(message.key);
      if (found == number.end()) {
        ++out.counts.unmatched;
        continue;
      }
      i = found->second;
    }
    if (message.time_ns > options.drain_end_ns) {
      ++out.counts.late;
      continue;
    }
    if (seen[i]) {
      ++out.counts.duplicates;
      continue;
    }
    seen[i] = true;
    ++out.counts.received;
    if (i < newest) ++out.counts.reordered;
    newest = std::max(newest, i);
    arrivals.push_back(message.time_ns);
    out.service_ns[i] = message.time_ns - sent[i].actual_ns;
    out.corrected_ns[i] = message.time_ns - sent[i].intended_ns;
    service.push_back(out.service_ns[i]);
    corrected.push_back(out.corrected_ns[i]);
  }
  out.counts.lost = out.counts.sent - out.counts.received;
  out.service = summarise(std::move(service));
  out.corrected = summarise(corrected);
  if (!arrivals.empty()) {
    const auto [first, last] = std::minmax_element(arrivals.begin(), arrivals.end());
    out.receive_rate_hz = rate_of(arrivals.size(), *first, *last, 1);
    out.compat_frame_rate_hz = rate_of(arrivals.size(), *first, *last, 0);
    out.received_duration_ms = static_cast<double>(*last - *first) * kMs;
  }
  std::vector<double> xs, ys;
  std::size_t missed = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    if (out.corrected_ns[i] < 0) continue;
    if (xs.empty()) out.first_latency_ms = static_cast<double>(out.service_ns[i]) * kMs;
    out.last_latency_ms = static_cast<double>(out.service_ns[i]) * kMs;
    xs.push_back(static_cast<double>(sent[i].intended_ns));
    ys.push_back(static_cast<double>(out.corrected_ns[i]));
    missed += options.deadline_ms > 0 && ys.back() * kMs > options.deadline_ms;
  }
  out.latency_slope = theil_sen(xs, ys);
  if (options.deadline_ms > 0 && !sent.empty())
    out.deadline_miss_percent =
        100.0 * static_cast<double>(missed + out.counts.lost) / static_cast<double>(sent.size());
  fill_jitter(arrivals, options.rate_hz, out);
  fill_sending(sent, options.rate_hz, out);
  return out;
}

Json to_json(const LatencySummary& s) {
  return {{"count", s.count},         {"min_ms", s.min_ms}, {"mean_ms", s.mean_ms}, {"rms_ms", s.rms_ms},
          {"median_ms", s.median_ms}, {"p90_ms", s.p90_ms}, {"p95_ms", s.p95_ms},   {"p99_ms", s.p99_ms},
          {"p99.9_ms", s.p999_ms},    {"max_ms", s.max_ms}, {"std_ms", s.std_ms}};
}

Json to_json(const Analysis& a) {
  return {{"counts",
           {{"sent", a.counts.sent},
            {"received", a.counts.received},
            {"lost", a.counts.lost},
            {"duplicates", a.counts.duplicates},
            {"unmatched", a.counts.unmatched},
            {"late", a.counts.late},
            {"reordered", a.counts.reordered},
            {"loss_percent", a.counts.loss_percent()}}},
          {"latency_corrected", to_json(a.corrected)},
          {"latency_service", to_json(a.service)},
          {"send_rate_hz", a.send_rate_hz},
          {"receive_rate_hz", a.receive_rate_hz},
          {"jitter_std_ms", a.jitter_std_ms},
          {"jitter_p99_ms", a.jitter_p99_ms},
          {"deadline_miss_percent", a.deadline_miss_percent},
          {"generator", {{"lateness_p99_ms", a.lateness_p99_ms}, {"rate_error", a.rate_error}}},
          {"latency_slope", a.latency_slope},
          {"compat",
           {{"mean_frame_rate", a.compat_frame_rate_hz},
            {"received_duration_ms", a.received_duration_ms},
            {"first_sent_received_latency_ms", a.first_latency_ms},
            {"last_sent_received_latency_ms", a.last_latency_ms},
            {"mean_jitter_ms", a.compat_jitter_mean_ms},
            {"min_jitter_ms", a.compat_jitter_min_ms},
            {"max_jitter_ms", a.compat_jitter_max_ms},
            {"std_dev_jitter_ms", a.compat_jitter_std_ms}}}};
}

}  // namespace ballast::robot
