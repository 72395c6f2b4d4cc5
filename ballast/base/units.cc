#include "ballast/base/units.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>
#include <utility>

#include "ballast/base/errors.h"

namespace ballast {
namespace {

// Splits "1.5 GB" into 1.5 and "gb"; the suffix is lower case without blanks.
std::pair<double, std::string> split_number(std::string_view what, std::string_view text,
                                            std::string_view accepted) {
  double value = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || !std::isfinite(value) || value < 0) throw InvalidInput(what, text, accepted);
  std::string suffix;
  for (; rest != end; ++rest) {
    if (*rest != ' ') suffix += static_cast<char>(std::tolower(static_cast<unsigned char>(*rest)));
  }
  return {value, suffix};
}

std::uint64_t whole(std::string_view what, std::string_view text, double value, std::string_view accepted) {
  if (value >= 0x1p63) throw InvalidInput(what, text, accepted);
  return static_cast<std::uint64_t>(std::llround(value));
}

}  // namespace

Bytes Bytes::parse(std::string_view text) {
  constexpr std::string_view accepted = "a size such as 4096, 64 KiB, 1.5 GB or 2g";
  auto [value, suffix] = split_number("size", text, accepted);
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1},         {"b", 1},      {"k", 0x1p10},   {"kib", 0x1p10}, {"m", 0x1p20},
      {"mib", 0x1p20}, {"g", 0x1p30}, {"gib", 0x1p30}, {"t", 0x1p40},   {"tib", 0x1p40},
      {"kb", 1e3},     {"mb", 1e6},   {"gb", 1e9},     {"tb", 1e12},
  };
  for (const auto& [name, factor] : kUnits) {
    if (suffix == name) return {whole("size", text, value * factor, accepted)};
  }
  throw InvalidInput("size", text, accepted);
}

std::string to_string(Bytes bytes) {
  static constexpr const char* kNames[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes.count);
  int step = 0;
  while (value >= 1024 && step < 6) {
    value /= 1024;
    ++step;
  }
  return step == 0 ? fmt::format("{} B", bytes.count) : fmt::format("{:.4g} {}", value, kNames[step]);
}

std::uint64_t parse_count(std::string_view what, std::string_view text) {
  constexpr std::string_view accepted = "a count such as 1000, 1e6, 64k or 2M";
  auto [value, suffix] = split_number(what, text, accepted);
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1}, {"k", 1e3}, {"m", 1e6}, {"g", 1e9}};
  for (const auto& [name, factor] : kUnits) {
    if (suffix == name) return whole(what, text, value * factor, accepted);
  }
  throw InvalidInput(what, text, accepted);
}

std::string format_count(double count) {
  static constexpr const char* kNames[] = {"", " k", " M", " G", " T"};
  int step = 0;
  while (std::abs(count) >= 1000 && step < 4) {
    count /= 1000;
    ++step;
  }
  return fmt::format("{:.4g}{}", count, kNames[step]);
}

std::string format_seconds(double seconds) {
  const double size = std::abs(seconds);
  if (size == 0) return "0 s";
  if (size < 1e-6) return fmt::format("{:.3g} ns", seconds * 1e9);
  if (size < 1e-3) return fmt::format("{:.3g} us", seconds * 1e6);
  if (size < 1) return fmt::format("{:.3g} ms", seconds * 1e3);
  if (size < 120) return fmt::format("{:.3g} s", seconds);
  return fmt::format("{:.3g} min", seconds / 60);
}

}  // namespace ballast
