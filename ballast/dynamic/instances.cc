#include "ballast/dynamic/instances.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <sstream>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/data/arrivals.h"

namespace ballast::dynamic {
namespace {

std::int64_t constant(const Module& module, const std::string& name, std::int64_t otherwise) {
  const auto found = module.constants.find(name);
  return found == module.constants.end() ? otherwise : found->second;
}

Random stream(std::uint64_t seed, std::uint64_t instance, std::uint64_t what) {
  return Random(seed, mix64(instance * 8 + what));
}

/// A word by Zipf's law of exponent 1 over the vocabulary.
Value zipf_word(Random& random, std::int64_t vocabulary) {
  const double v = static_cast<double>(vocabulary);
  const auto rank = static_cast<std::int64_t>(std::exp(random.uniform() * std::log(v + 1))) - 1;
  return Value::of_integer(std::clamp<std::int64_t>(rank, 0, vocabulary - 1));
}

Value words(int count, Random& random, std::int64_t vocabulary) {
  std::vector<Value> list;
  for (int i = 0; i < count; ++i) list.push_back(zipf_word(random, vocabulary));
  return Value::of_list(std::move(list));
}

Value tree_value(const Tree& tree, int at, Random& random, std::int64_t vocabulary) {
  const Tree::Node& node = tree.nodes[static_cast<std::size_t>(at)];
  const Value label = Value::of_integer(static_cast<std::int64_t>(random.below(5)));
  if (node.left < 0) return Value::of_data(0, {Value::of_integer(node.word % vocabulary), label});
  return Value::of_data(1, {tree_value(tree, node.left, random, vocabulary),
                            tree_value(tree, node.right, random, vocabulary), label});
}

/// The tree with a word at every node: a node's left spine becomes its list of children.
Value children_tree(const Tree& tree, int at, Random& random, std::int64_t vocabulary) {
  std::vector<Value> children;
  while (tree.nodes[static_cast<std::size_t>(at)].left >= 0) {
    children.push_back(
        children_tree(tree, tree.nodes[static_cast<std::size_t>(at)].left, random, vocabulary));
    at = tree.nodes[static_cast<std::size_t>(at)].right;
  }
  return Value::of_data(0, {zipf_word(random, vocabulary), Value::of_list(std::move(children))});
}

Value lattice(std::uint64_t seed, std::uint64_t instance, std::int64_t vocabulary) {
  const int length = draw_length("lattice", seed, instance);
  Random random = stream(seed, instance, 2);
  std::vector<Value> places;
  for (int position = 1; position <= length; ++position) {
    std::vector<Value> arcs;
    std::vector<int> spans;
    int wanted = 0;
    for (double product = random.uniform(); product > std::exp(-0.66); product *= random.uniform()) ++wanted;
    for (; wanted > 0; --wanted) {
      const double u = random.uniform();
      const int span = u < 0.861 ? 2 : u < 0.973 ? 3 : u < 0.994 ? 4 : u < 0.999 ? 5 : 6;
      if (span > position || std::find(spans.begin(), spans.end(), span) != spans.end()) continue;
      spans.push_back(span);
      arcs.push_back(Value::of_tuple({Value::of_integer(span), zipf_word(random, vocabulary)}));
    }
    places.push_back(Value::of_data(0, {zipf_word(random, vocabulary), Value::of_list(std::move(arcs))}));
  }
  return Value::of_list(std::move(places));
}

Value normal_tensor(const Shape& shape, Random& random) {
  std::vector<float> elements(static_cast<std::size_t>(volume(shape)));
  for (float& x : elements) x = static_cast<float>(random.normal());
  return Value::of_tensor(shape, std::move(elements));
}

Value draw_argument(const Module& module, const Type& type, std::size_t place, std::uint64_t seed,
                    std::uint64_t instance) {
  const std::int64_t vocabulary = constant(module, "V", 20000);
  Random random = stream(seed, instance, 4 + place);
  const std::string text = to_string(type);
  if (type->kind == TypeNode::Kind::tensor && !type->integer_elements)
    return normal_tensor(type->shape, random);
  if (text == "Tree") {
    const Tree tree = draw_tree(seed, instance);
    const int root = static_cast<int>(tree.nodes.size()) - 1;
    if (module.find_type("Tree")->constructors.size() == 1)
      return children_tree(tree, root, random, vocabulary);
    return tree_value(tree, root, random, vocabulary);
  }
  if (text == "List[i32]")
    return words(draw_length("sentence", seed, instance * 2 + place), random, vocabulary);
  if (text == "List[Place]") return lattice(seed, instance, vocabulary);
  if (text == "List[Word]") {
    std::vector<Value> list;
    const int length = draw_length("sentence", seed, instance);
    for (int w = 0; w < length; ++w) {
      if (random.uniform() >= 0.25) {
        list.push_back(Value::of_data(0, {zipf_word(random, vocabulary)}));
        continue;
      }
      const int letters = draw_length("word", seed, instance * 200 + static_cast<std::uint64_t>(w));
      std::vector<Value> spelled;
      for (int l = 0; l < letters; ++l)
        spelled.push_back(Value::of_integer(static_cast<std::int64_t>(97 + random.below(26))));
      list.push_back(Value::of_data(1, {Value::of_list(std::move(spelled))}));
    }
    return Value::of_list(std::move(list));
  }
  throw InvalidInput(
      fmt::format("{}: no generator for an argument of type {}; give a file (--data)", module.file, text));
}

// --- readers
// ------------------------------------------------------------------------------------------------

[[noreturn]] void malformed(const std::string& what) {
  throw InvalidInput(what);
}

/// (3 (2 An) (3 (2 example) (2 tree))): a label, then a word or two trees. Labels may be any word.
class Brackets {
 public:
  Brackets(const std::string& text, std::int64_t vocabulary) : text_(text), vocabulary_(vocabulary) {}
  Value run() {
    const Value tree = node(0);
    blanks();
    if (at_ != text_.size()) malformed(fmt::format("column {}: text behind the tree", at_ + 1));
    return tree;
  }

 private:
  void blanks() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  std::string word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) == 0 &&
           text_[at_] != '(' && text_[at_] != ')')
      ++at_;
    return text_.substr(begin, at_ - begin);
  }
  Value node(int depth) {
    if (depth > 2000) malformed("a tree deeper than 2000");
    blanks();
    if (at_ >= text_.size() || text_[at_] != '(') malformed(fmt::format("column {}: expected '('", at_ + 1));
    ++at_;
    blanks();
    const std::string label = word();
    if (label.empty()) malformed(fmt::format("column {}: expected a label", at_ + 1));
    char* end = nullptr;
    long number = std::strtol(label.c_str(), &end, 10);
    if (*end != 0) number = word_number(label, 5);
    if (number < 0 || number > 4) malformed(fmt::format("label {}; accepted: 0 to 4", number));
    blanks();
    std::vector<Value> children;
    while (at_ < text_.size() && text_[at_] == '(') {
      children.push_back(node(depth + 1));
      blanks();
    }
    std::string leaf;
    if (children.empty()) {
      leaf = word();
      blanks();
      if (leaf.empty()) malformed(fmt::format("column {}: expected a word or a tree", at_ + 1));
    }
    if (at_ >= text_.size() || text_[at_] != ')')
      malformed(fmt::format("column {}: unbalanced bracket, expected ')'", at_ + 1));
    ++at_;
    if (children.empty())
      return Value::of_data(0,
                            {Value::of_integer(word_number(leaf, vocabulary_)), Value::of_integer(number)});
    // More than two children are taken from the left, as binarised treebanks do; one child stands for itself.
    Value tree = std::move(children[0]);
    for (std::size_t i = 1; i < children.size(); ++i)
      tree = Value::of_data(1, {std::move(tree), std::move(children[i]), Value::of_integer(number)});
    return tree;
  }
  const std::string& text_;
  std::int64_t vocabulary_;
  std::size_t at_ = 0;
};

/// {"len": n, "chars": [...] (optional), "arcs": [[from, to, word], ...]}: an arc leads from one place to a
/// later one.
Value lattice_of(const Json& json, std::int64_t vocabulary) {
  if (!json.is_object() || !json.contains("len") || !json["len"].is_number_integer())
    malformed("expected {\"len\": n, \"arcs\": [[from, to, word], ...]}");
  const auto length = json["len"].get<std::int64_t>();
  if (length < 1 || length > 100000) malformed(fmt::format("len {}; accepted: 1 to 100000", length));
  std::vector<std::vector<Value>> arcs(static_cast<std::size_t>(length));
  std::vector<std::int64_t> letters(static_cast<std::size_t>(length), 0);
  const auto index = [&](const Json& value, const char* what) {
    if (!value.is_number_integer() || value.get<std::int64_t>() < 0 ||
        value.get<std::int64_t>() >= vocabulary)
      malformed(fmt::format("{} {}; accepted: 0 to {}", what, value.dump(), vocabulary - 1));
    return value.get<std::int64_t>();
  };
  if (json.contains("chars")) {
    if (!json["chars"].is_array() || static_cast<std::int64_t>(json["chars"].size()) != length)
      malformed("chars must have len numbers");
    for (std::size_t i = 0; i < letters.size(); ++i) letters[i] = index(json["chars"][i], "character");
  }
  for (const Json& arc : json.value("arcs", Json::array())) {
    if (!arc.is_array() || arc.size() != 3 || !arc[0].is_number_integer() || !arc[1].is_number_integer())
      malformed("an arc is [from, to, word], not " + arc.dump());
    const auto from = arc[0].get<std::int64_t>(), to = arc[1].get<std::int64_t>();
    if (from < 0 || to <= from || to > length)
      malformed(fmt::format("an arc from {} to {}; accepted: from 0, to a later place, at most {}", from, to,
                            length));
    if (to == from + 1) continue;  // the character itself
    arcs[static_cast<std::size_t>(to - 1)].push_back(
        Value::of_tuple({Value::of_integer(to - from), Value::of_integer(index(arc[2], "word"))}));
  }
  std::vector<Value> places;
  for (std::size_t i = 0; i < letters.size(); ++i)
    places.push_back(Value::of_data(0, {Value::of_integer(letters[i]), Value::of_list(std::move(arcs[i]))}));
  return Value::of_list(std::move(places));
}

}  // namespace

Value sentence_value(const Module& module, const Type& type, const std::vector<std::string>& tokens) {
  const std::int64_t vocabulary = constant(module, "V", 20000);
  std::vector<Value> list;
  for (const std::string& token : tokens) {
    const Value known = Value::of_integer(word_number(token, vocabulary));
    if (to_string(type) != "List[Word]") {
      list.push_back(known);
    } else if (std::all_of(token.begin(), token.end(), [](char c) { return c >= 'a' && c <= 'z'; }) &&
               token.size() < 8) {
      list.push_back(Value::of_data(0, {known}));
    } else {  // spelled: capitals, digits, long words
      std::vector<Value> letters;
      for (const char c : token)
        letters.push_back(Value::of_integer(static_cast<unsigned char>(c) % constant(module, "A", 256)));
      list.push_back(Value::of_data(1, {Value::of_list(std::move(letters))}));
    }
  }
  return Value::of_list(std::move(list));
}

std::int64_t word_number(const std::string& word, std::int64_t vocabulary) {
  return static_cast<std::int64_t>(checksum64(word) % static_cast<std::uint64_t>(vocabulary));
}

int draw_length(const std::string& kind, std::uint64_t seed, std::uint64_t instance) {
  const bool lattice = kind == "lattice", word = kind == "word";
  const double shape = lattice ? 2.54 : word ? 2.47 : 3.08, scale = lattice ? 17.4 : word ? 1.77 : 7.47;
  const int low = lattice ? 3 : 1, high = lattice ? 211 : word ? 26 : 144;
  for (std::uint64_t attempt = 0;; ++attempt) {
    const double x =
        data::gamma_draw(shape, seed, mix64(instance * 8 + (word ? 3 : 1)), attempt) * shape * scale;
    const int length = static_cast<int>(std::lround(x));
    if (length >= low && length <= high) return length;
  }
}

std::vector<Instance> draw_instances(const Module& module, int count, std::uint64_t seed,
                                     std::uint64_t first) {
  std::vector<Instance> instances;
  const auto& parameters = module.entry().parameters;
  for (int i = 0; i < count; ++i) {
    Instance instance;
    for (std::size_t p = 0; p < parameters.size(); ++p)
      instance.push_back(draw_argument(module, resolved(parameters[p].second), p, seed,
                                       first + static_cast<std::uint64_t>(i)));
    instances.push_back(std::move(instance));
  }
  return instances;
}

ReadResult parse_instances(const Module& module, const std::string& text, const std::string& format,
                           const std::string& where, const ReadOptions& options) {
  cli::require_one_of("format of instances", format, {"jsonl", "ptb", "txt", "conll", "tags", "lattice"});
  const auto& parameters = module.entry().parameters;
  const std::int64_t vocabulary = constant(module, "V", 20000);
  const Type type = resolved(parameters[0].second);
  const bool trees = to_string(type) == "Tree" && module.find_type("Tree")->constructors.size() == 2;
  const std::string kind = format == "ptb" || format == "txt" ? "trees"
                           : format == "lattice"              ? "lattices"
                           : format == "jsonl"                ? ""
                                                              : "sentences";
  const bool fits = kind.empty() ||
                    (parameters.size() == 1 && (kind == "trees"      ? trees
                                                : kind == "lattices" ? to_string(type) == "List[Place]"
                                                                     : to_string(type) == "List[i32]" ||
                                                                           to_string(type) == "List[Word]"));
  if (!fits)
    throw InvalidInput(
        fmt::format("{}: {} do not fit a model whose entry takes {}", where, kind, to_string(type)));
  ReadResult result;
  std::istringstream lines(text);
  std::string line;
  std::vector<std::string> tokens;
  std::int64_t number = 0;
  const auto record = [&](const std::function<Instance()>& read) {
    try {
      result.instances.push_back(read());
    } catch (const InvalidInput& error) {
      const std::string sentence = fmt::format("{}:{}: {}", where, number, error.what());
      if (!options.skip_bad) throw InvalidInput(sentence);
      ++result.skipped;
      if (result.first_errors.size() < 5) result.first_errors.push_back(sentence);
    }
  };
  const auto end_sentence = [&] {
    if (tokens.empty()) return;
    record([&] { return Instance{sentence_value(module, type, tokens)}; });
    tokens.clear();
  };
  while (std::getline(lines, line)) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const bool blank =
        std::all_of(line.begin(), line.end(), [](unsigned char c) { return std::isspace(c) != 0; });
    if (format == "conll") {  // word and columns; blank lines between sentences
      if (blank)
        end_sentence();
      else if (!line.starts_with("-DOCSTART-"))
        tokens.push_back(line.substr(0, line.find_first_of(" \t")));
      continue;
    }
    if (blank) continue;
    if (format == "tags") {  // word|TAG word|TAG
      std::istringstream parts(line);
      for (std::string part; parts >> part;)
        tokens.push_back(part.substr(0, part.rfind('|') == 0 ? std::string::npos : part.rfind('|')));
      end_sentence();
      continue;
    }
    record([&] {
      if (kind == "trees") return Instance{Brackets(line, vocabulary).run()};
      Json json;
      try {
        json = Json::parse(line);
      } catch (const Json::exception&) {
        malformed("no JSON document");
      }
      if (kind == "lattices") return Instance{lattice_of(json, vocabulary)};
      if (!json.is_array() || json.size() != parameters.size())
        malformed(fmt::format("expected an array of {} argument(s)", parameters.size()));
      Instance instance;
      for (std::size_t p = 0; p < parameters.size(); ++p)
        instance.push_back(value_from_json(module, parameters[p].second, json[p], parameters[p].first));
      return instance;
    });
  }
  end_sentence();
  return result;
}

ReadResult read_instances(const Module& module, const std::string& path, const ReadOptions& options) {
  const std::size_t dot = path.rfind('.');
  return parse_instances(module, read_file(path), dot == std::string::npos ? "" : path.substr(dot + 1), path,
                         options);
}

}  // namespace ballast::dynamic
