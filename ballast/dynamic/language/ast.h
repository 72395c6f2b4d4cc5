// The syntax tree of a model file (.bdm), as the parser or the C++ builder makes it. The checker fills in the
// types. Grammar: docs/dynamic.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ballast/dynamic/language/ops.h"
#include "ballast/dynamic/language/types.h"

namespace ballast::dynamic {

/// Where something stands in the text: bytes [begin, end), line and column from 1.
struct Span {
  std::uint32_t begin = 0, end = 0, line = 0, column = 0;
};

/// A name, `_`, or a tuple of patterns; in a match arm also `Constructor(patterns)`.
struct Pattern {
  enum class Kind : std::uint8_t { any, name, tuple, constructor };
  Kind kind = Kind::any;
  Span span = {};
  std::string name = {};
  std::vector<Pattern> parts = {};
};

struct Expr;
using ExprPtr = std::shared_ptr<Expr>;

/// `let pattern = value;`, or `phase;` when there is no value.
struct Let {
  Pattern pattern;
  ExprPtr value;
  Span span = {};
};

struct Arm {
  Pattern pattern;
  ExprPtr body;
};

struct Expr {
  enum class Kind : std::uint8_t {
    integer,
    real,
    boolean,
    name,        ///< a variable, a parameter of the model, a constant, or a constructor without fields
    call,        ///< name(args): an operator, a function, a constructor or a local function
    tuple,       ///< (args)
    project,     ///< args[0].index
    block,       ///< { lets; args[0] }
    branch,      ///< if args[0] { args[1] } else { args[2] }
    match,       ///< match args[0] { arms }
    lambda,      ///< |names| args[0]
    concurrent,  ///< concurrent { args }
    loop,        ///< while (names = args[0 .. n); args[n]) { args[n+1] }
    unary,       ///< name: - or !
    binary       ///< name: + - * / % < <= > >= == != && ||
  };
  Kind kind;
  Span span = {};
  std::string name = {};
  std::int64_t integer = 0;  ///< integer and boolean: the value; project: the index
  double real = 0;
  std::vector<ExprPtr> args = {};
  std::vector<std::string> names = {};
  std::vector<Let> lets = {};
  std::vector<Arm> arms = {};

  // Filled by the checker.
  Type type = nullptr;
  /// intrinsic: item, item_as, rand_int, to_f32, to_i32.
  enum class Callee : std::uint8_t { unknown, op, intrinsic, function, constructor, local };
  Callee callee = Callee::unknown;
  std::vector<Type> instance = {};    ///< call of a generic function: its type arguments
  std::optional<OpCall> op = {};      ///< call of a tensor operator: kind and attributes
  std::vector<int> tensor_args = {};  ///< of an operator call: which args are run-time operands
};

struct TypeDecl {
  struct Constructor {
    std::string name;
    std::vector<Type> fields;
    Span span = {};
  };
  std::string name;
  std::vector<std::string> parameters;
  std::vector<Constructor> constructors;
  Span span = {};
};

struct ParamDecl {
  std::string name;
  Type type;
  std::string init = "zeros";  ///< zeros, ones, normal, uniform, xavier
  std::vector<double> init_args = {};
  Span span = {};
};

struct FunctionDecl {
  std::string name;
  std::vector<std::string> type_parameters;
  std::vector<std::pair<std::string, Type>> parameters;
  Type result;
  ExprPtr body;
  bool entry = false, inlined = false, block = false, depth_constant = false, no_split = false;
  bool library = false;  ///< of the prelude
  Span span = {};
};

struct Module {
  std::string file;  ///< for messages
  std::string source;
  std::map<std::string, std::int64_t> constants;
  std::vector<std::pair<std::string, ExprPtr>> constant_texts;  ///< in order, as written
  std::vector<TypeDecl> types;
  std::vector<ParamDecl> params;
  std::vector<std::shared_ptr<FunctionDecl>> functions;

  /// Reads, parses and checks a model. `constants` overrides `const` lines. Throws InvalidInput with up to 20
  /// errors: file:line:column, the line, a caret, what was expected.
  static Module from_file(const std::string& path, const std::map<std::string, std::int64_t>& constants = {});
  static Module from_text(const std::string& text, const std::string& file = "model",
                          const std::map<std::string, std::int64_t>& constants = {});

  const TypeDecl* find_type(const std::string& name) const;
  /// The type that declares this constructor, and its number; nullptr if none.
  const TypeDecl* find_constructor(const std::string& name, int* tag) const;
  const FunctionDecl* find_function(const std::string& name) const;
  const FunctionDecl& entry() const;
  /// Types of a constructor's fields for this instance of its type.
  std::vector<Type> field_types(const Type& instance, int tag) const;
};

/// Writes the module as a model file, without what the prelude brings. from_text(to_text(m)) means the same.
std::string to_text(const Module& module);

}  // namespace ballast::dynamic
