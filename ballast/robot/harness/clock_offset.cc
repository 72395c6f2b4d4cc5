#include "ballast/robot/harness/clock_offset.h"

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"

namespace ballast::robot {

ClockOffset estimate_offset(const std::vector<ClockExchange>& exchanges) {
  if (exchanges.empty()) throw InvalidInput("no exchange of time stamps: the clocks cannot be compared");
  const auto best = std::min_element(exchanges.begin(), exchanges.end(), [](const auto& a, const auto& b) {
    return a.answered_ns - a.sent_ns < b.answered_ns - b.sent_ns;
  });
  return {best->remote_ns - (best->sent_ns + best->answered_ns) / 2, (best->answered_ns - best->sent_ns) / 2};
}

OneWay one_way(const std::vector<ClockExchange>& exchanges) {
  const auto whole = estimate_offset(exchanges);
  const std::size_t tenth = std::max<std::size_t>(1, exchanges.size() / 10);
  const auto before =
      estimate_offset({exchanges.begin(), exchanges.begin() + static_cast<std::ptrdiff_t>(tenth)});
  const auto after = estimate_offset({exchanges.end() - static_cast<std::ptrdiff_t>(tenth), exchanges.end()});
  std::vector<double> there, back, round;
  for (const auto& exchange : exchanges) {
    there.push_back(static_cast<double>(exchange.remote_ns - exchange.sent_ns - whole.offset_ns) * 1e-6);
    back.push_back(static_cast<double>(exchange.answered_ns - exchange.remote_ns + whole.offset_ns) * 1e-6);
    round.push_back(static_cast<double>(exchange.answered_ns - exchange.sent_ns) * 1e-6);
  }
  OneWay result;
  result.drift_ms = std::abs(static_cast<double>(after.offset_ns - before.offset_ns)) * 1e-6;
  result.uncertainty_ms = static_cast<double>(whole.uncertainty_ns) * 1e-6 + result.drift_ms;
  result.there_ms = median(there);
  result.back_ms = median(back);
  result.measured = result.uncertainty_ms < 0.1 * std::min(result.there_ms, result.back_ms);
  if (!result.measured) result.there_ms = result.back_ms = median(round) / 2;
  return result;
}

}  // namespace ballast::robot
