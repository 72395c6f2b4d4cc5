// From the checked tree to the middle form; see core.h.
#pragma once

#include <fmt/format.h>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include "ballast/base/errors.h"
#include "ballast/dynamic/compiler/core.h"

namespace ballast::dynamic {

constexpr std::size_t kMostInstances = 2000;
constexpr int kDeepestInlining = 64;

struct TypeNames {
  std::vector<std::string> names;
  std::vector<Type> types;
};

struct Binding;
using Env = std::map<std::string, Binding>;

/// A function value: a declared function or a lambda with what it captured.
struct StaticFunction {
  const FunctionDecl* decl = nullptr;
  const Expr* lambda = nullptr;
  std::shared_ptr<const Env> captured = nullptr;
  TypeNames types = {};
};

/// What a name stands for. A tuple that is put together here is kept apart until it is needed as an object.
struct Binding {
  Atom atom = {};
  std::shared_ptr<const StaticFunction> function = nullptr;
  std::shared_ptr<std::vector<Binding>> tuple = nullptr;
  Type type = nullptr;
};

class Lowering {
 public:
  explicit Lowering(const Module& module) : module_(module) {
    program_.module = &module;
    for (const ParamDecl& param : module.params) {
      program_.global({.kind = Global::Kind::param, .name = param.name, .shape = param.type->shape});
      params_[param.name] = static_cast<GlobalId>(program_.globals.size()) - 1;
    }
  }

  Program run();

 private:
  [[noreturn]] void fail(const Expr& e, const std::string& sentence) const;
  Type concrete(const Type& type) const { return substitute(type, types_.names, types_.types); }

  // --- function values as part of an instance's key -------------------------------------------------------

  using Rename = std::function<Atom(const Atom&, const Type&)>;
  /// The binding with its variables renamed; visits them in a fixed order.
  Binding renamed(const Binding& b, const Rename& rename) const;
  std::shared_ptr<const StaticFunction> renamed(const std::shared_ptr<const StaticFunction>& f,
                                                const Rename& rename) const;
  std::string signature(const Binding& b) const;
  static void names_in(const Expr& e, std::set<std::string>& used);

  /// The function for these type and function arguments, lowered later; and the variables its function
  /// arguments captured, which are passed behind the others.
  std::pair<int, std::vector<Atom>> instantiate(const FunctionDecl& decl, const std::vector<Type>& types,
                                                const std::vector<Binding>& args);

  void enter(int id, const TypeNames& names);

  // --- statements ----------------------------------------------------------------------------------------

  CoreFunction& f() { return functions_[static_cast<std::size_t>(function_)]; }
  Binding emit(Stmt stmt, const Type& type);
  template <typename Work>
  void in_block(Block& block, const Work& work) {
    Block* outer = block_;
    block_ = &block;
    projected_.emplace_back();
    block.result = object(work());
    projected_.pop_back();
    block_ = outer;
  }

  /// The binding as one atom; a tuple that was kept apart is put together.
  Atom object(const Binding& b);

  Binding project(const Binding& b, std::int64_t index);

  void bind(const Pattern& pattern, const Binding& value, Env& env);

  // --- expressions ---------------------------------------------------------------------------------------

  Binding lower(const Expr& e, const Env& env);

  Binding lower_name(const Expr& e, const Env& env, const Type& type);

  Binding lower_match(const Expr& e, const Env& env, const Type& type);

  /// while (x = a; cond) { body } becomes fn loop(captured, x) { if cond { loop(captured, body) } else { x }
  /// }.
  Binding lower_loop(const Expr& e, const Env& env, const Type& type);

  Binding lower_binary(const Expr& e, const Env& env, const Type& type);

  Binding lower_call(const Expr& e, const Env& env, const Type& type);

  Binding apply(const Expr& e, const StaticFunction& callee, const std::vector<Binding>& args,
                const Type& type);

  Binding lower_intrinsic(const Expr& e, const std::vector<Binding>& args, const Type& type);

  Binding lower_op(const Expr& e, const Env& env, const Type& type);

  const Module& module_;
  Program program_;
  std::deque<CoreFunction> functions_;
  std::map<std::string, GlobalId> params_;
  std::map<std::string, int> instances_;
  std::deque<std::function<void()>> pending_;
  int function_ = 0, inlined_ = 0;
  TypeNames types_;
  Block* block_ = nullptr;
  std::vector<std::map<std::pair<VarId, std::int64_t>, Binding>> projected_;
};

}  // namespace ballast::dynamic
