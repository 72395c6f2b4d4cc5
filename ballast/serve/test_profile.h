// The profile that tests of the engine and of the server share.
#pragma once

#include "ballast/serve/perf_model.h"

namespace ballast::serve {

/// A machine slow enough that no test depends on the speed of the real one.
inline PerfModel generous() {
  PerfModel perf;
  perf.name = "test";
  perf.origin = "measured";
  perf.lines = {{2, 0.5}, {2, 0.5}};
  perf.kv_tokens = 4096;
  return perf;
}

}  // namespace ballast::serve
