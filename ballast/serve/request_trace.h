// Requests as a picture in time: for ui.perfetto.dev, each request a row from its arrival to its last token.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ballast/base/basis.h"

namespace ballast::serve {

struct RequestBars {
  std::string name;              ///< "coder 17"
  double arrival_ms = 0;         ///< when it was to be sent
  std::vector<double> token_ms;  ///< ascending, same clock; empty: never answered
  std::string admission;
  bool kept = false;  ///< its promises
};

/// Writes the trace `file` (an empty name: nothing): a process each for the keys of `runs`, rows reused once
/// a request has ended, two bars a request ("first token", "decode") and a line of the requests in flight.
void write_request_trace(const std::string& file, Basis basis,
                         const std::map<std::string, std::vector<RequestBars>>& runs);

}  // namespace ballast::serve
