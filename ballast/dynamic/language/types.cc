#include "ballast/dynamic/language/types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace ballast::dynamic {

using Kind = TypeNode::Kind;

std::int64_t volume(const Shape& shape) {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  return product;
}

std::string to_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Type tensor_type(Shape shape, bool integer_elements) {
  return std::make_shared<TypeNode>(
      TypeNode{.kind = Kind::tensor, .integer_elements = integer_elements, .shape = std::move(shape)});
}
Type scalar_type(Kind kind) {
  return std::make_shared<TypeNode>(TypeNode{.kind = kind});
}
Type tuple_type(std::vector<Type> args) {
  return std::make_shared<TypeNode>(TypeNode{.kind = Kind::tuple, .args = std::move(args)});
}
Type data_type(std::string name, std::vector<Type> args) {
  return std::make_shared<TypeNode>(
      TypeNode{.kind = Kind::data, .name = std::move(name), .args = std::move(args)});
}
Type function_type(std::vector<Type> parameters, const Type& result) {
  parameters.push_back(result);
  return std::make_shared<TypeNode>(TypeNode{.kind = Kind::function, .args = std::move(parameters)});
}
Type parameter_type(std::string name) {
  return std::make_shared<TypeNode>(TypeNode{.kind = Kind::parameter, .name = std::move(name)});
}
Type unknown_type() {
  return std::make_shared<TypeNode>();
}

Type resolved(const Type& type) {
  Type at = type;
  while (at->kind == Kind::unknown && at->link) at = at->link;
  return at;
}

std::string to_string(const Type& given) {
  const Type type = resolved(given);
  std::vector<std::string> args;
  for (const Type& arg : type->args) args.push_back(to_string(arg));
  switch (type->kind) {
    case Kind::tensor: {
      std::string text = type->integer_elements ? "Tensor[i32" : "Tensor[f32";
      for (const std::int64_t extent : type->shape) text += fmt::format(", {}", extent);
      return text + "]";
    }
    case Kind::integer:
      return "i32";
    case Kind::real:
      return "f32";
    case Kind::boolean:
      return "bool";
    case Kind::tuple:
      return fmt::format("({})", fmt::join(args, ", "));
    case Kind::data:
      return args.empty() ? type->name : fmt::format("{}[{}]", type->name, fmt::join(args, ", "));
    case Kind::function: {
      const std::string result = args.back();
      args.pop_back();
      return fmt::format("fn({}) -> {}", fmt::join(args, ", "), result);
    }
    case Kind::parameter:
      return type->name;
    default:
      return "?";
  }
}

namespace {
bool occurs(const TypeNode* unknown, const Type& in) {
  const Type type = resolved(in);
  return type.get() == unknown ||
         std::any_of(type->args.begin(), type->args.end(), [&](const Type& t) { return occurs(unknown, t); });
}
}  // namespace

bool unify(const Type& left, const Type& right) {
  const Type a = resolved(left), b = resolved(right);
  if (a == b) return true;
  if (a->kind == Kind::unknown || b->kind == Kind::unknown) {
    const Type &unknown = a->kind == Kind::unknown ? a : b, &other = a->kind == Kind::unknown ? b : a;
    if (occurs(unknown.get(), other)) return false;
    unknown->link = other;
    return true;
  }
  if (a->kind != b->kind || a->name != b->name || a->shape != b->shape ||
      a->integer_elements != b->integer_elements || a->args.size() != b->args.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a->args.size(); ++i) {
    if (!unify(a->args[i], b->args[i])) return false;
  }
  return true;
}

Type substitute(const Type& given, const std::vector<std::string>& names, const std::vector<Type>& with) {
  const Type type = resolved(given);
  if (type->kind == Kind::parameter) {
    const auto found = std::find(names.begin(), names.end(), type->name);
    return found == names.end() ? type : with[static_cast<std::size_t>(found - names.begin())];
  }
  if (type->args.empty()) return type;
  auto copy = std::make_shared<TypeNode>(*type);
  for (Type& arg : copy->args) arg = substitute(arg, names, with);
  return copy;
}

bool is_open(const Type& given) {
  const Type type = resolved(given);
  return type->kind == Kind::unknown || type->kind == Kind::parameter ||
         std::any_of(type->args.begin(), type->args.end(), is_open);
}

}  // namespace ballast::dynamic
