#include "ballast/base/histogram_log.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast {
namespace {

constexpr double kYear_s = 365.0 * 24 * 3600;

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

// "#[StartTime: 12.5 (seconds since epoch), ...]" gives 12.5.
std::optional<double> stamp(std::string_view line, std::string_view name) {
  const std::string head = fmt::format("#[{}:", name);
  if (!line.starts_with(head)) return std::nullopt;
  line.remove_prefix(head.size());
  while (line.starts_with(' ')) line.remove_prefix(1);
  return number(line.substr(0, line.find_first_of(" ]")));
}

// Cuts the text before the next comma off the line; nullopt without a comma.
std::optional<std::string_view> field(std::string_view& line) {
  const auto comma = line.find(',');
  if (comma == line.npos) return std::nullopt;
  const auto text = line.substr(0, comma);
  line.remove_prefix(comma + 1);
  return text;
}

}  // namespace

Histogram HistogramLog::total(std::string_view tag) const {
  std::optional<Histogram> sum;
  for (const auto& interval : intervals) {
    if (interval.tag != tag) continue;
    if (!sum) sum.emplace(interval.histogram.range());
    sum->merge(interval.histogram);
  }
  return sum ? *sum : Histogram{};
}

std::string HistogramLog::to_text() const {
  std::string text = "#[Histogram log format version 1.3]\n";
  if (start_epoch_s != 0) {
    text += fmt::format("#[StartTime: {:.3f} (seconds since epoch)]\n", start_epoch_s);
    text += fmt::format("#[BaseTime: {:.3f} (seconds since epoch)]\n", start_epoch_s);
  }
  text += "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";
  for (const auto& interval : intervals) {
    if (interval.tag.find_first_of(", \t\r\n") != std::string::npos)
      throw InvalidInput("tag of a histogram log", interval.tag, "a word without commas and blanks");
    if (!interval.tag.empty()) text += "Tag=" + interval.tag + ",";
    text +=
        fmt::format("{:.3f},{:.3f},{:.3f},{}\n", interval.start_s, interval.length_s,
                    static_cast<double>(interval.histogram.max()) / max_unit, interval.histogram.encode());
  }
  return text;
}

void HistogramLog::write(const std::string& path) const {
  write_file(path, to_text());
}

HistogramLog HistogramLog::parse(std::string_view text, const std::string& name) {
  constexpr const char* kAccepted = "[Tag=NAME,]START_S,LENGTH_S,MAX,HISTOGRAM";
  HistogramLog log;
  std::optional<double> start, base;
  std::uint64_t line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (const auto seconds = stamp(line, "StartTime")) start = seconds;
    if (const auto seconds = stamp(line, "BaseTime")) base = seconds;
    if (line.empty() || line[0] == '#' || line[0] == '"') continue;

    HistogramInterval interval;
    if (line.starts_with("Tag=")) {
      const auto tag = field(line);
      if (!tag) throw InvalidInput::at(name, line_number, "a tag without an interval", kAccepted);
      interval.tag = tag->substr(4);
    }
    std::optional<double> numbers[3];
    for (auto& value : numbers) {
      const auto cell = field(line);
      if (cell) value = number(*cell);
      if (!value)
        throw InvalidInput::at(name, line_number, "not three numbers before the histogram", kAccepted);
    }
    // Without a base, times are relative to the start if they lie more than a year before it, as
    // HdrHistogram's reader has it.
    if (!start) start = *numbers[0];
    if (!base) base = *numbers[0] < *start - kYear_s ? *start : 0.0;
    interval.start_s = *numbers[0] + *base - *start;
    interval.length_s = *numbers[1];
    interval.histogram = Histogram::decode(line, fmt::format("{}:{}", name, line_number));
    log.intervals.push_back(std::move(interval));
  }
  log.start_epoch_s = start.value_or(0);
  return log;
}

HistogramLog HistogramLog::read(const std::string& path) {
  return parse(read_file(path), path);
}

}  // namespace ballast
