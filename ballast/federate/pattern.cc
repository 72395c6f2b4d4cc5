#include "ballast/federate/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <sstream>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"

namespace ballast::federate {
namespace {

// The concept patterns of the FedDrift paper, one digit a client, one row a step.
const std::map<std::string, std::string>& published() {
  static const std::map<std::string, std::string> patterns = {
      {"A",
       "0000000000/0100000000/0100000100/0111010100/0111010110/1011011010/1001001010/1000101011/1000101001/"
       "1000101001/1000101001"},
      {"B",
       "0000000000/1110000000/1112220000/2212222100/2221222130/2321233130/3321133210/3033133213/0033313223/"
       "0003311322/0003311322"},
      {"C",
       "0000000000/1112220000/1112220030/2211222130/2221232130/2321133130/3323133210/3033313213/0033313223/"
       "0003311322/0003311322"},
      {"D",
       "1112220033/1112220033/2211222032/2221232002/2321133002/3323133202/3033313201/0033313221/0003311321/"
       "0003311321/0003311321"},
      {"F",
       "0000000000/0000000000/1112220000/1112220030/2211222130/2221232130/2321133133/3323133213/3033313213/"
       "0033312223/0033312223"},
      {"W",
       "0000000000/0000000000/0100000100/0100000100/0111010100/0111010110/1111011110/1111011110/1111111111/"
       "1111111111/1111111111"},
      {"X",
       "0000000000/0100000000/0100000000/0100000100/0111010100/0111010110/1111011110/1111011110/1111111111/"
       "1111111111/1111111111"},
      {"Y",
       "0000000000/0000000000/0000000000/0100000100/0111010100/0111010110/1111011110/1111011110/1111111111/"
       "1111111111/1111111111"},
  };
  return patterns;
}

ConceptPattern from_digits(const std::string& digits) {
  std::vector<std::vector<int>> rows(1);
  for (char c : digits) {
    if (c == '/') {
      rows.emplace_back();
    } else {
      rows.back().push_back(c - '0');
    }
  }
  return ConceptPattern(std::move(rows));
}

ConceptPattern renamed(const std::string& digits, const std::map<char, char>& names) {
  std::string text = digits;
  for (char& c : text) {
    if (const auto found = names.find(c); found != names.end()) c = found->second;
  }
  return from_digits(text);
}

}  // namespace

ConceptPattern::ConceptPattern(std::vector<std::vector<int>> rows) : rows_(std::move(rows)) {
  if (rows_.size() < 2 || rows_[0].empty()) {
    throw InvalidInput(
        "a concept pattern needs at least two rows (one step and its test) of at least one client");
  }
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    if (rows_[r].size() != rows_[0].size()) {
      throw InvalidInput(fmt::format("concept pattern: row {} has {} entries, row 1 has {}", r + 1,
                                     rows_[r].size(), rows_[0].size()));
    }
    if (std::any_of(rows_[r].begin(), rows_[r].end(), [](int concept_id) { return concept_id < 0; })) {
      throw InvalidInput(fmt::format("concept pattern: row {} has a negative entry", r + 1));
    }
  }
}

ConceptPattern ConceptPattern::named(const std::string& name) {
  const auto& patterns = published();
  if (const auto found = patterns.find(name); found != patterns.end()) return from_digits(found->second);
  if (name == "E") return renamed(patterns.at("C"), {{'2', '3'}, {'3', '2'}});
  if (name == "Z") return renamed(patterns.at("Y"), {{'1', '2'}});
  if (name.starts_with("R(") && name.ends_with(")")) {
    std::uint64_t seed = 0;
    const char* end = name.data() + name.size() - 1;
    if (auto [rest, error] = std::from_chars(name.data() + 2, end, seed);
        error == std::errc{} && rest == end) {
      return random(10, 10, 4, seed);
    }
  }
  cli::require_one_of("pattern", name,
                      {"A", "B", "C", "D", "E", "F", "W", "X", "Y", "Z", "R(seed)", "a file ending in .cp"});
  throw InvalidInput("pattern", name, "R(1), say: a seed between the brackets");
}

ConceptPattern ConceptPattern::read(const std::string& path) {
  return parse(read_file(path, std::uint64_t{1} << 28), path);
}

ConceptPattern ConceptPattern::parse(const std::string& text, const std::string& path) {
  std::istringstream lines(text);
  std::vector<std::vector<int>> rows;
  std::string line;
  for (std::uint64_t number = 1; std::getline(lines, line); ++number) {
    line.resize(std::min(line.size(), line.find('#')));
    std::istringstream words(line);
    std::vector<int> row;
    for (std::string word; words >> word;) {
      int value = 0;
      const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), value);
      if (error != std::errc{} || rest != word.data() + word.size() || value < 0 || value > 9999) {
        throw InvalidInput::at(path, number, fmt::format("entry '{}'", word),
                               "concept numbers from 0 to 9999");
      }
      row.push_back(value);
    }
    if (row.empty()) continue;
    if (!rows.empty() && row.size() != rows[0].size()) {
      throw InvalidInput::at(path, number, fmt::format("{} entries", row.size()),
                             fmt::format("{} entries, as in the first row", rows[0].size()));
    }
    rows.push_back(std::move(row));
  }
  if (rows.size() < 2) {
    throw InvalidInput(
        fmt::format("{}: {} rows; accepted: at least 2 (one step and its test)", path, rows.size()));
  }
  return ConceptPattern(std::move(rows));
}

ConceptPattern ConceptPattern::from(const std::string& word) {
  return word.ends_with(".cp") ? read(word) : named(word);
}

ConceptPattern ConceptPattern::stationary(int clients, int steps) {
  return ConceptPattern(std::vector<std::vector<int>>(
      static_cast<std::size_t>(steps) + 1, std::vector<int>(static_cast<std::size_t>(clients), 0)));
}

ConceptPattern ConceptPattern::random(int clients, int steps, int concepts, std::uint64_t seed) {
  Random random(seed, 0x7061747465726eu);
  std::vector<std::vector<int>> rows(static_cast<std::size_t>(steps) + 1,
                                     std::vector<int>(static_cast<std::size_t>(clients), 0));
  for (std::size_t step = 2; step < rows.size(); ++step) {
    rows[step] = rows[step - 1];
    if (step % 2 == 0 && step + 1 < rows.size()) {
      for (int& concept_id : rows[step])
        concept_id = static_cast<int>(random.below(static_cast<std::uint64_t>(concepts)));
    }
  }
  return ConceptPattern(std::move(rows));
}

int ConceptPattern::concepts() const {
  int most = 0;
  for (const auto& row : rows_) most = std::max(most, *std::max_element(row.begin(), row.end()));
  return most + 1;
}

ConceptPattern ConceptPattern::stretched(int times) const {
  std::vector<std::vector<int>> rows;
  for (std::size_t r = 0; r + 1 < rows_.size(); ++r)
    rows.insert(rows.end(), static_cast<std::size_t>(times), rows_[r]);
  rows.push_back(rows_.back());
  return ConceptPattern(std::move(rows));
}

ConceptPattern ConceptPattern::tiled(int clients) const {
  std::vector<std::vector<int>> rows(rows_.size());
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (int c = 0; c < clients; ++c)
      rows[r].push_back(rows_[r][static_cast<std::size_t>(c) % rows_[r].size()]);
  }
  return ConceptPattern(std::move(rows));
}

ConceptPattern ConceptPattern::first_steps(int count) const {
  if (count < 1 || count > steps())
    throw InvalidInput("--steps", std::to_string(count), fmt::format("1 to {}", steps()));
  return ConceptPattern({rows_.begin(), rows_.begin() + count + 1});
}

std::string ConceptPattern::to_text() const {
  std::string text;
  for (const auto& row : rows_) text += fmt::format("{}\n", fmt::join(row, " "));
  return text;
}

}  // namespace ballast::federate
