#include "ballast/cluster/fault.h"

#include <charconv>
#include <sstream>

#include "ballast/base/errors.h"

namespace ballast::cluster {
namespace {

constexpr const char* kAccepted =
    "'kill|die|delay|drop|corrupt MACHINE [to=MACHINE] [stage=NAME] [superstep=N] [ms=N]'";

template <typename T>
T number(const std::string& text, std::uint64_t line, const std::string& word) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    throw InvalidInput::at("fault script", line, "'" + word + "' is no number", kAccepted);
  return value;
}

Fault::Kind kind_of(const std::string& word, std::uint64_t line) {
  if (word == "kill") return Fault::Kind::kill;
  if (word == "die") return Fault::Kind::die;
  if (word == "delay") return Fault::Kind::delay;
  if (word == "drop") return Fault::Kind::drop;
  if (word == "corrupt") return Fault::Kind::corrupt;
  throw InvalidInput::at("fault script", line, "'" + word + "' is no fault", kAccepted);
}

}  // namespace

FaultScript FaultScript::parse(const std::string& text) {
  FaultScript script;
  std::string lines = text;
  for (char& c : lines) {
    if (c == ';') c = '\n';
  }
  std::istringstream in(lines);
  std::uint64_t line_number = 0;
  for (std::string line; std::getline(in, line);) {
    ++line_number;
    std::istringstream words(line.substr(0, line.find('#')));
    std::string word;
    if (!(words >> word)) continue;
    Fault fault;
    fault.kind = kind_of(word, line_number);
    if (!(words >> word)) throw InvalidInput::at("fault script", line_number, "no machine given", kAccepted);
    fault.machine = number<int>(word, line_number, word);
    while (words >> word) {
      const auto equals = word.find('=');
      const std::string name = word.substr(0, equals);
      const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
      if (name == "to") {
        fault.to = number<int>(value, line_number, word);
      } else if (name == "stage" && !value.empty()) {
        fault.stage = value;
      } else if (name == "superstep") {
        fault.superstep = number<int>(value, line_number, word);
      } else if (name == "ms") {
        fault.delay_ms = number<double>(value, line_number, word);
      } else {
        throw InvalidInput::at("fault script", line_number, "'" + word + "' is not known", kAccepted);
      }
    }
    script.faults.push_back(fault);
  }
  return script;
}

}  // namespace ballast::cluster
