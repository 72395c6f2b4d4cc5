// The checker of model files: names, types by unification, the rules of the language.
#pragma once

#include <fmt/format.h>
#include <algorithm>
#include <set>
#include "ballast/base/cli.h"
#include "ballast/dynamic/language/diagnostics.h"

namespace ballast::dynamic {

using Kind = TypeNode::Kind;
const std::set<std::string> kIntrinsics{"item", "item_as", "rand_int", "to_f32", "to_i32"};

class Checker {
 public:
  Checker(Module& module, Diagnostics& diagnostics) : module_(module), diagnostics_(diagnostics) {}

  void run();

 private:
  [[noreturn]] static void fail(const Span& span, const std::string& sentence);
  template <typename Work>
  void guarded(const Work& work) {
    try {
      work();
    } catch (const LanguageError& error) {
      diagnostics_.add(error.span, error.sentence);
      poisoned_ = true;
    }
  }

  void declarations();

  void validate(const Type& type, const Span& span, bool functions) const;

  void check_function(FunctionDecl& function);

  /// Every type must be known at the end.
  void closed(const Expr& e) const;
  static bool has_unknown(const Type& given);
  template <typename Visit>
  static void each_child(const Expr& e, const Visit& visit) {
    for (const Let& let : e.lets)
      if (let.value) visit(*let.value);
    for (const ExprPtr& arg : e.args) visit(*arg);
    for (const Arm& arm : e.arms) visit(*arm.body);
  }
  /// The body of a @block function has no control flow.
  void plain(const Expr& e) const;

  static void require(const Span& span, const Type& expected, const Type& found);

  void bind(const Pattern& pattern, const Type& type);

  const Type* find_local(const std::string& name) const;

  Type infer(Expr& e, const Type& expected = nullptr);

  Type infer_here(Expr& e, const Type& expected);

  Type infer_name(Expr& e);

  [[noreturn]] void unknown_name(const Expr& e, const char* what) const;

  Type infer_block(Expr& e, const Type& expected);

  Type infer_match(Expr& e, const Type& expected);

  Type infer_lambda(Expr& e, const Type& expected);

  Type infer_loop(Expr& e);

  Type infer_binary(Expr& e);

  Type infer_tensor_arithmetic(Expr& e, const Type& left, const Type& right);

  Type to_op(Expr& e, OpKind kind);

  /// The operator's type by its shape rule; `operands`: the tensors among args.
  Type finish_op(Expr& e, const std::vector<int>& operands);

  bool constant_integer(const Expr& e, std::int64_t* value) const;
  bool constant_number(const Expr& e, double* value) const;

  Type infer_call(Expr& e, const Type& expected);

  void arguments(Expr& e, const std::vector<Type>& parameters);

  Type infer_intrinsic(Expr& e);

  Type infer_op(Expr& e);

  Module& module_;
  Diagnostics& diagnostics_;
  FunctionDecl* function_ = nullptr;
  std::vector<std::map<std::string, Type>> scopes_;
  bool poisoned_ = false;
};

}  // namespace ballast::dynamic
