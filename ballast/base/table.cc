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

Table& Table::basis(Basis basis) {
  basis_ = basis;
  return *this;
}

std::optional<Basis> Table::basis() const {
  if (basis_) return basis_;
  for (const Basis candidate : {Basis::measured, Basis::modelled, Basis::counted}) {
    if (title_.find(to_string(candidate)) != std::string::npos) return candidate;
  }
  return std::nullopt;
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
  std::string text = title_;
  if (basis_ && title_.find(to_string(*basis_)) == std::string::npos)
    text += (text.empty() ? "(" : " (") + to_string(*basis_) + ")";
  if (!text.empty()) text += "\n";
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
  Json json{{"title", title_}, {"columns", columns_}, {"rows", rows_}};
  if (basis_) json["basis"] = to_string(*basis_);
  return json;
}

Table Table::from_json(const Json& json) {
  Table table(json.at("title").get<std::string>(), json.at("columns").get<std::vector<std::string>>());
  for (const auto& row : json.at("rows")) table.row(row.get<std::vector<std::string>>());
  if (json.contains("basis")) table.basis(basis_from_string(json["basis"]));
  return table;
}

}  // namespace ballast
