// Values of the language as users hold them: what goes into a mini-batch and what comes out, and their JSON
// form. Lists are flat here, however long they are.
//
// JSON, typed by a model's signature: numbers and booleans as they are; a tensor as (nested) arrays; a tuple
// and a List as an array; other data as {"Constructor": [fields]}, or "Constructor" without fields.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/dynamic/language/ast.h"

namespace ballast::dynamic {

struct Value {
  enum class Kind : std::uint8_t { integer, real, boolean, tensor, tuple, list, data };
  Kind kind = Kind::integer;
  std::int64_t integer = 0;  ///< integer; boolean as 0 or 1
  double real = 0;
  int tag = 0;                       ///< data: number of the constructor
  std::vector<Value> fields = {};    ///< tuple, list and data
  Shape shape = {};                  ///< tensor
  std::vector<float> elements = {};  ///< tensor, also of integers

  bool operator==(const Value&) const = default;

  static Value of_integer(std::int64_t value);
  static Value of_tensor(Shape shape, std::vector<float> elements);
  static Value of_tuple(std::vector<Value> fields);
  static Value of_list(std::vector<Value> items);
  static Value of_data(int tag, std::vector<Value> fields);
};

/// Throws InvalidInput with `where` and the path inside the document: a wrong form, an index of no
/// constructor.
Value value_from_json(const Module& module, const Type& type, const Json& json, const std::string& where);
Json value_to_json(const Module& module, const Type& type, const Value& value);
/// All numbers of tensors and scalars in order, for comparisons.
void flatten(const Value& value, std::vector<double>& numbers);

/// The random decisions of one instance: a pure function of (seed, instance, path of forks, draw number), so
/// that they do not depend on how a run is scheduled.
struct Draws {
  std::uint64_t stream = 0, count = 0;
  static Draws of(std::uint64_t seed, std::uint64_t instance);
  /// Uniform on [low, high); low when high <= low.
  std::int64_t next(std::int64_t low, std::int64_t high);
  /// Of the given arm of a `concurrent`; afterwards the parent goes on with `count + 1`.
  Draws fork(std::uint64_t arm) const;
};

}  // namespace ballast::dynamic
