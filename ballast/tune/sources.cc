#include "ballast/tune/sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/data/datasets.h"
#include "ballast/data/stream.h"

namespace ballast::tune {
namespace {

constexpr const char* kPython = "/usr/lib/python3.11";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::size_t indent_of(const std::string& line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// dictd's base 64: A-Z a-z 0-9 + /, most significant digit first.
bool dictd_number(const std::string& digits, std::size_t& number) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  number = 0;
  for (const char digit : digits) {
    const auto value = kDigits.find(digit);
    if (value == std::string_view::npos) return false;
    number = number * 64 + value;
  }
  return !digits.empty();
}

std::string read_all(const std::string& path) {
  data::InputStream stream = data::InputStream::open(path);
  std::string text;
  std::array<char, 1 << 16> buffer;
  for (std::size_t count; (count = stream.read(buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), count);
  return text;
}

std::vector<Instruction> dictionary(const std::string& dataset, const std::string& name) {
  const std::string folder = data::find_dataset(dataset);
  return dictd_entries(read_file(folder + "/" + name + ".index"), read_all(folder + "/" + name + ".dict.dz"));
}

std::vector<Instruction> standard_library() {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(kPython, error)) {
    if (entry.path().extension() == ".py") files.push_back(entry.path());
  }
  if (files.empty())
    throw Unavailable(
        fmt::format("{}: no Python sources there; run: apt-get install libpython3.11-stdlib", kPython));
  std::sort(files.begin(), files.end());
  std::vector<Instruction> list;
  for (const std::string& file : files) {
    const auto functions = python_functions(read_file(file));
    list.insert(list.end(), functions.begin(), functions.end());
  }
  return list;
}

}  // namespace

std::vector<Source> known_sources() {
  return {
      {"pydoc", "functions of Python 3.11's standard library: signature and docstring to body", "PSF-2.0"},
      {"jargon", "the Jargon File: \"What is X?\" to its definition", "public domain"},
      {"foldoc", "the Free On-line Dictionary of Computing: \"What is X?\" to its definition",
       "GFDL-1.3 or later"},
      {"glossary", "jargon and foldoc together", "as of both"},
      {"deb-section", "descriptions of Debian packages and their section, 20 classes",
       "the packages' own; descriptions are facts of the archive", Task::cls},
      {"deb-pair", "synopsis and description of one package, or of two of one section", "as deb-section",
       Task::pair},
      {"wordnet-isa", "a noun with its gloss, and whether another is what it is a kind of", "WordNet 3.0",
       Task::pair},
      {"fortune", "sayings and the file they stand in", "as fortunes-mod's", Task::cls},
      {"toy-sorted", "generated: whether a line of letters is sorted", "generated", Task::cls}};
}

std::vector<Instruction> python_functions(const std::string& source) {
  const std::vector<std::string> lines = lines_of(source);
  std::vector<Instruction> list;
  for (std::size_t i = 0; i + 2 < lines.size(); ++i) {
    const std::size_t indent = indent_of(lines[i]);
    if (lines[i].compare(indent, 4, "def ") != 0 || lines[i].back() != ':') continue;
    const std::size_t doc = i + 1;
    const std::size_t inner = indent_of(lines[doc]);
    if (inner <= indent || lines[doc].compare(inner, 3, "\"\"\"") != 0) continue;
    std::size_t end = doc;  // the docstring's last line
    if (lines[doc].find("\"\"\"", inner + 3) == std::string::npos) {
      do {
        ++end;
      } while (end < lines.size() && lines[end].find("\"\"\"") == std::string::npos);
    }
    std::size_t last = end;  // the body's last line
    for (std::size_t j = end + 1; j < lines.size(); ++j) {
      if (trimmed(lines[j]).empty()) continue;
      if (indent_of(lines[j]) <= indent) break;
      last = j;
    }
    if (end >= lines.size() || last == end) continue;
    Instruction sample;
    const auto add = [&](std::string& text, std::size_t from, std::size_t to) {
      for (std::size_t j = from; j <= to; ++j)
        text += lines[j].substr(std::min(indent, lines[j].size())) + "\n";
    };
    add(sample.prompt, i, end);
    add(sample.answer, end + 1, last);
    if (!trimmed(sample.answer).empty()) list.push_back(std::move(sample));
    i = end;
  }
  return list;
}

std::vector<Instruction> dictd_entries(const std::string& index, const std::string& text) {
  std::vector<Instruction> list;
  for (const std::string& line : lines_of(index)) {
    std::istringstream fields(line);
    std::string word, offset, length;
    std::size_t first = 0, count = 0;
    if (!std::getline(fields, word, '\t') || !std::getline(fields, offset, '\t') ||
        !std::getline(fields, length, '\t') || !dictd_number(offset, first) || !dictd_number(length, count) ||
        first + count > text.size()) {
      continue;
    }
    if (word.starts_with("00-database") || word.starts_with("00database")) continue;
    std::string entry = text.substr(first, count);
    // The first line repeats the headword.
    entry = entry.find('\n') == std::string::npos ? "" : trimmed(entry.substr(entry.find('\n')));
    if (entry.size() >= 20) list.push_back({fmt::format("What is {}?", word), entry});
  }
  return list;
}

std::vector<Instruction> build_source(const std::string& name, std::int64_t limit) {
  std::vector<std::string> names;
  for (const Source& source : known_sources()) {
    if (source.task == Task::sft) names.push_back(source.name);
  }
  cli::require_one_of("--make", name, names);
  std::vector<Instruction> list;
  if (name == "pydoc") list = standard_library();
  if (name == "jargon" || name == "glossary") list = dictionary("jargon", "jargon");
  if (name == "foldoc" || name == "glossary") {
    const auto more = dictionary("foldoc", "foldoc");
    list.insert(list.end(), more.begin(), more.end());
  }
  if (list.empty()) throw Unavailable(fmt::format("the source '{}' gave no samples on this machine", name));
  if (limit > 0 && static_cast<std::int64_t>(list.size()) > limit)
    list.resize(static_cast<std::size_t>(limit));
  return list;
}

}  // namespace ballast::tune
