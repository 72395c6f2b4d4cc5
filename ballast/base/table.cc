#include "ballast/base/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "ballast/base/errors.h"

namespace ballast {
namespace {

// Columns on the screen: UTF-8 continuation bytes take none.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool looks_numeric(const std::string& cell) {
  return !cell.empty() &&
         (std::isdigit(static_cast<unsigned char>(cell[0])) || cell[0] == '-' || cell[0] == '+');
}

}  // namespace

Table::Table(std::string title, std::vector<std::string> columns)
    : title_(std::move(title)), columns_(std::move(columns)) {}

Table& Table::row(std::vector<std::string> cells) {
  if (cells.size() != columns_.size()) {
    throw InvalidInput(
        fmt::format("table '{}': row has {} cells for {} columns", title_, cells.size(), columns_.size()));
  }
  rows_.push_back(std::move(cells));
  return *this;
}

std::string Table::to_text() const {
  std::vector<std::size_t> width(columns_.size());
  std::vector<bool> numeric(columns_.size(), !rows_.empty());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    width[c] = width_of(columns_[c]);
    for (const auto& row : rows_) {
      width[c] = std::max(width[c], width_of(row[c]));
      if (!row[c].empty() && row[c] != "-" && !looks_numeric(row[c])) numeric[c] = false;
    }
  }
  auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string pad(width[c] - width_of(cells[c]), ' ');
      if (c > 0) text += "  ";
      text += numeric[c] ? pad + cells[c] : cells[c] + pad;
    }
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text + "\n";
  };
  std::string text = title_.empty() ? "" : title_ + "\n";
  text += line(columns_);
  std::vector<std::string> rule;
  for (std::size_t w : width) rule.emplace_back(w, '-');
  text += line(rule);
  for (const auto& row : rows_) text += line(row);
  return text;
}

void Table::print(std::FILE* out) const {
  const std::string text = to_text();
  std::fwrite(text.data(), 1, text.size(), out);
}

Json Table::to_json() const {
  return {{"title", title_}, {"columns", columns_}, {"rows", rows_}};
}

Table Table::from_json(const Json& json) {
  Table table(json.at("title").get<std::string>(), json.at("columns").get<std::vector<std::string>>());
  for (const auto& row : json.at("rows")) table.row(row.get<std::vector<std::string>>());
  return table;
}

}  // namespace ballast
