#include "ballast/data/ycsb_properties.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::data {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

struct Line {
  const std::string& file;
  std::uint64_t number;
  std::string_view name, value;

  double amount(double most) const {
    double out = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
    if (error != std::errc() || end != value.data() + value.size() || !(out >= 0) || !(out <= most))
      throw InvalidInput::at(file, number, fmt::format("{} is '{}'", name, value),
                             fmt::format("a number from 0 to {}", most));
    return out;
  }
  std::uint64_t whole(double most) const {
    const double out = amount(most);
    if (out != std::floor(out))
      throw InvalidInput::at(file, number, fmt::format("{} is '{}'", name, value), "a whole number");
    return static_cast<std::uint64_t>(out);
  }
};

}  // namespace

YcsbProperties ycsb_properties(std::string_view text, const std::string& file) {
  YcsbProperties p;
  constexpr double kMost = 1e15, kMost32 = 4e9;
  std::uint64_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::string_view raw = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), raw.size() + 1));
    const std::string_view line = trimmed(raw);
    if (line.empty() || line[0] == '#' || line[0] == '!') continue;
    const auto equals = line.find('=');
    if (equals == std::string_view::npos)
      throw InvalidInput::at(file, number, fmt::format("no '=' in '{}'", line), "name=value");
    const Line one{file, number, trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1))};
    const std::string_view name = one.name, value = one.value;
    if (name == "readproportion") {
      p.read = one.amount(1);
    } else if (name == "updateproportion") {
      p.update = one.amount(1);
    } else if (name == "insertproportion") {
      p.insert = one.amount(1);
    } else if (name == "readmodifywriteproportion") {
      p.read_modify_write = one.amount(1);
    } else if (name == "scanproportion") {
      p.scan = one.amount(1);
    } else if (name == "maxscanlength") {
      p.max_scan = static_cast<std::uint32_t>(one.whole(kMost32));
    } else if (name == "scanlengthdistribution") {
      if (value != "uniform")
        throw InvalidInput::at(file, number, fmt::format("scanlengthdistribution '{}' is not known", value),
                               "uniform");
    } else if (name == "recordcount") {
      p.records = one.whole(kMost);
    } else if (name == "operationcount") {
      p.operations = one.whole(kMost);
    } else if (name == "fieldcount") {
      p.fields = static_cast<std::uint32_t>(one.whole(kMost32));
    } else if (name == "fieldlength") {
      p.field_bytes = static_cast<std::uint32_t>(one.whole(kMost32));
    } else if (name == "zipfianconstant") {
      p.exponent = one.amount(100);
    } else if (name == "readallfields") {
      p.read_all_fields = value != "false";
    } else if (name == "requestdistribution") {
      p.law = value == "zipfian"        ? KeyLaw::zipf
              : value == "ycsb-zipfian" ? KeyLaw::scrambled
                                        : key_law("requestdistribution", std::string(value));
    } else if (name != "workload" && name != "insertorder" && name != "writeallfields" &&
               name != "hotspotdatafraction" && name != "hotspotopnfraction") {
      throw InvalidInput::at(file, number, fmt::format("property '{}' is not known", name));
    }
  }
  const double sum = p.read + p.update + p.insert + p.scan + p.read_modify_write;
  if (sum < 0.999 || sum > 1.001)
    throw InvalidInput(fmt::format("{}: the shares of operations add up to {}", file, sum), "",
                       "shares that add up to 1 (read is 0.95 and update 0.05 where they are not given)");
  return p;
}

YcsbProperties read_ycsb_properties(const std::string& path) {
  return ycsb_properties(read_file(path, std::uint64_t{1} << 20), path);
}

}  // namespace ballast::data
