#include "ballast/dynamic/compiler/core.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace ballast::dynamic {

GlobalId Program::global(Global wanted) {
  for (std::size_t i = 0; i < globals.size(); ++i) {
    const Global& g = globals[i];
    const bool same_cell = (!g.cell && !wanted.cell) || (g.cell && wanted.cell && *g.cell == *wanted.cell);
    if (g.kind == wanted.kind && g.shape == wanted.shape && g.value == wanted.value && g.of == wanted.of &&
        g.from == wanted.from && g.to == wanted.to && same_cell &&
        (g.kind != Global::Kind::param || g.name == wanted.name))
      return static_cast<GlobalId>(i);
  }
  globals.push_back(std::move(wanted));
  return static_cast<GlobalId>(globals.size()) - 1;
}

double work_of(const Cell& cell) {
  double work = 0;
  for (const Cell::Node& node : cell.nodes) {
    std::vector<Shape> shapes;
    for (const int arg : node.args) shapes.push_back(cell.shape_of_arg(arg));
    work += work_of(node.op, shapes, node.shape);
  }
  return work;
}

std::string to_string(const Cell& cell) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < cell.nodes.size(); ++i) {
    std::vector<std::string> args;
    for (const int arg : cell.nodes[i].args)
      args.push_back(arg < 0 ? fmt::format("${}", ~arg) : fmt::format("#{}", arg));
    parts.push_back(fmt::format("#{} = {}({})", i, to_string(cell.nodes[i].op), fmt::join(args, ", ")));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

namespace {

std::string text(const Program& program, const Atom& atom) {
  switch (atom.kind) {
    case Atom::Kind::var:
      return fmt::format("v{}", atom.id);
    case Atom::Kind::global:
      return program.globals[atom.id].name;
    case Atom::Kind::integer:
      return std::to_string(atom.integer);
    case Atom::Kind::real:
      return fmt::format("{}", atom.real);
    default:
      return "()";
  }
}

void print(const Program& program, const Block& block, int indent, std::string& out) {
  static const char* const kScalars[] = {"+", "-",  "*",  "/", "%",      "neg",
                                         "<", "<=", "==", "!", "to_f32", "to_i32"};
  static const char* const kModes[] = {"", "index ", "shared ", "keyed "};
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  for (const Stmt& s : block.stmts) {
    std::vector<std::string> args, results;
    for (std::size_t i = 0; i < s.args.size(); ++i)
      args.push_back(
          (s.kind == Stmt::Kind::node ? kModes[static_cast<std::size_t>(s.cell->inputs[i].mode)] : "") +
          text(program, s.args[i]));
    for (const VarId v : s.results) results.push_back(fmt::format("v{}", v));
    out += margin + (results.empty() ? "" : fmt::format("{} = ", fmt::join(results, ", ")));
    const std::string list = fmt::format("({})", fmt::join(args, ", "));
    switch (s.kind) {
      case Stmt::Kind::node: {
        std::vector<std::string> outputs;
        for (const int o : s.cell->outputs) outputs.push_back(fmt::format("#{}", o));
        out += fmt::format("node{}{} {{ {} }} -> {}\n", list,
                           s.static_depth >= 0 ? fmt::format(" at depth {}", s.static_depth) : "",
                           to_string(*s.cell), fmt::join(outputs, ", "));
        break;
      }
      case Stmt::Kind::add_n:
        out += fmt::format("add_n{}{}\n", list,
                           s.static_depth >= 0 ? fmt::format(" at depth {}", s.static_depth) : "");
        break;
      case Stmt::Kind::call:
        out += program.functions[static_cast<std::size_t>(s.function)].name + list + "\n";
        break;
      case Stmt::Kind::construct:
        out += fmt::format("construct {}{}\n", s.tag, list);
        break;
      case Stmt::Kind::project:
        out += fmt::format("{}.{}\n", args[0], s.tag);
        break;
      case Stmt::Kind::scalar:
        out += kScalars[static_cast<std::size_t>(s.scalar_op)] + list + "\n";
        break;
      case Stmt::Kind::item:
        out += "item" + list + "\n";
        break;
      case Stmt::Kind::random:
        out += "rand_int" + list + "\n";
        break;
      case Stmt::Kind::phase:
        out += "phase\n";
        break;
      case Stmt::Kind::ghost:
        out += fmt::format("ghost {}\n", s.tag);
        break;
      default: {
        const bool is_match = s.kind == Stmt::Kind::match;
        out += (is_match                       ? "match " + args[0]
                : s.kind == Stmt::Kind::branch ? "if " + args[0]
                                               : std::string("concurrent")) +
               "\n";
        for (std::size_t i = 0; i < s.blocks.size(); ++i) {
          std::vector<std::string> binders;
          if (is_match)
            for (const VarId v : s.binders[i]) binders.push_back(fmt::format("v{}", v));
          out += margin + "  " +
                 (is_match ? fmt::format("{}({}):\n", s.tags[i], fmt::join(binders, ", "))
                           : fmt::format("{}:\n", i));
          print(program, s.blocks[i], indent + 4, out);
        }
      }
    }
  }
  out += margin + "-> " + text(program, block.result) + "\n";
}

}  // namespace

std::string to_text(const Program& program) {
  std::string out;
  for (std::size_t i = 0; i < program.functions.size(); ++i) {
    const CoreFunction& f = program.functions[i];
    std::vector<std::string> params;
    for (const VarId v : f.params) params.push_back(fmt::format("v{}: {}", v, to_string(f.types[v])));
    out += fmt::format("{}fn {}({}) -> {}\n", static_cast<int>(i) == program.entry ? "@entry " : "", f.name,
                       fmt::join(params, ", "), to_string(f.result));
    print(program, f.body, 2, out);
  }
  return out;
}

namespace {

void use(const Atom& atom, std::set<VarId>& used) {
  if (atom.is_var()) used.insert(atom.id);
}

void sweep(Block& block, std::set<VarId>& used) {
  use(block.result, used);
  for (std::size_t i = block.stmts.size(); i-- > 0;) {
    Stmt& s = block.stmts[i];
    const bool pure =
        s.kind == Stmt::Kind::node || s.kind == Stmt::Kind::construct || s.kind == Stmt::Kind::project ||
        s.kind == Stmt::Kind::add_n ||
        (s.kind == Stmt::Kind::scalar && s.scalar_op != ScalarOp::div && s.scalar_op != ScalarOp::mod);
    const bool wanted =
        std::any_of(s.results.begin(), s.results.end(), [&](VarId v) { return used.contains(v); });
    if (pure && !wanted) {
      block.stmts.erase(block.stmts.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    }
    for (Block& inner : s.blocks) sweep(inner, used);
    for (const Atom& arg : s.args) use(arg, used);
  }
}

void mark_called(const Program& program, int function, std::set<int>& reached) {
  if (!reached.insert(function).second) return;
  each_stmt(program.functions[static_cast<std::size_t>(function)].body, [&](const Stmt& s) {
    if (s.kind == Stmt::Kind::call) mark_called(program, s.function, reached);
  });
}

}  // namespace

void remove_unused(Program& program) {
  for (CoreFunction& f : program.functions) {
    std::set<VarId> used;
    sweep(f.body, used);
  }
  std::set<int> reached;
  mark_called(program, program.entry, reached);
  std::vector<int> renamed(program.functions.size(), -1);
  std::vector<CoreFunction> kept;
  for (const int f : reached) {
    renamed[static_cast<std::size_t>(f)] = static_cast<int>(kept.size());
    kept.push_back(std::move(program.functions[static_cast<std::size_t>(f)]));
  }
  program.functions = std::move(kept);
  program.entry = renamed[static_cast<std::size_t>(program.entry)];
  for (CoreFunction& f : program.functions)
    each_stmt(f.body, [&](Stmt& s) {
      if (s.kind == Stmt::Kind::call) s.function = renamed[static_cast<std::size_t>(s.function)];
    });
}

}  // namespace ballast::dynamic
