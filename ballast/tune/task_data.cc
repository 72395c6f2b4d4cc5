#include "ballast/tune/task_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"

namespace ballast::tune {
namespace {

const std::vector<std::string> kFirst{"text",     "text_a",    "sentence", "sentence1",
                                      "question", "question1", "premise",  "a"};
const std::vector<std::string> kSecond{"text_b", "sentence2", "question2", "hypothesis", "b"};
const std::vector<std::string> kLabel{"label", "score", "gold_label", "is_duplicate", "class", "section"};

std::optional<double> number(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells;
  for (std::size_t at = 0;;) {
    const std::size_t tab = line.find('\t', at);
    cells.emplace_back(line.substr(at, tab == std::string_view::npos ? tab : tab - at));
    if (tab == std::string_view::npos) return cells;
    at = tab + 1;
  }
}

// Where the texts and the label stand in a TSV's lines; -1: nowhere.
struct Columns {
  int a = -1, b = -1, label = -1;
};

int place_of(const std::vector<std::string>& header, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto at = std::find(header.begin(), header.end(), name);
    if (at != header.end()) return static_cast<int>(at - header.begin());
  }
  return -1;
}

std::optional<Columns> named_columns(const std::vector<std::string>& header) {
  Columns columns{place_of(header, kFirst), place_of(header, kSecond), place_of(header, kLabel)};
  if (columns.label < 0) return std::nullopt;
  // QNLI: question and sentence.
  const auto sentence = std::find(header.begin(), header.end(), "sentence");
  const auto question = std::find(header.begin(), header.end(), "question");
  if (sentence != header.end() && question != header.end()) {
    columns.a = static_cast<int>(question - header.begin());
    columns.b = static_cast<int>(sentence - header.begin());
  }
  return columns.a < 0 ? std::nullopt : std::optional(columns);
}

std::string field_of(const Json& json, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (!json.contains(name)) continue;
    return json[name].is_string() ? json[name].get<std::string>() : json[name].dump();
  }
  return {};
}

class Reader {
 public:
  Reader(const std::string& path, Task task) : path_(path), task_(task), tsv_(path.ends_with(".tsv")) {}

  std::vector<LabelledText> read() {
    const std::string content = read_file(path_);
    std::vector<LabelledText> items;
    std::uint64_t line = 0;
    for (std::size_t first = 0; first < content.size();) {
      const std::size_t end = std::min(content.find('\n', first), content.size());
      std::string_view text(content.data() + first, end - first);
      first = end + 1;
      ++line;
      if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
      if (text.find_first_not_of(" \t") == std::string_view::npos) continue;
      if (line == 1 && tsv_ && header(text)) continue;
      items.push_back(tsv_ ? from_cells(text, line) : from_json(text, line));
      check(items.back(), line);
    }
    if (items.empty()) throw InvalidInput(path_, "a file without samples", "labelled texts");
    return items;
  }

 private:
  bool header(std::string_view line) {
    const auto found = named_columns(cells_of(line));
    if (found) columns_ = *found;
    return found.has_value();
  }
  LabelledText from_cells(std::string_view line, std::uint64_t at) {
    const auto cells = cells_of(line);
    if (columns_.label < 0) {
      const int count = static_cast<int>(cells.size());
      if (count != 2 && count != 3)
        throw InvalidInput::at(path_, at, fmt::format("{} columns", count),
                               "text and label, two texts and label, or a first line that names the columns");
      columns_ = {0, count == 3 ? 1 : -1, count - 1};
    }
    const int needed = std::max({columns_.a, columns_.b, columns_.label}) + 1;
    if (static_cast<int>(cells.size()) < needed)
      throw InvalidInput::at(path_, at, fmt::format("{} columns", cells.size()), fmt::format("{}", needed));
    const auto cell = [&](int column) {
      return column < 0 ? std::string() : cells[static_cast<std::size_t>(column)];
    };
    return {cell(columns_.a), cell(columns_.b), cell(columns_.label)};
  }
  LabelledText from_json(std::string_view text, std::uint64_t at) const {
    const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) throw InvalidInput::at(path_, at, "no JSON object", "\"text\" and \"label\"");
    return {field_of(json, kFirst), field_of(json, kSecond), field_of(json, kLabel)};
  }
  void check(const LabelledText& item, std::uint64_t line) const {
    if (item.label.empty()) throw InvalidInput::at(path_, line, "no label", "text and label");
    if (item.a.empty()) throw InvalidInput::at(path_, line, "no text", "text and label");
    if (task_ == Task::pair && item.b.empty())
      throw InvalidInput::at(path_, line, "one text", "two texts for --task pair");
    if (task_ == Task::regress && !number(item.label))
      throw InvalidInput::at(path_, line, "label '" + item.label + "'", "a number for --task regress");
  }

  std::string path_;
  Task task_;
  bool tsv_;
  Columns columns_;
};

}  // namespace

Task task_from_string(const std::string& word) {
  cli::require_one_of("--task", word, {"clm", "sft", "cls", "pair", "regress"});
  if (word == "clm") return Task::clm;
  if (word == "sft") return Task::sft;
  if (word == "cls") return Task::cls;
  return word == "pair" ? Task::pair : Task::regress;
}

std::string to_string(Task task) {
  switch (task) {
    case Task::clm:
      return "clm";
    case Task::sft:
      return "sft";
    case Task::cls:
      return "cls";
    case Task::pair:
      return "pair";
    case Task::regress:
      return "regress";
  }
  return {};
}

double LabelledData::target(const LabelledText& item) const {
  if (classes.empty()) return number(item.label).value_or(0);
  return static_cast<double>(std::find(classes.begin(), classes.end(), item.label) - classes.begin());
}

LabelledData read_labelled(const std::string& path, Task task) {
  LabelledData data{.items = Reader(path, task).read(), .classes = {}};
  if (task == Task::regress) return data;
  std::set<std::string> labels;
  for (const LabelledText& item : data.items) labels.insert(item.label);
  data.classes.assign(labels.begin(), labels.end());
  if (std::all_of(data.classes.begin(), data.classes.end(),
                  [](const auto& l) { return number(l).has_value(); }))
    std::stable_sort(data.classes.begin(), data.classes.end(),
                     [](const auto& a, const auto& b) { return *number(a) < *number(b); });
  if (data.classes.size() < 2)
    throw InvalidInput(path, "one class only ('" + data.classes.front() + "')", "at least two");
  return data;
}

void write_labelled(const std::string& path, const std::vector<LabelledText>& items) {
  AtomicFile file(path);
  for (const LabelledText& item : items) {
    const Json json = item.b.empty() ? Json{{"text", item.a}, {"label", item.label}}
                                     : Json{{"text_a", item.a}, {"text_b", item.b}, {"label", item.label}};
    file.write(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  file.commit();
}

}  // namespace ballast::tune
