// What the tests of ragged share.
#pragma once

#include <cstdint>
#include <vector>

#include "ballast/base/random.h"
#include "ballast/loop/kernel.h"

namespace ballast::ragged {

/// One registry a test program, without a folder: nothing compiled outlives the program.
inline loop::KernelRegistry& registry() {
  static loop::KernelRegistry shared("");
  return shared;
}

/// `n` numbers, uniform in [-1, 1).
inline std::vector<float> uniform_noise(std::int64_t n, std::uint64_t seed, std::uint64_t stream) {
  Random random(seed, stream);
  std::vector<float> v(static_cast<std::size_t>(n));
  for (float& x : v) x = static_cast<float>(random.uniform(-1, 1));
  return v;
}

}  // namespace ballast::ragged
