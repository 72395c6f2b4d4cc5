// Splits a stream of server-sent events into the data of each.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ballast::serve {

class SseSplitter {
 public:
  /// The data of every event that these bytes complete.
  std::vector<std::string> add(std::string_view bytes) {
    rest_ += bytes;
    std::vector<std::string> events;
    std::size_t from = 0;
    for (std::size_t end; (end = rest_.find("\n\n", from)) != std::string::npos; from = end + 2) {
      const std::string_view line = std::string_view(rest_).substr(from, end - from);
      if (line.starts_with("data: ")) events.emplace_back(line.substr(6));
    }
    rest_.erase(0, from);
    return events;
  }

 private:
  std::string rest_;
};

}  // namespace ballast::serve
