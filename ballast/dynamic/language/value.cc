#include "ballast/dynamic/language/value.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::dynamic {

using TypeKind = TypeNode::Kind;

Value Value::of_integer(std::int64_t value) {
  return {.kind = Kind::integer, .integer = value};
}
Value Value::of_tensor(Shape shape, std::vector<float> elements) {
  BALLAST_CHECK(volume(shape) == static_cast<std::int64_t>(elements.size()));
  return {.kind = Kind::tensor, .shape = std::move(shape), .elements = std::move(elements)};
}
Value Value::of_tuple(std::vector<Value> fields) {
  return {.kind = Kind::tuple, .fields = std::move(fields)};
}
Value Value::of_list(std::vector<Value> items) {
  return {.kind = Kind::list, .fields = std::move(items)};
}
Value Value::of_data(int tag, std::vector<Value> fields) {
  return {.kind = Kind::data, .tag = tag, .fields = std::move(fields)};
}

namespace {

[[noreturn]] void wrong(const std::string& where, const Type& type, const Json& json) {
  std::string text = json.dump();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  throw InvalidInput(fmt::format("{}: expected {}, found {}", where, to_string(type), text));
}

void tensor_elements(const Json& json, std::vector<float>& out, const std::string& where, const Type& type) {
  if (json.is_number()) {
    out.push_back(json.get<float>());
  } else if (json.is_array()) {
    for (const Json& part : json) tensor_elements(part, out, where, type);
  } else {
    wrong(where, type, json);
  }
}

}  // namespace

Value value_from_json(const Module& module, const Type& given, const Json& json, const std::string& where) {
  const Type type = resolved(given);
  switch (type->kind) {
    case TypeKind::integer:
      if (!json.is_number_integer() || json.get<double>() < std::numeric_limits<std::int32_t>::min() ||
          json.get<double>() > std::numeric_limits<std::int32_t>::max())
        wrong(where, type, json);
      return Value::of_integer(json.get<std::int64_t>());
    case TypeKind::real:
      if (!json.is_number()) wrong(where, type, json);
      return {.kind = Value::Kind::real, .real = json.get<double>()};
    case TypeKind::boolean:
      if (!json.is_boolean()) wrong(where, type, json);
      return {.kind = Value::Kind::boolean, .integer = json.get<bool>() ? 1 : 0};
    case TypeKind::tensor: {
      std::vector<float> elements;
      tensor_elements(json, elements, where, type);
      if (static_cast<std::int64_t>(elements.size()) != volume(type->shape))
        throw InvalidInput(fmt::format("{}: {} numbers for {}", where, elements.size(), to_string(type)));
      return Value::of_tensor(type->shape, std::move(elements));
    }
    case TypeKind::tuple: {
      if (!json.is_array() || json.size() != type->args.size()) wrong(where, type, json);
      std::vector<Value> fields;
      for (std::size_t i = 0; i < type->args.size(); ++i)
        fields.push_back(value_from_json(module, type->args[i], json[i], fmt::format("{}.{}", where, i)));
      return Value::of_tuple(std::move(fields));
    }
    case TypeKind::data: {
      if (type->name == "List") {
        if (!json.is_array()) wrong(where, type, json);
        std::vector<Value> items;
        for (std::size_t i = 0; i < json.size(); ++i)
          items.push_back(value_from_json(module, type->args[0], json[i], fmt::format("{}[{}]", where, i)));
        return Value::of_list(std::move(items));
      }
      const bool plain = json.is_string();
      if (!plain && (!json.is_object() || json.size() != 1 || !json.begin().value().is_array()))
        wrong(where, type, json);
      const std::string name = plain ? json.get<std::string>() : json.begin().key();
      int tag = 0;
      const TypeDecl* decl = module.find_constructor(name, &tag);
      if (decl == nullptr || decl->name != type->name)
        throw InvalidInput(fmt::format("{}: '{}' is no constructor of {}", where, name, to_string(type)));
      const std::vector<Type> types = module.field_types(type, tag);
      const Json none = Json::array();
      const Json& given_fields = plain ? none : json.begin().value();
      if (given_fields.size() != types.size())
        throw InvalidInput(
            fmt::format("{}: '{}' has {} field(s), not {}", where, name, types.size(), given_fields.size()));
      std::vector<Value> fields;
      for (std::size_t i = 0; i < types.size(); ++i)
        fields.push_back(
            value_from_json(module, types[i], given_fields[i], fmt::format("{}.{}.{}", where, name, i)));
      return Value::of_data(tag, std::move(fields));
    }
    default:
      wrong(where, type, json);
  }
}

Json value_to_json(const Module& module, const Type& given, const Value& value) {
  const Type type = resolved(given);
  switch (value.kind) {
    case Value::Kind::integer:
      return value.integer;
    case Value::Kind::real:
      return value.real;
    case Value::Kind::boolean:
      return value.integer != 0;
    case Value::Kind::tensor:
      return value.elements;
    case Value::Kind::tuple: {
      Json out = Json::array();
      for (std::size_t i = 0; i < value.fields.size(); ++i)
        out.push_back(value_to_json(module, type->args[i], value.fields[i]));
      return out;
    }
    case Value::Kind::list: {
      Json out = Json::array();
      for (const Value& item : value.fields) out.push_back(value_to_json(module, type->args[0], item));
      return out;
    }
    default: {
      const std::string name =
          module.find_type(type->name)->constructors[static_cast<std::size_t>(value.tag)].name;
      if (value.fields.empty()) return name;
      const std::vector<Type> types = module.field_types(type, value.tag);
      Json fields = Json::array();
      for (std::size_t i = 0; i < value.fields.size(); ++i)
        fields.push_back(value_to_json(module, types[i], value.fields[i]));
      return Json{{name, fields}};
    }
  }
}

void flatten(const Value& value, std::vector<double>& numbers) {
  if (value.kind == Value::Kind::real) numbers.push_back(value.real);
  if (value.kind == Value::Kind::integer || value.kind == Value::Kind::boolean)
    numbers.push_back(static_cast<double>(value.integer));
  if (value.kind == Value::Kind::list) numbers.push_back(static_cast<double>(value.fields.size()));
  if (value.kind == Value::Kind::data) numbers.push_back(value.tag);
  numbers.insert(numbers.end(), value.elements.begin(), value.elements.end());
  for (const Value& field : value.fields) flatten(field, numbers);
}

Draws Draws::of(std::uint64_t seed, std::uint64_t instance) {
  return {mix64(seed ^ mix64(instance)), 0};
}

std::int64_t Draws::next(std::int64_t low, std::int64_t high) {
  if (high <= low) return low;  // and no draw: the count is of draws that were made
  const auto words = philox(stream, count++);
  const std::uint64_t word = words[0] | std::uint64_t{words[1]} << 32;
  const auto span = static_cast<std::uint64_t>(high - low);
  return low + static_cast<std::int64_t>((static_cast<internal::uint128>(word) * span) >> 64);
}

Draws Draws::fork(std::uint64_t arm) const {
  return {mix64(stream ^ mix64(count * 1024 + arm + 1)), 0};
}

}  // namespace ballast::dynamic
