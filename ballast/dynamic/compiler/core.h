// The compiler's middle form: first-order, monomorphic functions in A-normal form. Function values are gone:
// a function that takes functions is copied for each that it is given, with what they captured as further
// arguments. Tensor work is in `node` statements, each a small operator graph (Cell) that becomes one kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ballast/dynamic/language/ast.h"

namespace ballast::dynamic {

using VarId = std::uint32_t;
using GlobalId = std::uint32_t;

/// What an argument may be: a variable of the function, a tensor that is the same for the whole run, a
/// number.
struct Atom {
  enum class Kind : std::uint8_t { none, var, global, integer, real };
  Kind kind = Kind::none;
  std::uint32_t id = 0;
  std::int64_t integer = 0;
  double real = 0;
  bool operator==(const Atom&) const = default;
  bool is_var() const { return kind == Kind::var; }

  static Atom var(VarId id) { return {Kind::var, id, 0, 0}; }
  static Atom global(GlobalId id) { return {Kind::global, id, 0, 0}; }
  static Atom of_integer(std::int64_t value) { return {Kind::integer, 0, value, 0}; }
  static Atom of_real(double value) { return {Kind::real, 0, 0, value}; }
};

/// A graph of operators over operands. Lane operands differ from instance to instance.
struct Cell {
  struct Input {
    enum class Mode : std::uint8_t {
      lane,    ///< a tensor of the instance
      index,   ///< an i32 of the instance
      shared,  ///< a tensor of the whole run (the statement's argument is a global)
      keyed    ///< a weight that is only known at run time: lanes run together where it is the same tensor
    };
    Mode mode;
    Shape shape;
    bool operator==(const Input&) const = default;
  };
  struct Node {
    OpCall op;
    std::vector<int> args;  ///< another node, or ~i: input i
    Shape shape;
    bool operator==(const Node&) const = default;
  };
  std::vector<Input> inputs;
  std::vector<Node> nodes;
  std::vector<int> outputs;  ///< nodes

  const Shape& shape_of_arg(int arg) const {
    return arg < 0 ? inputs[static_cast<std::size_t>(~arg)].shape
                   : nodes[static_cast<std::size_t>(arg)].shape;
  }
  bool operator==(const Cell&) const = default;
};
std::string to_string(const Cell& cell);
double work_of(const Cell& cell);  ///< multiply-adds and elements of one lane

enum class ScalarOp : std::uint8_t {
  add,
  sub,
  mul,
  div,
  mod,
  neg,
  less,
  less_equal,
  equal,
  logical_not,
  to_real,
  to_integer
};

struct Stmt;

struct Block {
  std::vector<Stmt> stmts;
  Atom result;
};

struct Stmt {
  enum class Kind : std::uint8_t {
    node,        ///< results = cell(args), one argument an input
    add_n,       ///< results[0] = sum of the list args[0]
    call,        ///< results[0] = functions[function](args)
    construct,   ///< results[0] = {tag, args}
    project,     ///< results[0] = field `tag` of args[0]
    scalar,      ///< results[0] = scalar_op(args)
    branch,      ///< results[0] = args[0] ? blocks[0] : blocks[1]
    match,       ///< results[0] = the block whose tag args[0] has; binders[i]: its fields
    concurrent,  ///< results[i] = blocks[i], all from the same depth
    item,        ///< results[0] = the only element of tensor args[0]: a synchronisation
    random,      ///< results[0] = the instance's next draw from [args[0], args[1])
    phase,
    ghost  ///< `tag` ghost operators
  };
  Kind kind;
  std::vector<VarId> results = {};
  std::vector<Atom> args = {};
  std::shared_ptr<Cell> cell = nullptr;
  int function = -1;
  int tag = 0;
  ScalarOp scalar_op = ScalarOp::add;
  bool real = false;  ///< scalar: on f32
  std::vector<Block> blocks = {};
  std::vector<int> tags = {};  ///< match: of each block; -1: any other
  std::vector<std::vector<VarId>> binders = {};
  int static_depth = -1;         ///< node: from hoisting
  std::vector<bool> forks = {};  ///< concurrent: arms that are one call, to be run as a fiber of its own
  std::uint32_t line = 0;
};

struct CoreFunction {
  std::string name;
  std::vector<VarId> params;
  std::vector<Type> types;  ///< of each variable
  Block body;
  Type result;
  bool depth_constant = false, no_split = false;

  VarId fresh(const Type& type) {
    types.push_back(type);
    return static_cast<VarId>(types.size()) - 1;
  }
};

/// A tensor of the whole run.
struct Global {
  enum class Kind : std::uint8_t {
    param,     ///< of the model, by name
    fill,      ///< value everywhere
    stack,     ///< rows of `of` one below the other
    identity,  ///< ones on the diagonal
    columns,   ///< columns [from, to) of of[0], or of its last axis
    computed   ///< cell(of): an operator whose operands are all of the whole run
  };
  Kind kind;
  std::string name;
  Shape shape;
  double value = 0;
  std::vector<GlobalId> of = {};
  std::int64_t from = 0, to = 0;
  std::shared_ptr<Cell> cell = nullptr;
};

struct Program {
  const Module* module = nullptr;
  std::vector<CoreFunction> functions;
  int entry = 0;
  std::vector<Global> globals;
  std::vector<std::string> notes;  ///< of passes: what they did and what they gave up on

  GlobalId global(Global wanted);  ///< an equal one, or new
};

std::string to_text(const Program& program);

/// Resolves generics, functions as values, loops and inlining. Throws InvalidInput where a function value is
/// not known at compile time, or instances never end.
Program lower(const Module& module);

/// Removes what has no effect and is not used.
void remove_unused(Program& program);

/// Calls visit(stmt) for every statement, inner blocks after their statement.
template <typename Visit>
void each_stmt(Block& block, const Visit& visit) {
  for (Stmt& stmt : block.stmts) {
    visit(stmt);
    for (Block& inner : stmt.blocks) each_stmt(inner, visit);
  }
}
template <typename Visit>
void each_stmt(const Block& block, const Visit& visit) {
  for (const Stmt& stmt : block.stmts) {
    visit(stmt);
    for (const Block& inner : stmt.blocks) each_stmt(inner, visit);
  }
}

}  // namespace ballast::dynamic
