// The sources of labelled texts: what Debian's archive, WordNet and fortunes hold.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <sstream>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/data/datasets.h"
#include "ballast/tune/sources.h"

namespace ballast::tune {
namespace {

std::string output_of(const char* command) {
  std::FILE* pipe = ::popen(command, "r");
  if (pipe == nullptr) throw Unavailable(fmt::format("{}: could not be started", command));
  std::string output;
  std::array<char, 1 << 16> buffer;
  for (std::size_t count; (count = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    output.append(buffer.data(), count);
  if (::pclose(pipe) != 0) throw Unavailable(fmt::format("{}: failed; it needs Debian's apt", command));
  return output;
}

void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

// A dataset's folder under another name than `probe` may be absent: then the sentence says what brings it.
std::vector<LabelledText> fortunes() {
  namespace fs = std::filesystem;
  const std::string folder = data::find_dataset("fortunes");
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().extension().empty()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<LabelledText> list;
  for (const std::string& file : files) {
    std::istringstream lines(read_file(file));
    std::string saying;
    const auto flush = [&] {
      if (saying.size() >= 20) list.push_back({saying, "", fs::path(file).filename()});
      saying.clear();
    };
    for (std::string line; std::getline(lines, line);) {
      if (line == "%") {
        flush();
      } else {
        saying += (saying.empty() ? "" : " ") + line;
      }
    }
    flush();
  }
  return list;
}

std::vector<LabelledText> sorted_lines(std::uint64_t seed) {
  Random random(seed, 0x70fu);
  std::vector<LabelledText> list;
  for (int i = 0; i < 2000; ++i) {
    std::string letters;
    for (int j = 0; j < 8; ++j) letters += static_cast<char>('a' + random.below(26));
    if (i % 2 == 0) std::sort(letters.begin(), letters.end());
    list.push_back({letters, "", std::is_sorted(letters.begin(), letters.end()) ? "sorted" : "mixed"});
  }
  return list;
}

}  // namespace

std::vector<DebianPackage> debian_packages(const std::string& paragraphs) {
  std::vector<DebianPackage> list;
  std::map<std::string, std::string> fields;
  std::string last;
  const auto flush = [&] {
    const std::string name = fields["Package"];
    std::string description = fields["Description"], section = fields["Section"];
    section = section.substr(section.find('/') == std::string::npos ? 0 : section.find('/') + 1);
    if (!name.empty() && !section.empty() && description.size() > 20) {
      if (name.find("it") == std::string::npos) replace_all(description, name, "it");
      const std::size_t end = description.find('\n');
      DebianPackage package{section, description.substr(0, end),
                            end == std::string::npos ? std::string() : description.substr(end + 1)};
      list.push_back(std::move(package));
    }
    fields.clear();
  };
  std::istringstream lines(paragraphs);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) {
      flush();
    } else if (line[0] == ' ') {
      fields[last] += "\n" + (line == " ." ? std::string() : line.substr(1));
    } else if (const auto colon = line.find(": "); colon != std::string::npos) {
      last = line.substr(0, colon);
      if (last.starts_with("Description") && last != "Description-md5") last = "Description";
      fields[last] = line.substr(colon + 2);
    }
  }
  flush();
  return list;
}

std::vector<LabelledText> section_samples(const std::vector<DebianPackage>& packages, std::size_t classes) {
  std::map<std::string, std::size_t> counts;
  for (const DebianPackage& package : packages) ++counts[package.section];
  std::vector<std::pair<std::size_t, std::string>> order;
  for (const auto& [section, count] : counts) order.emplace_back(count, section);
  std::sort(order.rbegin(), order.rend());
  if (order.size() > classes) order.resize(classes);
  std::vector<LabelledText> list;
  for (const DebianPackage& package : packages) {
    const bool kept = std::any_of(order.begin(), order.end(),
                                  [&](const auto& entry) { return entry.second == package.section; });
    if (kept) list.push_back({package.synopsis + "\n" + package.text, "", package.section});
  }
  return list;
}

std::vector<LabelledText> pair_samples(const std::vector<DebianPackage>& packages, std::uint64_t seed) {
  std::map<std::string, std::vector<const DebianPackage*>> by_section;
  for (const DebianPackage& package : packages) {
    if (package.text.size() > 40) by_section[package.section].push_back(&package);
  }
  Random random(seed, 0xdebu);
  std::vector<LabelledText> list;
  for (const auto& [section, members] : by_section) {
    if (members.size() < 2) continue;
    for (std::size_t i = 0; i < members.size(); ++i) {
      const bool match = random.below(2) == 0;
      std::size_t other = random.below(members.size() - 1);
      if (other >= i) ++other;
      list.push_back({members[i]->synopsis, members[match ? i : other]->text, match ? "match" : "other"});
    }
  }
  return list;
}

std::vector<LabelledText> hypernym_samples(const std::string& data_noun, std::uint64_t seed) {
  struct Noun {
    std::string word, gloss, hypernym;
  };
  std::map<std::string, Noun> nouns;
  std::istringstream lines(data_noun);
  for (std::string line; std::getline(lines, line);) {
    // offset file type words(hex) word lex_id ... pointers symbol offset pos source/target ... | gloss
    if (line.empty() || line[0] == ' ') continue;
    const std::size_t bar = line.find(" | ");
    if (bar == std::string::npos) continue;
    std::istringstream fields(line.substr(0, bar));
    std::string offset, file, type, count, word, id;
    if (!(fields >> offset >> file >> type >> count)) continue;
    Noun noun{"", line.substr(bar + 3), ""};
    const std::size_t words = std::strtoul(count.c_str(), nullptr, 16);
    for (std::size_t i = 0; i < words && fields >> word >> id; ++i) {
      if (i == 0) noun.word = word;
    }
    std::size_t pointers = 0;
    fields >> pointers;
    std::string symbol, target, part, places;
    for (std::size_t i = 0; i < pointers && fields >> symbol >> target >> part >> places; ++i) {
      if (symbol == "@" && part == "n" && noun.hypernym.empty()) noun.hypernym = target;
    }
    if (noun.word.empty()) continue;
    replace_all(noun.word, "_", " ");
    nouns.emplace(offset, std::move(noun));
  }
  std::vector<const Noun*> children;
  for (const auto& [offset, noun] : nouns) {
    if (nouns.contains(noun.hypernym)) children.push_back(&noun);
  }
  Random random(seed, 0x15au);
  std::vector<LabelledText> list;
  if (children.size() < 2) return list;
  for (const Noun* noun : children) {
    const Noun& right = nouns.at(noun->hypernym);
    const Noun& other = nouns.at(children[random.below(children.size())]->hypernym);
    const bool yes = random.below(2) == 0 || other.word == right.word;
    list.push_back({noun->word + ": " + noun->gloss, yes ? right.word : other.word, yes ? "yes" : "no"});
  }
  return list;
}

std::vector<LabelledText> build_labelled(const std::string& name, std::int64_t limit, std::uint64_t seed) {
  std::vector<std::string> names;
  for (const Source& source : known_sources()) {
    if (labelled(source.task)) names.push_back(source.name);
  }
  cli::require_one_of("--make", name, names);
  std::vector<LabelledText> list;
  if (name == "deb-section" || name == "deb-pair") {
    const auto packages = debian_packages(output_of("apt-cache dumpavail 2>/dev/null"));
    list = name == "deb-section" ? section_samples(packages, 20) : pair_samples(packages, seed);
  } else if (name == "wordnet-isa") {
    list = hypernym_samples(read_file(data::find_dataset("wordnet") + "/data.noun"), seed);
  } else {
    list = name == "fortune" ? fortunes() : sorted_lines(seed);
  }
  if (list.empty()) throw Unavailable(fmt::format("the source '{}' gave no samples on this machine", name));
  Random random(seed, 0x5afeu);
  random.shuffle(list);
  if (limit > 0 && static_cast<std::int64_t>(list.size()) > limit)
    list.resize(static_cast<std::size_t>(limit));
  return list;
}

}  // namespace ballast::tune
