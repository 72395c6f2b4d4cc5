// Models written in C++: the same syntax tree that a .bdm file gives, checked by the same checker.
//
//   Builder b("tagger");
//   const auto H = b.constant("H", 64);
//   auto E = b.param("E", {1000, H}, "normal", {0.1}), W = b.param("W", {H, 2 * H}, "xavier");
//   auto w = var("w"), t = var("t"), s = var("s");
//   b.fn("rnn", {{"words", list_of(i32())}, {"s", tensor({H})}}, tensor({H}),
//        match(var("words"), {{"Nil", {}, s},
//                             {"Cons", {"w", "t"}, call("rnn", {t, op("tanh", {op("dense", {
//                                 op("concat", {op("embedding", {E, w}), s}), W})})})}}));
//   b.entry("main", {{"words", list_of(i32())}}, tensor({H}), call("rnn", {var("words"), op("zeros", {H})}));
//   Module m = b.build();                          // throws InvalidInput with every mistake
//   to_text(m);                                    // the model as a .bdm file
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ballast/dynamic/language/ast.h"

namespace ballast::dynamic {

/// An expression of a model under construction. Numbers convert to it; + - * / and comparisons build on it.
class Ex {
 public:
  Ex(int value) : Ex(static_cast<std::int64_t>(value)) {}  // NOLINT: numbers are expressions
  Ex(std::int64_t value);                                  // NOLINT
  Ex(double value);                                        // NOLINT
  explicit Ex(ExprPtr expr) : expr_(std::move(expr)) {}
  const ExprPtr& get() const { return expr_; }
  /// Field `index` of a tuple.
  Ex field(std::int64_t index) const;

 private:
  ExprPtr expr_;
};

Ex operator+(const Ex& a, const Ex& b);
Ex operator-(const Ex& a, const Ex& b);
Ex operator*(const Ex& a, const Ex& b);
Ex operator/(const Ex& a, const Ex& b);
Ex operator-(const Ex& a);
Ex operator<(const Ex& a, const Ex& b);
Ex operator==(const Ex& a, const Ex& b);

/// A variable, a parameter of the model, or a constructor without fields.
Ex var(const std::string& name);
/// A function, a constructor, or a function of the library (map, par_map, foldl, zip, ...).
Ex call(const std::string& name, std::vector<Ex> args);
/// A tensor operator; numbers after the tensors are its attributes, as in a .bdm file.
inline Ex op(const std::string& name, std::vector<Ex> args) {
  return call(name, std::move(args));
}
Ex tuple(std::vector<Ex> parts);
Ex lambda(std::vector<std::string> names, const Ex& body);
Ex concurrent(std::vector<Ex> arms);
Ex branch(const Ex& condition, const Ex& then, const Ex& otherwise);
/// An arm: constructor, names of its fields ("_" for none), body.
struct ArmOf {
  std::string constructor;
  std::vector<std::string> names;
  Ex body;
};
Ex match(const Ex& value, std::vector<ArmOf> arms);
/// { let name = value; ... result }; an empty name with any value is a phase boundary.
Ex block(std::vector<std::pair<std::string, Ex>> lets, const Ex& result);
/// For block(): the boundary of a phase.
std::pair<std::string, Ex> phase();
/// while (names = starts; condition) { body }, which gives the state as a tuple (one value: itself).
Ex loop(std::vector<std::pair<std::string, Ex>> state, const Ex& condition, const Ex& body);

inline Type tensor(Shape shape) {
  return tensor_type(std::move(shape));
}
Type i32();
Type f32();
Type list_of(const Type& item);

using Formals = std::vector<std::pair<std::string, Type>>;

class Builder {
 public:
  explicit Builder(std::string name);
  /// A named number; returns it, for shapes.
  std::int64_t constant(const std::string& name, std::int64_t value);
  /// A type of constructors with fields. Returns the type; fields may name it by data_type(name, {}).
  Type type(const std::string& name, std::vector<std::pair<std::string, std::vector<Type>>> constructors);
  /// init: zeros, ones, normal(sd), uniform(low, high) or xavier. Returns the parameter as an expression.
  Ex param(const std::string& name, Shape shape, const std::string& init = "zeros",
           std::vector<double> args = {});
  FunctionDecl& fn(const std::string& name, Formals formals, Type result, const Ex& body);
  FunctionDecl& entry(const std::string& name, Formals formals, Type result, const Ex& body);
  /// The checked module. The builder may go on and build again.
  Module build() const;

 private:
  Module module_;
};

}  // namespace ballast::dynamic
