#include "ballast/orch/forest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::orch {

Forest::Forest(int machines, int fanout, Placement placement)
    : machines_(machines), fanout_(fanout), placement_(placement) {
  std::int64_t width = 1;
  do {
    width *= fanout;
    widths_.push_back(width);
  } while (width < machines);
}

Forest Forest::flat(int machines) {
  return Forest(machines, std::max(2, machines), Placement::butterfly);
}

Forest Forest::with_fanout(int machines, int fanout, Placement placement) {
  if (fanout < 2) throw InvalidInput("--fanout", std::to_string(fanout), "an integer of at least 2");
  return Forest(machines, std::min(fanout, std::max(2, machines)), placement);
}

int Forest::theory_fanout(int machines) {
  if (machines <= 4) return 2;
  const double log = std::log2(machines);
  return std::max(2, static_cast<int>(std::lround(log / std::log2(log))));
}

int Forest::hashed(int root, int level, std::int64_t group) const {
  const std::uint64_t place = static_cast<std::uint64_t>(root) << 40 |
                              static_cast<std::uint64_t>(level) << 32 | static_cast<std::uint64_t>(group);
  return static_cast<int>(mix64(place) % static_cast<std::uint64_t>(machines_));
}

std::string Forest::describe() const {
  if (height() == 1) return "flat";
  return fmt::format("F={}, H={}", fanout_, height());
}

}  // namespace ballast::orch
