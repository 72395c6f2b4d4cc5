#include "ballast/llama/json_grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "ballast/base/errors.h"

namespace ballast::llama {
namespace {

constexpr int kMostRepeats = 256;  // the library unrolls repetitions
constexpr int kMostRules = 2000;

// Rules that every grammar may name: JSON by its own specification (RFC 8259).
constexpr const char* kCommon = R"(ws ::= " "?
value ::= object | array | string | number | boolean | null
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? ws "}"
array ::= "[" ws ( value ("," ws value)* )? ws "]"
string ::= "\"" char* "\""
char ::= [^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" hex hex hex hex)
hex ::= [0-9a-fA-F]
integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
number ::= integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?
boolean ::= "true" | "false"
null ::= "null"
)";

// A text as a literal of the grammar language.
std::string literal(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\x{:02X}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + "\"";
}

class Writer {
 public:
  explicit Writer(const Json& root) : root_(root) {}

  std::string write() {
    const std::string body = rule_of(root_, "#");
    std::string text = "root ::= " + body + "\n";
    for (const auto& [name, definition] : rules_) text += name + " ::= " + definition + "\n";
    return text + kCommon;
  }

 private:
  [[noreturn]] static void refuse(const std::string& path, const std::string& problem) {
    throw InvalidInput(fmt::format("the JSON schema at {}: {}", path, problem));
  }

  std::string add(std::string definition) {
    if (rules_.size() >= kMostRules) throw InvalidInput("the JSON schema is too large");
    const std::string name = fmt::format("r{}", rules_.size());
    rules_.emplace_back(name, std::move(definition));
    return name;
  }

  std::string alternatives(const Json& schemas, const std::string& path) {
    if (!schemas.is_array() || schemas.empty()) refuse(path, "must be a list of at least one schema");
    std::string text;
    for (std::size_t i = 0; i < schemas.size(); ++i)
      text += (i > 0 ? " | " : "") + rule_of(schemas[i], fmt::format("{}/{}", path, i));
    return add(text);
  }

  std::string referred(const std::string& reference) {
    if (const auto known = references_.find(reference); known != references_.end()) return known->second;
    if (reference != "#" && !reference.starts_with("#/"))
      refuse(reference, "only references into the document itself ('#/$defs/...') are followed");
    const Json* target = nullptr;
    try {
      target = &root_.at(Json::json_pointer(reference.substr(1)));
    } catch (const Json::exception&) {
      refuse(reference, "there is nothing at this reference");
    }
    // The name first: the schema may refer to itself.
    const std::string name = fmt::format("ref{}", references_.size());
    references_[reference] = name;
    const std::string body = rule_of(*target, reference);
    if (body == name) refuse(reference, "refers to itself only");
    rules_.emplace_back(name, body);
    return name;
  }

  static int bound(const Json& schema, const char* key, int otherwise, const std::string& path) {
    if (!schema.contains(key)) return otherwise;
    const Json& value = schema.at(key);
    if (!value.is_number_integer() || value.get<std::int64_t>() < 0 ||
        value.get<std::int64_t>() > kMostRepeats)
      refuse(path, fmt::format("'{}' must be an integer from 0 to {}", key, kMostRepeats));
    return value.get<int>();
  }
  static std::string times(int least, int most) {  // most < 0: no limit
    return most < 0 ? fmt::format("{{{},}}", least) : fmt::format("{{{},{}}}", least, most);
  }

  std::string text_rule(const Json& schema, const std::string& path) {
    const int least = bound(schema, "minLength", 0, path), most = bound(schema, "maxLength", -1, path);
    if (most >= 0 && most < least) refuse(path, "maxLength is below minLength");
    if (least == 0 && most < 0) return "string";
    return add(fmt::format("\"\\\"\" char{} \"\\\"\"", times(least, most)));
  }

  std::string array_rule(const Json& schema, const std::string& path) {
    const std::string item =
        schema.contains("items") ? rule_of(schema.at("items"), path + "/items") : "value";
    const int least = bound(schema, "minItems", 0, path), most = bound(schema, "maxItems", -1, path);
    if (most >= 0 && most < least) refuse(path, "maxItems is below minItems");
    if (most == 0) return add("\"[\" ws \"]\"");
    const std::string more = fmt::format("{} (\",\" ws {}){}", item, item,
                                         times(std::max(0, least - 1), most < 0 ? -1 : most - 1));
    return add(least > 0 ? fmt::format("\"[\" ws {} ws \"]\"", more)
                         : fmt::format("\"[\" ws ( {} )? ws \"]\"", more));
  }

  // Properties in their order; first_i: none was written yet, rest_i: at least one was. Optional ones may be
  // passed over. first_i = prop_i rest_i+1 | first_i+1; rest_i = "," prop_i rest_i+1 | rest_i+1.
  std::string object_rule(const Json& schema, const std::string& path) {
    std::set<std::string> required;
    if (schema.contains("required")) {
      if (!schema.at("required").is_array()) refuse(path, "'required' must be a list of names");
      for (const Json& name : schema.at("required")) {
        if (!name.is_string()) refuse(path, "'required' must be a list of names");
        required.insert(name.get<std::string>());
      }
    }
    const Json nothing = Json::object();
    const Json& properties = schema.contains("properties") ? schema.at("properties") : nothing;
    if (!properties.is_object()) refuse(path, "'properties' must be an object");
    for (const std::string& name : required) {
      if (!properties.contains(name)) refuse(path, fmt::format("requires '{}', which is no property", name));
    }
    std::string first = "\"\"", rest = "\"\"";
    if (schema.contains("additionalProperties") && schema.at("additionalProperties") != false) {
      const Json& more = schema.at("additionalProperties");
      const std::string value = more.is_object() ? rule_of(more, path + "/additionalProperties") : "value";
      const std::string pair = add(fmt::format("string \":\" ws {}", value));
      rest = add(fmt::format("(\",\" ws {})*", pair));
      first = add(fmt::format("({} {})?", pair, rest));
    } else if (!schema.contains("properties") && !schema.contains("additionalProperties")) {
      return "object";  // nothing is said of its content
    }
    std::vector<std::string> names;
    for (const auto& [name, property] : properties.items()) names.push_back(name);
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
      const std::string value = rule_of(properties.at(*name), path + "/properties/" + *name);
      const std::string pair = add(fmt::format("{} \":\" ws {}", literal(Json(*name).dump()), value));
      const bool optional = !required.contains(*name);
      const std::string first_here = fmt::format("{} {}", pair, rest) + (optional ? " | " + first : "");
      const std::string rest_here =
          fmt::format("\",\" ws {} {}", pair, rest) + (optional ? " | " + rest : "");
      first = add(first_here);
      rest = add(rest_here);
    }
    return add(fmt::format("\"{{\" ws {} ws \"}}\"", first));
  }

  std::string typed_rule(const Json& schema, const std::string& type, const std::string& path) {
    if (type == "object") return object_rule(schema, path);
    if (type == "array") return array_rule(schema, path);
    if (type == "string") return text_rule(schema, path);
    if (type == "integer" || type == "number" || type == "boolean" || type == "null") return type;
    refuse(path, fmt::format("the type '{}' is not known", type));
  }

  static void check_keywords(const Json& schema, const std::string& path) {
    static const std::set<std::string> kKnown{"type",        "properties", "required", "additionalProperties",
                                              "items",       "minItems",   "maxItems", "enum",
                                              "const",       "anyOf",      "oneOf",    "$ref",
                                              "minLength",   "maxLength",  "title",    "description",
                                              "default",     "examples",   "$schema",  "$defs",
                                              "definitions", "$id",        "$comment", "strict"};
    for (const auto& [key, value] : schema.items()) {
      if (!kKnown.contains(key)) refuse(path, fmt::format("the keyword '{}' is not supported", key));
    }
  }

  std::string rule_of(const Json& schema, const std::string& path) {
    if (schema.is_boolean() && schema.get<bool>()) return "value";
    if (!schema.is_object()) refuse(path, "a schema must be an object");
    check_keywords(schema, path);
    if (schema.contains("$ref")) {
      if (!schema.at("$ref").is_string()) refuse(path, "'$ref' must be a text");
      return referred(schema.at("$ref").get<std::string>());
    }
    if (schema.contains("const")) return add(literal(schema.at("const").dump()));
    if (schema.contains("enum")) {
      const Json& values = schema.at("enum");
      if (!values.is_array() || values.empty()) refuse(path, "'enum' must be a list of at least one value");
      std::string text;
      for (const Json& value : values) text += (text.empty() ? "" : " | ") + literal(value.dump());
      return add(text);
    }
    for (const char* key : {"anyOf", "oneOf"}) {
      if (schema.contains(key)) return alternatives(schema.at(key), path + "/" + key);
    }
    if (!schema.contains("type")) {
      if (schema.contains("properties")) return object_rule(schema, path);
      if (schema.contains("items")) return array_rule(schema, path);
      return "value";
    }
    const Json& type = schema.at("type");
    if (type.is_string()) return typed_rule(schema, type.get<std::string>(), path);
    if (!type.is_array() || type.empty()) refuse(path, "'type' must be a text or a list of texts");
    std::string text;
    for (const Json& one : type) {
      if (!one.is_string()) refuse(path, "'type' must be a text or a list of texts");
      text += (text.empty() ? "" : " | ") + typed_rule(schema, one.get<std::string>(), path);
    }
    return add(text);
  }

  const Json& root_;
  std::vector<std::pair<std::string, std::string>> rules_;
  std::map<std::string, std::string> references_;
};

}  // namespace

std::string json_grammar(const Json& schema) {
  return Writer(schema).write();
}

std::string json_object_grammar() {
  return std::string("root ::= object\n") + kCommon;
}

}  // namespace ballast::llama
