// The text forms of message definitions: .msg (ROS 2) and the IDL subset that rosidl writes.
#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <optional>

#include "ballast/base/errors.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::ros {
namespace {

struct Primitive {
  std::string_view word;
  Kind kind;
};

constexpr Primitive kMsgPrimitives[] = {
    {"bool", Kind::boolean},    {"byte", Kind::byte},     {"char", Kind::uint8},
    {"int8", Kind::int8},       {"uint8", Kind::uint8},   {"int16", Kind::int16},
    {"uint16", Kind::uint16},   {"int32", Kind::int32},   {"uint32", Kind::uint32},
    {"int64", Kind::int64},     {"uint64", Kind::uint64}, {"float32", Kind::float32},
    {"float64", Kind::float64}, {"string", Kind::string}, {"wstring", Kind::wstring}};

constexpr Primitive kIdlPrimitives[] = {
    {"boolean", Kind::boolean}, {"octet", Kind::byte},     {"char", Kind::uint8},
    {"wchar", Kind::wchar},     {"int8", Kind::int8},      {"uint8", Kind::uint8},
    {"int16", Kind::int16},     {"uint16", Kind::uint16},  {"int32", Kind::int32},
    {"uint32", Kind::uint32},   {"int64", Kind::int64},    {"uint64", Kind::uint64},
    {"float", Kind::float32},   {"double", Kind::float64}, {"string", Kind::string},
    {"wstring", Kind::wstring}};

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

std::uint64_t number(std::string_view file, std::uint64_t line, std::string_view text) {
  std::uint64_t value = 0;
  text = trim(text);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > (1u << 30))
    throw InvalidInput::at(file, line, fmt::format("'{}' is no bound", text),
                           "a positive integer below 2^30");
  return value;
}

bool is_identifier(std::string_view text) {
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0]))) return false;
  for (const char c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  return true;
}

/// "std_msgs/Header", "std_msgs/msg/Header" or "Header" (same package) -> "std_msgs/msg/Header".
std::string qualified(std::string_view word, std::string_view package) {
  const auto slash = word.find('/');
  if (slash == std::string_view::npos) return fmt::format("{}/msg/{}", package, word);
  if (word.find('/', slash + 1) != std::string_view::npos) return std::string(word);
  return fmt::format("{}/msg/{}", word.substr(0, slash), word.substr(slash + 1));
}

FieldType msg_type(std::string_view name, std::uint64_t line, std::string_view word,
                   std::string_view package) {
  FieldType type;
  if (const auto open = word.find('['); open != std::string_view::npos) {
    if (word.back() != ']') throw InvalidInput::at(name, line, fmt::format("'{}' lacks ']'", word));
    const auto bound = word.substr(open + 1, word.size() - open - 2);
    word = word.substr(0, open);
    if (bound.empty()) {
      type.container = Container::sequence;
    } else if (bound.starts_with("<=")) {
      type.container = Container::bounded_sequence;
      type.capacity = number(name, line, bound.substr(2));
    } else {
      type.container = Container::array;
      type.capacity = number(name, line, bound);
    }
  }
  std::optional<std::uint64_t> string_bound;
  if (const auto at = word.find("<="); at != std::string_view::npos) {
    string_bound = number(name, line, word.substr(at + 2));
    word = word.substr(0, at);
  }
  for (const auto& primitive : kMsgPrimitives) {
    if (word != primitive.word) continue;
    type.kind = primitive.kind;
    if (string_bound) {
      if (type.kind != Kind::string && type.kind != Kind::wstring)
        throw InvalidInput::at(name, line, "only strings have a bound without brackets");
      type.kind = type.kind == Kind::string ? Kind::bounded_string : Kind::bounded_wstring;
      type.string_capacity = *string_bound;
    }
    return type;
  }
  type.kind = Kind::nested;
  type.nested = qualified(word, package);
  for (const char c : type.nested)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '/')
      throw InvalidInput::at(name, line, fmt::format("'{}' is no type", word), "a primitive or pkg/Name");
  return type;
}

TypeDescription parse_msg(const std::string& name, std::string_view text) {
  TypeDescription result{name, {}};
  const auto package = std::string_view(name).substr(0, name.find('/'));
  std::uint64_t line_number = 0;
  while (!text.empty()) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++line_number;
    // A '#' opens a comment, except inside the value of a string constant, which is skipped anyway.
    line = trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    std::size_t blank = 0;
    while (blank < line.size() && !std::isspace(static_cast<unsigned char>(line[blank]))) ++blank;
    const auto word = line.substr(0, blank);
    auto rest = trim(line.substr(blank));
    std::size_t stop = 0;
    while (stop < rest.size() && (std::isalnum(static_cast<unsigned char>(rest[stop])) || rest[stop] == '_'))
      ++stop;
    const auto field = rest.substr(0, stop);
    const auto after = trim(rest.substr(stop));
    if (after.starts_with('=')) continue;  // a constant takes no room on the wire
    if (!is_identifier(field))
      throw InvalidInput::at(name, line_number, fmt::format("'{}' is no field", line), "TYPE NAME [DEFAULT]");
    result.fields.push_back({std::string(field), msg_type(name, line_number, word, package)});
  }
  if (result.fields.empty())
    result.fields.push_back({"structure_needs_at_least_one_member", {.kind = Kind::uint8}});
  return result;
}

// A recursive-descent reader of the IDL that rosidl generates: modules, one struct each, constants, comments,
// annotations, typedefs of arrays.
class IdlReader {
 public:
  IdlReader(std::string_view name, std::string_view text) : name_(name), text_(text) {}

  void read(TypeLibrary& library) {
    while (!next().empty()) item(library, "");
  }

 private:
  std::string_view peek() {
    const auto position = position_;
    const auto line = line_;
    const auto token = next();
    position_ = position;
    line_ = line;
    return token;
  }

  std::string_view next() {
    skip();
    const auto start = position_;
    if (position_ >= text_.size()) return token_ = {};
    if (text_[position_] == '"') {
      ++position_;
      while (position_ < text_.size() && text_[position_] != '"')
        position_ += text_[position_] == '\\' ? 2 : 1;
      position_ = std::min(position_ + 1, text_.size());
    } else if (std::isalnum(static_cast<unsigned char>(text_[position_])) || text_[position_] == '_') {
      while (position_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[position_])) ||
                                          text_[position_] == '_' || text_[position_] == ':')) {
        ++position_;
      }
    } else {
      ++position_;
    }
    return token_ = text_.substr(start, position_ - start);
  }

  void skip() {
    for (;;) {
      while (position_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[position_])))
        line_ += text_[position_++] == '\n';
      if (text_.substr(position_).starts_with("//") || text_.substr(position_).starts_with("#")) {
        while (position_ < text_.size() && text_[position_] != '\n') ++position_;
      } else if (text_.substr(position_).starts_with("/*")) {
        const auto end = text_.find("*/", position_);
        position_ = end == std::string_view::npos ? text_.size() : end + 2;
      } else if (position_ < text_.size() && text_[position_] == '@') {
        ++position_;
        while (position_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[position_])) ||
                                            text_[position_] == '_' || text_[position_] == ':')) {
          ++position_;
        }
        while (position_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[position_])))
          line_ += text_[position_++] == '\n';
        if (position_ < text_.size() && text_[position_] == '(') skip_parentheses();
      } else {
        return;
      }
    }
  }

  void skip_parentheses() {
    int depth = 0;
    bool quoted = false;
    for (; position_ < text_.size(); ++position_) {
      const char c = text_[position_];
      if (c == '\\' && quoted) {
        ++position_;
        continue;
      }
      if (c == '"') quoted = !quoted;
      if (quoted) continue;
      depth += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (depth == 0) {
        ++position_;
        return;
      }
    }
  }

  void expect(std::string_view token) {
    if (next() != token)
      throw InvalidInput::at(name_, line_, fmt::format("'{}' where '{}' belongs", token_, token));
  }

  void item(TypeLibrary& library, const std::string& scope) {
    if (++depth_ > 64) throw InvalidInput::at(name_, line_, "modules nested too deeply");
    if (token_ == "module") {
      const std::string inner = scope + std::string(next()) + "/";
      expect("{");
      while (next() != "}") {
        if (token_.empty()) throw InvalidInput::at(name_, line_, "a module without its end");
        item(library, inner);
      }
      expect(";");
    } else if (token_ == "struct") {
      structure(library, scope);
    } else if (token_ == "typedef") {
      FieldType type = value_type();
      const std::string alias(next());
      if (peek() == "[") {
        next();
        type.container = Container::array;
        type.capacity = number(name_, line_, next());
        expect("]");
      }
      expect(";");
      aliases_[alias] = type;
    } else if (token_ == ";") {
    } else {  // const and whatever else ends in a semicolon
      while (next() != ";")
        if (token_.empty()) break;
    }
    --depth_;
  }

  void structure(TypeLibrary& library, const std::string& scope) {
    TypeDescription result{scope + std::string(next()), {}};
    expect("{");
    while (peek() != "}") {
      FieldType type = value_type();
      const std::string field(next());
      if (!is_identifier(field)) throw InvalidInput::at(name_, line_, fmt::format("'{}' is no field", field));
      if (peek() == "[") {
        next();
        type.container = Container::array;
        type.capacity = number(name_, line_, next());
        expect("]");
      }
      expect(";");
      result.fields.push_back({field, type});
    }
    expect("}");
    expect(";");
    library.add(std::move(result));
  }

  FieldType value_type() {
    FieldType type;
    std::string word(next());
    if (word == "sequence") {
      expect("<");
      if (peek() == "sequence") throw InvalidInput::at(name_, line_, "a sequence of sequences");
      type = value_type();
      type.container = Container::sequence;
      if (next() == ",") {
        type.container = Container::bounded_sequence;
        type.capacity = number(name_, line_, next());
        next();
      }
      if (token_ != ">") throw InvalidInput::at(name_, line_, "a sequence without '>'");
      return type;
    }
    if (word == "unsigned") word += " " + std::string(next());
    if ((word == "long" || word == "unsigned long") && peek() == "long") word += " " + std::string(next());
    static const std::map<std::string, std::string> kOldNames{
        {"short", "int16"},          {"unsigned short", "uint16"}, {"long", "int32"},
        {"unsigned long", "uint32"}, {"long long", "int64"},       {"unsigned long long", "uint64"}};
    if (const auto old = kOldNames.find(word); old != kOldNames.end()) word = old->second;
    for (const auto& primitive : kIdlPrimitives) {
      if (word != primitive.word) continue;
      type.kind = primitive.kind;
      if ((type.kind == Kind::string || type.kind == Kind::wstring) && peek() == "<") {
        next();
        type.string_capacity = number(name_, line_, next());
        type.kind = type.kind == Kind::string ? Kind::bounded_string : Kind::bounded_wstring;
        expect(">");
      }
      return type;
    }
    if (const auto alias = aliases_.find(word); alias != aliases_.end()) return alias->second;
    if (const auto last = word.rfind("::"); last != std::string::npos) {
      if (const auto alias = aliases_.find(word.substr(last + 2)); alias != aliases_.end())
        return alias->second;
    }
    type.kind = Kind::nested;
    for (std::size_t i = 0; i < word.size(); ++i) {
      if (word[i] == ':') {
        type.nested += '/';
        ++i;
      } else {
        type.nested += word[i];
      }
    }
    if (type.nested.empty() || !std::isalpha(static_cast<unsigned char>(type.nested[0])))
      throw InvalidInput::at(name_, line_, fmt::format("'{}' is no type", word));
    return type;
  }

  std::string_view name_, text_, token_;
  std::size_t position_ = 0;
  std::uint64_t line_ = 1;
  int depth_ = 0;
  std::map<std::string, FieldType> aliases_;
};

/// Cuts at lines of '=' (80 of them) and calls `part(header word or "", text)`.
template <typename Part>
void split_bundle(std::string_view text, std::string_view mark, Part part) {
  std::string current, name;
  const auto flush = [&] { part(name, current); };
  bool after_rule = false;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = trim(text.substr(0, end));
    const auto whole = text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
    text.remove_prefix(whole.size());
    if (line.size() >= 80 && line.find_first_not_of('=') == std::string_view::npos) {
      flush();
      current.clear();
      name.clear();
      after_rule = true;
    } else if ((after_rule || current.empty()) && line.starts_with(mark)) {
      name = trim(line.substr(mark.size()));
      after_rule = false;
    } else {
      current += whole;
    }
  }
  flush();
}

}  // namespace

void TypeLibrary::add_msg(const std::string& name, std::string_view text) {
  add(parse_msg(name, text));
}

void TypeLibrary::add_bundle(const std::string& name, std::string_view text) {
  split_bundle(text, "MSG:", [&](const std::string& part, const std::string& body) {
    add(parse_msg(part.empty() ? name : qualified(part, ""), body));
  });
}

void TypeLibrary::add_idl_bundle(const std::string& name, std::string_view text) {
  split_bundle(
      text, "IDL:", [&](const std::string&, const std::string& body) { IdlReader(name, body).read(*this); });
}

}  // namespace ballast::ros
