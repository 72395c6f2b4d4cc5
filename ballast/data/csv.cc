#include "ballast/data/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include "ballast/base/errors.h"

namespace ballast::data {
namespace {

constexpr std::size_t kMostFields = 1 << 16;

std::string shown(std::string_view field) {
  return std::string(field.substr(0, 40)) + (field.size() > 40 ? "..." : "");
}

}  // namespace

CsvReader::CsvReader(InputStream in, CsvOptions options) : lines_(std::move(in)), options_(options) {
  if (!read_row()) {
    if (options_.header)
      throw InvalidInput::at(name(), 1, "the file is empty", "a header row that names the columns");
    return;
  }
  std::set<std::string> seen;
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    columns_.push_back(options_.header ? std::string(text(i)) : std::to_string(i + 1));
    if (!seen.insert(columns_.back()).second)
      throw InvalidInput::at(name(), row_line_,
                             fmt::format("column '{}' is named twice", shown(columns_.back())));
  }
  first_row_waits_ = !options_.header;
}

bool CsvReader::has_column(std::string_view name) const {
  return std::find(columns_.begin(), columns_.end(), name) != columns_.end();
}

std::size_t CsvReader::column(std::string_view name) const {
  const auto found = std::find(columns_.begin(), columns_.end(), name);
  if (found == columns_.end()) {
    std::string all;
    for (const auto& column : columns_) all += (all.empty() ? "" : ", ") + shown(column);
    throw InvalidInput::at(this->name(), 1, fmt::format("there is no column '{}'", name),
                           fmt::format("a header with it (this one has {})", all));
  }
  return static_cast<std::size_t>(found - columns_.begin());
}

bool CsvReader::next() {
  if (std::exchange(first_row_waits_, false)) return true;
  if (!read_row()) return false;
  if (ends_.size() != columns_.size())
    throw InvalidInput::at(name(), row_line_,
                           fmt::format("the row has {} field{}", ends_.size(), ends_.size() == 1 ? "" : "s"),
                           fmt::format("{} as in the first row", columns_.size()));
  return true;
}

bool CsvReader::read_row() {
  row_.clear();
  ends_.clear();
  std::string_view line;
  do {
    if (!lines_.next(line)) return false;
    if (lines_.line_number() == 1 && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
  } while (line.empty());
  row_line_ = lines_.line_number();
  std::size_t at = 0;
  for (;;) {
    if (at < line.size() && line[at] == '"') {
      ++at;
      for (;;) {
        const std::size_t quote = line.find('"', at);
        if (quote == std::string_view::npos) {
          row_ += line.substr(at);
          row_ += '\n';
          const std::uint64_t opened = row_line_;
          if (!lines_.next(line) || row_.size() > (std::size_t{1} << 24))
            throw InvalidInput::at(name(), opened, "a quoted field of the row that begins here never ends");
          at = 0;
        } else if (quote + 1 < line.size() && line[quote + 1] == '"') {
          row_ += line.substr(at, quote + 1 - at);
          at = quote + 2;
        } else {
          row_ += line.substr(at, quote - at);
          at = quote + 1;
          break;
        }
      }
      if (at < line.size() && line[at] != options_.delimiter)
        throw InvalidInput::at(name(), lines_.line_number(), "text behind the closing quote of a field",
                               fmt::format("'{}' or the end of the line", options_.delimiter));
    } else {
      const std::size_t end = std::min(line.find(options_.delimiter, at), line.size());
      row_ += line.substr(at, end - at);
      at = end;
    }
    ends_.push_back(row_.size());
    if (at >= line.size()) return true;
    if (ends_.size() == kMostFields)
      throw InvalidInput::at(name(), row_line_, "the row has too many fields",
                             fmt::format("up to {}", kMostFields));
    ++at;  // the delimiter
  }
}

std::string_view CsvReader::text(std::size_t column) const {
  BALLAST_CHECK(column < ends_.size());
  const std::size_t begin = column == 0 ? 0 : ends_[column - 1];
  return std::string_view(row_).substr(begin, ends_[column] - begin);
}

void CsvReader::refuse(std::size_t column, std::string_view accepted) const {
  throw InvalidInput::at(name(), row_line_,
                         fmt::format("column '{}' is '{}'", shown(columns_[column]), shown(text(column))),
                         accepted);
}

std::int64_t CsvReader::integer(std::size_t column, std::int64_t least, std::int64_t most) const {
  const std::string_view field = text(column);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || end != field.data() + field.size() || value < least || value > most)
    refuse(column, fmt::format("an integer from {} to {}", least, most));
  return value;
}

double CsvReader::number(std::size_t column) const {
  const std::string_view field = text(column);
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || end != field.data() + field.size() || !std::isfinite(value))
    refuse(column, "a finite number");
  return value;
}

bool CsvReader::boolean(std::size_t column) const {
  const std::string_view field = text(column);
  if (field == "true" || field == "1") return true;
  if (field != "false" && field != "0") refuse(column, "true, false, 1 or 0");
  return false;
}

CsvWriter::CsvWriter(const std::string& path, const std::vector<std::string>& columns, char delimiter)
    : file_(path), width_(columns.size()), delimiter_(delimiter) {
  write(columns);
}

void CsvWriter::row(const std::vector<std::string>& fields) {
  if (fields.size() != width_)
    throw InvalidInput("fields of a CSV row", std::to_string(fields.size()), std::to_string(width_));
  write(fields);
}

void CsvWriter::write(const std::vector<std::string>& fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) line += delimiter_;
    const bool lone_empty = fields.size() == 1 && fields[0].empty();
    if (!lone_empty && fields[i].find_first_of(std::string("\"\r\n") + delimiter_) == std::string::npos) {
      line += fields[i];
      continue;
    }
    line += '"';
    for (const char c : fields[i]) {
      if (c == '"') line += '"';
      line += c;
    }
    line += '"';
  }
  file_.write(line + "\n");
}

}  // namespace ballast::data
