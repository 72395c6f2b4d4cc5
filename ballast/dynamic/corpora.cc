#include "ballast/dynamic/corpora.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>
#include <unordered_map>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/python_files.h"
#include "ballast/base/random.h"
#include "ballast/data/datasets.h"
#include "ballast/data/stream.h"

namespace ballast::dynamic {
namespace {

constexpr const char* kChineseText = "/usr/share/debian-reference/debian-reference.zh-cn.txt.gz";
constexpr std::size_t kMostNodes = 60;  ///< of a tree of kinds

std::int64_t vocabulary_of(const Module& module) {
  const auto found = module.constants.find("V");
  return found == module.constants.end() ? 20000 : found->second;
}

/// Synsets below one, it included; more than kMostNodes counts as too many.
std::size_t size_of(const std::vector<Synset>& synsets, std::uint32_t at, int depth = 0) {
  std::size_t size = 1;
  if (depth > 30) return kMostNodes + 1;
  for (const std::uint32_t kind : synsets[at].kinds)
    if (size <= kMostNodes) size += size_of(synsets, kind, depth + 1);
  return size;
}

Value word_and_children(const std::vector<Synset>& synsets, std::uint32_t at, std::int64_t vocabulary) {
  std::vector<Value> children;
  for (const std::uint32_t kind : synsets[at].kinds)
    children.push_back(word_and_children(synsets, kind, vocabulary));
  return Value::of_data(
      0, {Value::of_integer(word_number(synsets[at].word, vocabulary)), Value::of_list(std::move(children))});
}

Value binary_tree(const std::vector<Synset>& synsets, std::uint32_t at, std::int64_t vocabulary,
                  std::int64_t depth) {
  const Value label = Value::of_integer(std::min<std::int64_t>(depth, 4));
  Value tree = Value::of_data(0, {Value::of_integer(word_number(synsets[at].word, vocabulary)), label});
  for (const std::uint32_t kind : synsets[at].kinds)
    tree = Value::of_data(1, {std::move(tree), binary_tree(synsets, kind, vocabulary, depth + 1), label});
  return tree;
}

std::vector<std::string> tokens_of(const std::string& text) {
  std::vector<std::string> tokens;
  std::string word;
  for (const char c : text + " ") {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '\'') {
      word += c;
    } else if (!word.empty()) {
      tokens.push_back(std::exchange(word, ""));
    }
  }
  return tokens;
}

/// `count` of `from`, in an order that the seed gives.
template <typename T>
std::vector<T> choose(std::vector<T> from, int count, std::uint64_t seed) {
  Random random(seed, 0x636f7270);
  const std::size_t wanted = std::min(from.size(), static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < wanted; ++i) std::swap(from[i], from[i + random.below(from.size() - i)]);
  from.resize(wanted);
  return from;
}

std::string read_all(const std::string& path) {
  data::InputStream in = data::InputStream::open(path);
  std::string text;
  char chunk[1 << 16];
  while (const std::size_t got = in.read(chunk, sizeof chunk)) text.append(chunk, got);
  return text;
}

}  // namespace

std::vector<std::string> corpus_names() {
  return {"wordnet", "chinese"};
}

std::vector<Synset> parse_synsets(const std::string& text, const std::string& where) {
  std::vector<Synset> synsets;
  std::vector<std::vector<std::string>> pointers;
  std::unordered_map<std::string, std::uint32_t> place;
  std::istringstream lines(text);
  std::string line;
  for (std::int64_t number = 1; std::getline(lines, line); ++number) {
    if (line.empty() || line[0] == ' ') continue;  // the licence
    const auto bad = [&](const std::string& what) {
      throw InvalidInput(fmt::format("{}:{}: {}", where, number, what));
    };
    const std::size_t bar = line.find(" | ");
    std::istringstream fields(line.substr(0, bar));
    const auto count_in = [&](int base, const char* what) {
      std::string field;
      fields >> field;
      char* end = nullptr;
      const long value = std::strtol(field.c_str(), &end, base);
      if (field.empty() || *end != 0 || value < 0 || value > 10000)
        bad(fmt::format("'{}' is no {}", field, what));
      return value;
    };
    std::string offset, skipped;
    Synset s;
    fields >> offset;
    count_in(10, "lexicographer file");
    fields >> skipped;
    const long words = count_in(16, "count of words");
    if (words < 1) bad("a synset without a word");
    for (long i = 0; i < words; ++i) {
      std::string word;
      fields >> word >> skipped;
      if (i == 0) s.word = word;
    }
    const long links = count_in(10, "count of pointers");
    pointers.emplace_back();
    for (long i = 0; i < links; ++i) {
      std::string symbol, target, part, which;
      if (!(fields >> symbol >> target >> part >> which)) bad("fewer pointers than it says");
      if (symbol == "~" && part == "n") pointers.back().push_back(target);
    }
    if (bar != std::string::npos) s.gloss = line.substr(bar + 3);
    place[offset] = static_cast<std::uint32_t>(synsets.size());
    synsets.push_back(std::move(s));
  }
  for (std::size_t i = 0; i < synsets.size(); ++i)
    for (const std::string& target : pointers[i]) {
      const auto found = place.find(target);
      if (found == place.end())
        throw InvalidInput(fmt::format("{}: synset {} points to {}, which is none", where, i, target));
      synsets[i].kinds.push_back(found->second);
    }
  return synsets;
}

Dictionary Dictionary::parse(const std::string& text, const std::string& where) {
  Dictionary d;
  std::istringstream lines(text);
  std::string line;
  for (std::int64_t number = 1; std::getline(lines, line); ++number) {
    if (line.empty()) continue;
    // A word may have blanks of its own; count and tag stand last.
    const std::size_t tag = line.rfind(' '), gap = tag == std::string::npos || tag == 0
                                                       ? std::string::npos
                                                       : line.rfind(' ', tag - 1);
    char* end = nullptr;
    const std::string count = gap == std::string::npos ? "" : line.substr(gap + 1, tag - gap - 1);
    const long long value = std::strtoll(count.c_str(), &end, 10);
    if (count.empty() || *end != 0 || value < 0)
      throw InvalidInput(fmt::format("{}:{}: expected \"word count tag\"", where, number));
    const std::string word = line.substr(0, gap);
    d.longest_ = std::max(d.longest_, static_cast<int>(characters_of(word).size()));
    d.counts_[word] = std::max<std::int64_t>(value, 1);
    d.total_ += value;
  }
  return d;
}

std::int64_t Dictionary::count(const std::string& word) const {
  const auto found = counts_.find(word);
  return found == counts_.end() ? 0 : found->second;
}

std::vector<std::string> characters_of(const std::string& text) {
  std::vector<std::string> characters;
  for (std::size_t at = 0; at < text.size();) {
    const auto c = static_cast<unsigned char>(text[at]);
    const std::size_t size = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
    bool good = size > 0 && at + size <= text.size();
    for (std::size_t i = 1; good && i < size; ++i)
      good = (static_cast<unsigned char>(text[at + i]) >> 6) == 2;
    if (!good) throw InvalidInput(fmt::format("byte {}: no UTF-8", at));
    characters.push_back(text.substr(at, size));
    at += size;
  }
  return characters;
}

std::vector<std::string> chinese_sentences(const std::string& text) {
  std::vector<std::string> sentences;
  std::string sentence;
  int length = 0;
  const auto end = [&] {
    if (length >= 4) sentences.push_back(sentence);
    sentence.clear();
    length = 0;
  };
  for (const std::string& c : characters_of(text)) {
    // The main block of Chinese characters is U+4E00 to U+9FFF: three bytes from E4 B8 80 to E9 BF BF.
    const bool chinese = c.size() == 3 && c >= "\xE4\xB8\x80" && c <= "\xE9\xBF\xBF";
    if (chinese) {
      sentence += c;
      ++length;
    } else {
      end();
    }
  }
  end();
  return sentences;
}

Value lattice_of_sentence(const std::vector<std::string>& characters, const Dictionary& words,
                          std::int64_t vocabulary) {
  std::vector<Value> places;
  for (std::size_t end = 1; end <= characters.size(); ++end) {
    std::vector<Value> arcs;
    std::string word = characters[end - 1];
    for (std::size_t span = 2; span <= std::min(end, static_cast<std::size_t>(words.longest())); ++span) {
      word = characters[end - span] + word;
      if (words.count(word) > 0)
        arcs.push_back(Value::of_tuple({Value::of_integer(static_cast<std::int64_t>(span)),
                                        Value::of_integer(word_number(word, vocabulary))}));
    }
    places.push_back(Value::of_data(0, {Value::of_integer(word_number(characters[end - 1], vocabulary)),
                                        Value::of_list(std::move(arcs))}));
  }
  return Value::of_list(std::move(places));
}

std::vector<std::string> words_of_sentence(const std::vector<std::string>& characters,
                                           const Dictionary& words) {
  // best[i]: log probability of the first i characters; back[i]: how long the last word is.
  std::vector<double> best(characters.size() + 1, -INFINITY);
  std::vector<std::size_t> back(characters.size() + 1, 1);
  best[0] = 0;
  const double log_total = std::log(static_cast<double>(std::max<std::int64_t>(1, words.total())));
  for (std::size_t end = 1; end <= characters.size(); ++end) {
    std::string word;
    for (std::size_t span = 1; span <= std::min(end, static_cast<std::size_t>(words.longest())); ++span) {
      word = characters[end - span] + word;
      const std::int64_t count = words.count(word);
      if (count == 0 && span > 1) continue;
      const double p =
          best[end - span] + std::log(static_cast<double>(std::max<std::int64_t>(1, count))) - log_total;
      if (p <= best[end]) continue;
      best[end] = p;
      back[end] = span;
    }
  }
  std::vector<std::string> result;
  for (std::size_t end = characters.size(); end > 0; end -= back[end]) {
    std::string word;
    for (std::size_t i = end - back[end]; i < end; ++i) word += characters[i];
    result.insert(result.begin(), word);
  }
  return result;
}

std::vector<Instance> read_corpus(const Module& module, const std::string& name, int count,
                                  std::uint64_t seed) {
  cli::require_one_of("corpus", name, corpus_names());
  const auto& parameters = module.entry().parameters;
  const std::int64_t vocabulary = vocabulary_of(module);
  const Type type = resolved(parameters[0].second);
  const std::string text = to_string(type);
  std::vector<Instance> instances;
  const auto refuse = [&] {
    throw InvalidInput(fmt::format("corpus {} has nothing for a model whose entry takes {}", name, text));
  };
  if (parameters.size() != 1) refuse();
  if (name == "wordnet") {
    if (text != "Tree" && text != "List[i32]" && text != "List[Word]") refuse();
    const std::string path = data::find_dataset("wordnet") + "/data.noun";
    const std::vector<Synset> synsets = parse_synsets(read_file(path), path);
    std::vector<std::uint32_t> places;
    for (std::uint32_t i = 0; i < synsets.size(); ++i) {
      const std::size_t size = text == "Tree" ? size_of(synsets, i) : tokens_of(synsets[i].gloss).size();
      if (size >= 4 && size <= kMostNodes) places.push_back(i);
    }
    for (const std::uint32_t at : choose(std::move(places), count, seed)) {
      if (text != "Tree")
        instances.push_back({sentence_value(module, type, tokens_of(synsets[at].gloss))});
      else if (module.find_type("Tree")->constructors.size() == 1)
        instances.push_back({word_and_children(synsets, at, vocabulary)});
      else
        instances.push_back({binary_tree(synsets, at, vocabulary, 0)});
    }
    return instances;
  }
  if (text != "List[Place]" && text != "List[i32]" && text != "List[Word]") refuse();
  const std::string dictionary = find_python_file("jieba/dict.txt");
  if (dictionary.empty())
    throw Unavailable("jieba's dictionary is not installed (setup/setup.sh --only dynamic installs it)");
  if (!std::filesystem::exists(kChineseText))
    throw Unavailable("debian-reference-zh-cn is not installed (setup/setup.sh --only dynamic installs it)");
  const Dictionary words = Dictionary::parse(read_file(dictionary), dictionary);
  for (const std::string& sentence : choose(chinese_sentences(read_all(kChineseText)), count, seed)) {
    const std::vector<std::string> characters = characters_of(sentence);
    instances.push_back({text == "List[Place]"
                             ? lattice_of_sentence(characters, words, vocabulary)
                             : sentence_value(module, type, words_of_sentence(characters, words))});
  }
  return instances;
}

}  // namespace ballast::dynamic
