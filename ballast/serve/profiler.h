// Measures steps of the real executor over a designed grid: tokens in powers of two, decodes of several
// sequences at several contexts, chunks on top of processed tokens, and mixtures.
#pragma once

#include <functional>
#include <vector>

#include "ballast/serve/llama_executor.h"
#include "ballast/serve/perf_fitter.h"

namespace ballast::serve {

struct ProfileOptions {
  bool quick = false;  ///< about 25 small points: a rough profile in seconds
  int warmups = 1, repeats = 5;
  int longest_context = 512;
  double most_spread =
      0.20;  ///< of the interquartile range over the median, in the median over points; else Unavailable
  bool force = false;
  std::function<void(std::size_t done, std::size_t total)> progress;
};

struct Profile {
  std::vector<MeasuredStep> points;
  double spread = 0;  ///< median over points of interquartile range / median
  double cpu_share =
      0;  ///< CPU time of the process over wall time x threads: below about 0.9 a core was stolen
};

/// The executor's sequences are overwritten and empty afterwards. Throws Unavailable on a machine too noisy
/// to profile.
Profile measure_profile(LlamaExecutor& executor, int threads, const ProfileOptions& options = {});

}  // namespace ballast::serve
