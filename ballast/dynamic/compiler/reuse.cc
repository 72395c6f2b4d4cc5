// Operand-reuse analysis (ACRoBat, section on taint analysis). Abstract value of a variable: nothing yet, one
// tensor of the whole run, or anything. Tuples keep a value a field, other data one for all that is in it.
// Joined over all calls of a function; where calls from outside a function's own recursion each give one
// tensor, but different ones, the function (with all that is recursive with it) is copied and the analysis
// runs again.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "ballast/dynamic/compiler/passes.h"

namespace ballast::dynamic {
namespace {

constexpr int kMostCopies = 64;

struct Abstract {
  enum class Kind : std::uint8_t { nothing, one, many, fields };
  Kind kind = Kind::nothing;
  GlobalId global = 0;
  std::vector<Abstract> parts = {};
  bool operator==(const Abstract&) const = default;
};

Abstract collapsed(const Abstract& a);

Abstract join(const Abstract& a, const Abstract& b) {
  using Kind = Abstract::Kind;
  if (a.kind == Kind::nothing) return b;
  if (b.kind == Kind::nothing || a == b) return a;
  if (a.kind == Kind::fields && b.kind == Kind::fields && a.parts.size() == b.parts.size()) {
    Abstract out{Kind::fields, 0, {}};
    for (std::size_t i = 0; i < a.parts.size(); ++i) out.parts.push_back(join(a.parts[i], b.parts[i]));
    return out;
  }
  if (a.kind == Kind::fields || b.kind == Kind::fields) return join(collapsed(a), collapsed(b));
  return {Kind::many, 0, {}};
}

Abstract collapsed(const Abstract& a) {
  if (a.kind != Abstract::Kind::fields) return a;
  Abstract out;
  for (const Abstract& part : a.parts) out = join(out, collapsed(part));
  return out;
}

class Analysis {
 public:
  explicit Analysis(const Program& program)
      : program_(program), values_(program.functions.size()), results_(program.functions.size()) {
    for (std::size_t f = 0; f < values_.size(); ++f) values_[f].resize(program.functions[f].types.size());
    const auto entry = static_cast<std::size_t>(program.entry);
    for (const VarId v : program.functions[entry].params) values_[entry][v] = {Abstract::Kind::many, 0, {}};
    do {
      changed_ = false;
      for (std::size_t f = 0; f < values_.size(); ++f) {
        const Abstract result = block(f, program.functions[f].body);
        update(results_[f], result);
      }
    } while (changed_);
  }

  const Abstract& value(std::size_t f, VarId v) const { return values_[f][v]; }
  Abstract value(std::size_t f, const Atom& atom) const {
    if (atom.kind == Atom::Kind::var) return values_[f][atom.id];
    if (atom.kind == Atom::Kind::global) return {Abstract::Kind::one, atom.id, {}};
    return {};
  }

 private:
  void update(Abstract& at, const Abstract& with) {
    const Abstract joined = join(at, with);
    if (joined == at) return;
    at = joined;
    changed_ = true;
  }

  Abstract block(std::size_t f, const Block& b) {
    for (const Stmt& s : b.stmts) statement(f, s);
    return value(f, b.result);
  }

  void statement(std::size_t f, const Stmt& s) {
    switch (s.kind) {
      case Stmt::Kind::node:
      case Stmt::Kind::add_n:
        for (const VarId v : s.results) update(values_[f][v], {Abstract::Kind::many, 0, {}});
        break;
      case Stmt::Kind::call: {
        const auto callee = static_cast<std::size_t>(s.function);
        for (std::size_t i = 0; i < s.args.size(); ++i)
          update(values_[callee][program_.functions[callee].params[i]], value(f, s.args[i]));
        update(values_[f][s.results[0]], results_[callee]);
        break;
      }
      case Stmt::Kind::construct: {
        Abstract made{Abstract::Kind::fields, 0, {}};
        for (const Atom& arg : s.args) made.parts.push_back(value(f, arg));
        const bool tuple = resolved(program_.functions[f].types[s.results[0]])->kind == TypeNode::Kind::tuple;
        update(values_[f][s.results[0]], tuple ? made : collapsed(made));
        break;
      }
      case Stmt::Kind::project: {
        const Abstract from = value(f, s.args[0]);
        update(values_[f][s.results[0]],
               from.kind == Abstract::Kind::fields ? from.parts[static_cast<std::size_t>(s.tag)] : from);
        break;
      }
      case Stmt::Kind::branch:
        for (const Block& b : s.blocks) update(values_[f][s.results[0]], block(f, b));
        break;
      case Stmt::Kind::match:
        for (std::size_t i = 0; i < s.blocks.size(); ++i) {
          const Abstract from = collapsed(value(f, s.args[0]));
          for (const VarId v : s.binders[i]) update(values_[f][v], from);
          update(values_[f][s.results[0]], block(f, s.blocks[i]));
        }
        break;
      case Stmt::Kind::concurrent:
        for (std::size_t i = 0; i < s.blocks.size(); ++i)
          update(values_[f][s.results[i]], block(f, s.blocks[i]));
        break;
      default:
        break;
    }
  }

  const Program& program_;
  std::vector<std::vector<Abstract>> values_;
  std::vector<Abstract> results_;
  bool changed_ = false;
};

/// reach[f]: functions that f can call, directly or not.
std::vector<std::set<int>> reachable(const Program& program) {
  std::vector<std::set<int>> reach(program.functions.size());
  for (std::size_t f = 0; f < reach.size(); ++f) {
    std::vector<int> open{static_cast<int>(f)};
    while (!open.empty()) {
      const int at = open.back();
      open.pop_back();
      each_stmt(program.functions[static_cast<std::size_t>(at)].body, [&](const Stmt& s) {
        if (s.kind == Stmt::Kind::call && reach[f].insert(s.function).second) open.push_back(s.function);
      });
    }
  }
  return reach;
}

std::string leaf_key(const Abstract& a) {
  if (a.kind == Abstract::Kind::one) return fmt::format("g{}", a.global);
  if (a.kind != Abstract::Kind::fields) return "?";
  std::string text = "(";
  for (const Abstract& part : a.parts) text += leaf_key(part) + ",";
  return text + ")";
}

/// Copies one function for its groups of call sites, if that tells weights apart. True if it did.
bool split_one(Program& program, const Analysis& analysis, int& copies) {
  const auto reach = reachable(program);
  for (int f = 0; f < static_cast<int>(program.functions.size()); ++f) {
    const auto fi = static_cast<std::size_t>(f);
    if (f == program.entry || program.functions[fi].no_split) continue;
    const auto same_cycle = [&](int g) {
      return g == f || (reach[fi].contains(g) && reach[static_cast<std::size_t>(g)].contains(f));
    };
    struct CallSite {
      Stmt* stmt;
      std::vector<std::string> keys;
    };
    std::vector<CallSite> sites;
    for (int g = 0; g < static_cast<int>(program.functions.size()); ++g) {
      if (same_cycle(g)) continue;
      each_stmt(program.functions[static_cast<std::size_t>(g)].body, [&](Stmt& s) {
        if (s.kind != Stmt::Kind::call || s.function != f) return;
        CallSite site{&s, {}};
        for (const Atom& arg : s.args)
          site.keys.push_back(leaf_key(analysis.value(static_cast<std::size_t>(g), arg)));
        sites.push_back(std::move(site));
      });
    }
    if (sites.size() < 2) continue;
    std::map<std::string, std::vector<Stmt*>> groups;
    std::vector<bool> telling(sites[0].keys.size(), false);
    for (std::size_t i = 0; i < telling.size(); ++i) {
      const bool known = std::all_of(sites.begin(), sites.end(), [&](const CallSite& s) {
        return s.keys[i].find('?') == std::string::npos && s.keys[i].find('g') != std::string::npos;
      });
      telling[i] = known && std::any_of(sites.begin(), sites.end(),
                                        [&](const CallSite& s) { return s.keys[i] != sites[0].keys[i]; });
    }
    for (const CallSite& site : sites) {
      std::string key;
      for (std::size_t i = 0; i < telling.size(); ++i)
        if (telling[i]) key += site.keys[i] + ";";
      groups[key].push_back(site.stmt);
    }
    if (groups.size() < 2) continue;
    if (copies + static_cast<int>(groups.size()) - 1 > kMostCopies) {
      program.notes.push_back(fmt::format("reuse: '{}' is not copied for its call sites: more than {} copies",
                                          program.functions[fi].name, kMostCopies));
      continue;
    }
    std::vector<int> cycle;
    for (int g = 0; g < static_cast<int>(program.functions.size()); ++g)
      if (same_cycle(g)) cycle.push_back(g);
    // Call statements may move when functions are added: find them by where they are, group by group.
    std::vector<std::pair<Stmt*, int>> redirect;
    int copy = 0;
    std::vector<CoreFunction> added;
    for (auto group = std::next(groups.begin()); group != groups.end(); ++group) {
      std::map<int, int> renamed;
      for (const int g : cycle)
        renamed[g] =
            static_cast<int>(program.functions.size() + added.size()) + static_cast<int>(renamed.size());
      ++copy;
      for (const int g : cycle) {
        CoreFunction twin = program.functions[static_cast<std::size_t>(g)];
        twin.name += fmt::format(".{}", copy);
        each_stmt(twin.body, [&](Stmt& s) {
          if (s.kind == Stmt::Kind::call && renamed.contains(s.function)) s.function = renamed[s.function];
        });
        added.push_back(std::move(twin));
      }
      for (Stmt* s : group->second) redirect.emplace_back(s, renamed[f]);
      ++copies;
    }
    for (const auto& [stmt, to] : redirect) stmt->function = to;
    program.notes.push_back(fmt::format("reuse: '{}' copied {} time(s) to tell its weights apart",
                                        program.functions[fi].name, copy));
    for (CoreFunction& twin : added) program.functions.push_back(std::move(twin));
    return true;
  }
  return false;
}

/// Puts globals in place of variables that always hold them. True if an operator became a global, too.
bool rewrite(Program& program, const Analysis& analysis, bool constants) {
  bool again = false;
  for (std::size_t f = 0; f < program.functions.size(); ++f) {
    CoreFunction& function = program.functions[f];
    const auto known = [&](Atom& atom) {
      if (!atom.is_var() || resolved(function.types[atom.id])->kind != TypeNode::Kind::tensor) return;
      const Abstract& a = analysis.value(f, atom.id);
      if (a.kind == Abstract::Kind::one) atom = Atom::global(a.global);
    };
    std::map<VarId, GlobalId> computed;
    const std::function<void(Block&)> visit = [&](Block& block) {
      for (std::size_t i = 0; i < block.stmts.size(); ++i) {
        Stmt& s = block.stmts[i];
        for (Atom& arg : s.args) {
          known(arg);
          if (arg.is_var() && computed.contains(arg.id)) arg = Atom::global(computed[arg.id]);
        }
        if (s.kind == Stmt::Kind::node) {
          auto cell = std::make_shared<Cell>(*s.cell);
          bool all_shared = true;
          for (std::size_t k = 0; k < s.args.size(); ++k) {
            if (s.args[k].kind == Atom::Kind::global) cell->inputs[k].mode = Cell::Input::Mode::shared;
            all_shared &= cell->inputs[k].mode == Cell::Input::Mode::shared;
          }
          s.cell = cell;
          if (constants && all_shared && cell->nodes.size() == 1 && !gives_integers(cell->nodes[0].op.kind)) {
            Global g{.kind = Global::Kind::computed,
                     .name = fmt::format("computed{}", program.globals.size()),
                     .shape = cell->nodes[0].shape,
                     .cell = cell};
            for (const Atom& arg : s.args) g.of.push_back(arg.id);
            computed[s.results[0]] = program.global(std::move(g));
            again = true;
            block.stmts.erase(block.stmts.begin() + static_cast<std::ptrdiff_t>(i--));
            continue;
          }
        }
        for (Block& inner : s.blocks) visit(inner);
      }
      known(block.result);
      if (block.result.is_var() && computed.contains(block.result.id))
        block.result = Atom::global(computed[block.result.id]);
    };
    visit(function.body);
  }
  return again;
}

}  // namespace

namespace {
void reuse(Program& program, bool constants) {
  int copies = 0;
  do {
    while (split_one(program, Analysis(program), copies)) {
    }
  } while (rewrite(program, Analysis(program), constants));
}
}  // namespace

void reuse_operands(Program& program) {
  reuse(program, true);
}
void reuse_operands_only(Program& program) {
  reuse(program, false);
}

void key_weights(Program& program) {
  for (CoreFunction& f : program.functions) {
    each_stmt(f.body, [&](Stmt& s) {
      if (s.kind != Stmt::Kind::node || s.cell->nodes[0].op.kind != OpKind::dense) return;
      const int weight = s.cell->nodes[0].args[1];
      if (weight >= 0 || s.cell->inputs[static_cast<std::size_t>(~weight)].mode != Cell::Input::Mode::lane)
        return;
      s.cell = std::make_shared<Cell>(*s.cell);
      s.cell->inputs[static_cast<std::size_t>(~weight)].mode = Cell::Input::Mode::keyed;
    });
  }
}

}  // namespace ballast::dynamic
