// An open-loop client of OpenAI-compatible servers: every request is sent at its scheduled time on a
// connection of its own, whatever the others do, and every content event is stamped as it arrives. One
// thread, thousands of streams.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ballast/serve/load/run_log.h"

namespace ballast::serve {

struct LoadRequest {
  LoggedRequest log;  ///< scheduled time and promises are filled in
  std::string body;   ///< of POST `path`
};

struct LoadTarget {
  std::string host = "127.0.0.1";
  std::string port = "8080";
  std::string path = "/v1/chat/completions";
  std::string api_key;
  double give_up_seconds = 120;  ///< without any byte of an answer
};

/// "http://HOST:PORT[/...]" in its parts; throws InvalidInput otherwise.
LoadTarget parse_url(const std::string& url);

/// Returns when all have been answered or have failed. Requests must be sorted by their scheduled time.
std::vector<LoggedRequest> run_load(const LoadTarget& target, std::vector<LoadRequest> requests,
                                    const std::function<void(std::size_t done)>& progress = {});

}  // namespace ballast::serve
