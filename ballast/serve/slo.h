// The promises of section 3: which application needs its first token how soon, and its tokens how fast.
#pragma once

#include <string>
#include <vector>

#include "ballast/serve/perf_model.h"
#include "ballast/serve/request.h"

namespace ballast::serve {

struct SloTable {
  double tight_slowdown = 3, loose_slowdown = 5;  ///< of the idle prefill time
  double tight_tpot_ms = 50, loose_tpot_ms = 100;

  /// The paper's: 3x / 5x, 50 ms / 100 ms.
  static SloTable paper() { return {}; }
  /// The same ratio to the time of one token as 50/100 ms have to the 20 ms decode floor of a 13B model on an
  /// A100: for a machine where 50 ms mean nothing.
  static SloTable from_profile(const PerfModel& perf);
  /// "paper" or "profile".
  static SloTable named(const std::string& name, const PerfModel& perf);
};

/// The scenarios of the paper: summarizer, coder, chatbot, toolcall, reasoning, mixed.
const std::vector<std::string>& scenario_names();

}  // namespace ballast::serve
