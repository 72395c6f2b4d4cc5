// What a machine is, as far as it changes results: CPU, cores, governor, kernel, DDS, clock, whether it is
// virtual.
#pragma once

#include <string>
#include <vector>

#include "ballast/base/json.h"

namespace ballast::robot {

Json fingerprint();

/// One thing that `doctor` looks at.
struct Diagnosis {
  std::string what;
  bool good = false;
  std::string found;   ///< with the numbers
  std::string advice;  ///< empty when good
};
std::vector<Diagnosis> diagnose();

}  // namespace ballast::robot
