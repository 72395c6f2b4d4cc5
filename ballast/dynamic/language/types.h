// Types of the model language. A tensor's shape is part of its type and made of plain numbers once the
// constants of a module are known.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ballast::dynamic {

using Shape = std::vector<std::int64_t>;
std::int64_t volume(const Shape& shape);
std::string to_string(const Shape& shape);  ///< "[2, 3]"

struct TypeNode;
/// A type is its node; unknown ones (while a function is being checked) are filled in place through `link`.
using Type = std::shared_ptr<TypeNode>;

struct TypeNode {
  enum class Kind : std::uint8_t {
    tensor,     ///< element, shape
    integer,    ///< i32
    real,       ///< f32
    boolean,    ///< bool
    tuple,      ///< args
    data,       ///< a declared sum type: name, args
    function,   ///< args: parameters, then the result
    parameter,  ///< of a generic function or type: name
    unknown     ///< to be found; `link` once it is
  };
  Kind kind = Kind::unknown;
  bool integer_elements = false;  ///< Tensor[i32, ...]
  Shape shape = {};
  std::string name = {};
  std::vector<Type> args = {};
  Type link = nullptr;
};

Type tensor_type(Shape shape, bool integer_elements = false);
Type scalar_type(TypeNode::Kind kind);
Type tuple_type(std::vector<Type> args);
Type data_type(std::string name, std::vector<Type> args);
Type function_type(std::vector<Type> parameters, const Type& result);
Type parameter_type(std::string name);
Type unknown_type();

/// The type behind all links.
Type resolved(const Type& type);
/// As it is written in a model: "Tensor[f32, 3]", "List[i32]"; "?" where it is not known.
std::string to_string(const Type& type);
/// Makes both equal by filling unknowns; false when they cannot be.
bool unify(const Type& a, const Type& b);
/// `type` with generic parameters `names` replaced.
Type substitute(const Type& type, const std::vector<std::string>& names, const std::vector<Type>& with);
/// Whether an unknown or a generic parameter is left anywhere in it.
bool is_open(const Type& type);

}  // namespace ballast::dynamic
