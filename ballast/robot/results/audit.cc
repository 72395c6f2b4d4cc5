#include <fmt/format.h>

#include <cmath>

#include "ballast/robot/results/published.h"

namespace ballast::robot {
namespace {

constexpr double kRateSlack = 1.02;  // rates above the offered one by more cannot come from n/(n-1) alone

class Audit {
 public:
  explicit Audit(const PublishedResult& result) : result_(result) {}

  std::vector<Finding> run() {
    const auto& stated = result_.stated;
    if (!result_.value || !std::isfinite(*result_.value)) {
      find("no-value", "the value is missing or no number");
      return std::move(findings_);
    }
    const double value = *result_.value;
    units();
    if (result_.metric == "latency") {
      if (value < 0) find("negative-latency", fmt::format("latency {} ms", value));
      if (stated.min && *stated.min < 0)
        find("negative-latency", fmt::format("the note's minimum is {} ms", *stated.min));
      if (stated.max && !close(value, *stated.max))
        find("value-is-not-max", fmt::format("value {} where the note's maximum is {}", value, *stated.max));
      order();
      if (value == 0) find("zero-latency", "a latency of exactly 0");
    }
    if (result_.metric == "power" && value == 0)
      find("zero-power", "0.0 W: a missing sensor, not a measurement");
    if (result_.metric == "power" && value < 0) find("zero-power", fmt::format("{} W", value));
    if (result_.metric == "throughput") {
      const auto offered = stated.bounded_hz ? stated.bounded_hz : stated.swept_to_hz;
      if (offered && value > *offered * kRateSlack)
        find("throughput-above-offered", fmt::format("{} of {} offered", value, *offered));
      if (value <= 0) find("zero-throughput", fmt::format("throughput {}", value));
    }
    if (stated.loss_percent && (*stated.loss_percent < 0 || *stated.loss_percent > 100))
      find("loss-out-of-range", fmt::format("loss {} %", *stated.loss_percent));
    if (result_.type != "black" && result_.type != "grey")
      find("unknown-type", fmt::format("type '{}'; black or grey", result_.type));
    if (result_.date.size() != 10 || result_.date[4] != '-')
      find("unreadable-date", fmt::format("date '{}'", result_.date));
    if (result_.hardware.empty()) find("no-hardware", "the hardware is not named");
    return std::move(findings_);
  }

 private:
  static bool close(double a, double b) { return std::abs(a - b) <= 0.011 + 0.002 * std::abs(b); }

  void find(const std::string& rule, const std::string& what) {
    findings_.push_back({rule, fmt::format("{}:{}", result_.file, result_.line),
                         fmt::format("{} {} {} on {}: {}", result_.benchmark, result_.type, result_.metric,
                                     result_.hardware, what)});
  }

  void units() {
    static const std::map<std::string, std::string> unit_of{
        {"latency", "ms"}, {"power", "W"}, {"throughput", "fps"}};
    const auto expected = unit_of.find(result_.metric);
    if (expected == unit_of.end()) {
      find("unknown-metric", fmt::format("metric '{}'", result_.metric));
    } else if (result_.unit != expected->second) {
      find("unit-mismatch", fmt::format("unit '{}' where {} belongs", result_.unit, expected->second));
    }
  }

  void order() {
    const auto& stated = result_.stated;
    const double slack = 0.011;
    if (stated.min && stated.mean && *stated.min > *stated.mean + slack)
      find("order", fmt::format("minimum {} above mean {}", *stated.min, *stated.mean));
    if (stated.mean && stated.max && *stated.mean > *stated.max + slack)
      find("order", fmt::format("mean {} above maximum {}", *stated.mean, *stated.max));
    if (stated.mean && stated.rms && *stated.mean > *stated.rms + slack)
      find("order", fmt::format("mean {} above root mean square {}", *stated.mean, *stated.rms));
  }

  const PublishedResult& result_;
  std::vector<Finding> findings_;
};

}  // namespace

const std::map<std::string, std::string>& audit_rules() {
  static const std::map<std::string, std::string> rules{
      {"no-value", "every result has a number"},
      {"negative-latency", "no latency is below 0: such come from pairing messages by position after a loss"},
      {"zero-latency", "no latency is exactly 0"},
      {"zero-power", "0 W is a missing sensor, not a measurement"},
      {"zero-throughput", "throughput is above 0"},
      {"value-is-not-max", "the value of a latency is the maximum that its note states"},
      {"order", "minimum <= mean <= root mean square <= maximum"},
      {"throughput-above-offered", "no more comes out than was offered, but for n/(n-1)"},
      {"loss-out-of-range", "loss lies in 0 to 100 %"},
      {"unit-mismatch", "latency in ms, power in W, throughput in fps"},
      {"unknown-metric", "latency, power or throughput"},
      {"unknown-type", "black or grey"},
      {"unreadable-date", "a date that can be read"},
      {"no-hardware", "the hardware is named"}};
  return rules;
}

std::vector<Finding> audit(const std::vector<PublishedSet>& sets) {
  std::vector<Finding> findings;
  for (const auto& set : sets)
    for (const auto& result : set.results)
      for (auto& finding : Audit(result).run()) findings.push_back(std::move(finding));
  return findings;
}

std::vector<Finding> audit_document(const Json& document, const std::string& file) {
  std::vector<Finding> findings;
  const auto find = [&](const std::string& rule, const Json& result, const std::string& what) {
    findings.push_back(
        {rule, file,
         fmt::format("{} {}: {}", result.value("id", "?"), result.value("implementation", "?"), what)});
  };
  const Json results = document.contains("results") ? document["results"] : Json::array({document});
  for (const auto& result : results) {
    for (const auto& rate : result.value("rates", Json::array())) {
      for (const auto& run : rate.value("runs", Json::array())) {
        const auto counts = run.value("counts", Json::object());
        const auto number = [](const Json& object, const char* key) { return object.value(key, 0.0); };
        if (number(counts, "sent") != number(counts, "received") + number(counts, "lost"))
          find("conservation", result, "sent is not received + lost");
        const double loss = number(counts, "loss_percent");
        if (loss < 0 || loss > 100) find("loss-out-of-range", result, fmt::format("loss {} %", loss));
        for (const char* kind : {"latency_corrected", "latency_service"}) {
          const auto latency = run.value(kind, Json::object());
          if (number(latency, "min_ms") < 0)
            find("negative-latency", result, fmt::format("{} {} ms", kind, number(latency, "min_ms")));
          if (number(latency, "count") > 0 &&
              (number(latency, "min_ms") > number(latency, "mean_ms") + 1e-9 ||
               number(latency, "mean_ms") > number(latency, "max_ms") + 1e-9))
            find("order", result, fmt::format("{}: minimum, mean and maximum are out of order", kind));
        }
        const double offered = number(run, "send_rate_hz"), received = number(run, "receive_rate_hz");
        if (offered > 0 && received > offered * 1.5)
          find("throughput-above-offered", result, fmt::format("{} of {} Hz", received, offered));
      }
    }
  }
  return findings;
}

}  // namespace ballast::robot
