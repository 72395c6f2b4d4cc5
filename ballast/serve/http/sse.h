// Splits a stream of server-sent events into the data of each (WHATWG HTML, "server-sent events"): lines end
// in LF, CRLF or CR, one space after the colon is dropped, several data lines of an event are joined by LF,
// comments and other fields are passed over.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace ballast::serve {

class SseSplitter {
 public:
  /// The data of every event that these bytes complete.
  std::vector<std::string> add(std::string_view bytes) {
    std::vector<std::string> events;
    for (const char c : bytes) {
      const bool second_half = c == '\n' && after_return_;
      after_return_ = c == '\r';
      if (second_half) continue;
      if (c != '\n' && c != '\r') {
        line_ += c;
        continue;
      }
      end_line(events);
    }
    return events;
  }

 private:
  void end_line(std::vector<std::string>& events) {
    if (line_.empty()) {
      if (has_data_) events.push_back(std::move(data_));
      data_.clear();
      has_data_ = false;
      return;
    }
    constexpr std::string_view kField = "data";
    std::string_view line = line_;
    if (line == kField || line.starts_with("data:")) {
      line.remove_prefix(std::min(line.size(), kField.size() + 1));
      if (line.starts_with(' ')) line.remove_prefix(1);
      if (has_data_) data_ += '\n';
      data_ += line;
      has_data_ = true;
    }
    line_.clear();
  }

  std::string line_, data_;
  bool has_data_ = false, after_return_ = false;
};

}  // namespace ballast::serve
