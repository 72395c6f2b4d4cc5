#include "ballast/robot/results/compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"

namespace ballast::robot {
namespace {

constexpr int kResamples = 2000;

struct Metric {
  const char* name;
  bool lower_is_better;
  double (*of)(const Json& run);
};

const Metric kMetrics[] = {
    {"median_ms", true,
     [](const Json& run) { return run.at("latency_corrected").at("median_ms").get<double>(); }},
    {"p99_ms", true, [](const Json& run) { return run.at("latency_corrected").at("p99_ms").get<double>(); }},
    {"max_ms", true, [](const Json& run) { return run.at("latency_corrected").at("max_ms").get<double>(); }},
    {"throughput_hz", false, [](const Json& run) { return run.at("receive_rate_hz").get<double>(); }},
    {"sut_cpu_percent", true,
     [](const Json& run) { return run.at("resources").at("sut_cpu_percent").get<double>(); }},
};

std::vector<double> values(const Json& rate, const Metric& metric) {
  std::vector<double> valid, all;
  for (const auto& run : rate.at("runs")) {
    all.push_back(metric.of(run));
    if (run.value("invalid", Json::array()).empty()) valid.push_back(all.back());
  }
  return valid.empty() ? all : valid;
}

}  // namespace

const char* to_string(Verdict3 verdict) {
  return verdict == Verdict3::better ? "better" : verdict == Verdict3::worse ? "worse" : "same within noise";
}

ComparedMetric compare_runs(const std::vector<double>& a, const std::vector<double>& b, bool lower_is_better,
                            std::uint64_t seed) {
  ComparedMetric result;
  if (a.empty() || b.empty()) return result;
  result.a = median(a);
  result.b = median(b);
  if (result.a <= 0) return result;
  result.ratio = result.b / result.a;
  Random random(seed, 0xc0);
  std::vector<double> ratios;
  const auto resampled = [&](const std::vector<double>& sample) {
    std::vector<double> drawn;
    for (std::size_t i = 0; i < sample.size(); ++i) drawn.push_back(sample[random.below(sample.size())]);
    return median(drawn);
  };
  for (int i = 0; i < kResamples; ++i) {
    const double below = resampled(a);
    if (below > 0) ratios.push_back(resampled(b) / below);
  }
  result.low = quantile(ratios, 0.025);
  result.high = quantile(ratios, 0.975);
  // With fewer than three runs a side there is no spread to judge by.
  if (a.size() >= 3 && b.size() >= 3 && (result.low > 1 || result.high < 1))
    result.verdict = (result.ratio < 1) == lower_is_better ? Verdict3::better : Verdict3::worse;
  return result;
}

std::vector<ComparedMetric> compare_documents(const Json& a, const Json& b, std::uint64_t seed,
                                              std::vector<std::string>& warnings) {
  std::vector<ComparedMetric> result;
  const Json one = a.value("fingerprint", Json::object()), other = b.value("fingerprint", Json::object());
  for (const auto& [key, value] : one.items()) {
    if (key != "load" && key != "host" && other.contains(key) && other.at(key) != value)
      warnings.push_back(
          fmt::format("the machines differ in {}: {} and {}", key, value.dump(), other.at(key).dump()));
  }
  for (const auto& left : a.at("results")) {
    for (const auto& right : b.at("results")) {
      if (left.at("id") != right.at("id")) continue;
      const bool same_implementation = left.at("implementation") == right.at("implementation");
      if (!same_implementation && (a.at("results").size() > 1 || b.at("results").size() > 1)) continue;
      if (left.at("input") != right.at("input"))
        throw InvalidInput(fmt::format("{} was measured on different input ({} and {}): not comparable",
                                       left.at("id").get<std::string>(), left.at("input").get<std::string>(),
                                       right.at("input").get<std::string>()));
      for (const auto& rate_a : left.at("rates")) {
        for (const auto& rate_b : right.at("rates")) {
          if (rate_a.at("rate_hz") != rate_b.at("rate_hz")) continue;
          for (const auto& metric : kMetrics) {
            auto compared =
                compare_runs(values(rate_a, metric), values(rate_b, metric), metric.lower_is_better, seed);
            compared.id = left.at("id");
            compared.implementation =
                same_implementation ? left.at("implementation").get<std::string>()
                                    : fmt::format("{} -> {}", left.at("implementation").get<std::string>(),
                                                  right.at("implementation").get<std::string>());
            compared.metric = metric.name;
            compared.rate_hz = rate_a.at("rate_hz");
            result.push_back(std::move(compared));
          }
        }
      }
    }
  }
  if (result.empty()) throw InvalidInput("the two sets have no benchmark, implementation and rate in common");
  return result;
}

Table to_table(const std::vector<ComparedMetric>& metrics) {
  Table table("B against A: ratio of medians, 95 % bootstrap interval over runs (measured)",
              {"id", "implementation", "Hz", "metric", "A", "B", "B/A", "interval", "B is"});
  for (const auto& m : metrics)
    table.row({m.id, m.implementation, fmt::format("{:g}", m.rate_hz), m.metric, fmt::format("{:.3f}", m.a),
               fmt::format("{:.3f}", m.b), fmt::format("{:.3f}", m.ratio),
               fmt::format("{:.3f} to {:.3f}", m.low, m.high), to_string(m.verdict)});
  return table;
}

}  // namespace ballast::robot
