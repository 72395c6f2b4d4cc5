#include "ballast/dynamic/compiler/control.h"

#include <fmt/format.h>

#include <bit>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::dynamic {
namespace {

using loop::ControlInstruction;
using loop::ControlOp;
enum Field : std::int64_t { kDepth = 0, kStream = 1, kCount = 2 };

class Emitter {
 public:
  Emitter(const Program& program, int id, ControlUnit& unit)
      : program_(program), id_(id), source_(program.functions[static_cast<std::size_t>(id)]), unit_(unit) {}

  loop::ControlFunction run() {
    out_.name = source_.name;
    out_.parameters = static_cast<int>(source_.params.size());
    // Parameters are the first registers, in order: that is how lowering numbers them.
    out_.registers = static_cast<int>(source_.types.size());
    place_.resize(source_.types.size());
    for (std::size_t v = 0; v < place_.size(); ++v) place_[v] = static_cast<std::int32_t>(v);
    for (std::size_t i = 0; i < source_.params.size(); ++i) {
      std::swap(place_[source_.params[i]], place_[swapped(static_cast<std::int32_t>(i))]);
    }
    block(source_.body, -1, true);
    return std::move(out_);
  }

 private:
  std::size_t swapped(std::int32_t place) const {
    for (std::size_t v = 0; v < place_.size(); ++v)
      if (place_[v] == place) return v;
    return 0;
  }
  std::int32_t reg(VarId v) const { return place_[v]; }
  std::int32_t fresh() { return out_.registers++; }
  std::size_t emit(ControlInstruction in) {
    out_.code.push_back(in);
    return out_.code.size() - 1;
  }
  std::int32_t constant(std::int64_t value) {
    const std::int32_t r = fresh();
    emit({ControlOp::constant, r, 0, 0, 0, value});
    return r;
  }
  std::int32_t get(const Atom& atom) {
    switch (atom.kind) {
      case Atom::Kind::var:
        return reg(atom.id);
      case Atom::Kind::global:
        return constant(-1 - static_cast<std::int64_t>(atom.id));
      case Atom::Kind::real:
        return constant(std::bit_cast<std::int64_t>(atom.real));
      default:
        return constant(atom.integer);
    }
  }
  std::int32_t list(const std::vector<std::int32_t>& registers) {
    const auto begin = static_cast<std::int32_t>(out_.operands.size());
    out_.operands.insert(out_.operands.end(), registers.begin(), registers.end());
    return begin;
  }
  void host(Host function, std::int64_t immediate, std::vector<std::int32_t> args,
            const std::vector<std::int32_t>& results) {
    const auto count = static_cast<std::int32_t>(args.size());
    args.insert(args.end(), results.begin(), results.end());
    emit({ControlOp::host, static_cast<std::int32_t>(function), list(args), count,
          static_cast<std::int32_t>(results.size()), immediate});
  }
  std::vector<std::int32_t> get_all(const std::vector<Atom>& atoms) {
    std::vector<std::int32_t> registers;
    for (const Atom& atom : atoms) registers.push_back(get(atom));
    return registers;
  }

  /// The block's value goes to `target`; in tail position it is the function's result.
  void block(const Block& b, std::int32_t target, bool tail) {
    for (std::size_t i = 0; i < b.stmts.size(); ++i) {
      const Stmt& s = b.stmts[i];
      const bool last =
          tail && i + 1 == b.stmts.size() && s.results.size() == 1 && b.result == Atom::var(s.results[0]);
      if (last && s.kind == Stmt::Kind::call && s.function == id_) {
        const std::vector<std::int32_t> args = get_all(s.args);
        emit({ControlOp::again, 0, list(args), static_cast<std::int32_t>(args.size())});
        return;
      }
      statement(s, last);
      if (last && (s.kind == Stmt::Kind::branch || s.kind == Stmt::Kind::match)) return;
    }
    const std::int32_t value = get(b.result);
    if (tail)
      emit({ControlOp::result, 0, value});
    else
      emit({ControlOp::move, target, value});
  }

  int type_of(const Stmt& s) {
    OpType type;
    if (s.kind == Stmt::Kind::add_n) {
      const Shape shape = resolved(source_.types[s.results[0]])->shape;
      type.cell.inputs.push_back({Cell::Input::Mode::lane, shape});
      type.cell.nodes.push_back({{OpKind::add_n, {}, 0}, {-1}, shape});
      type.cell.outputs = {0};
      type.globals = {-1};
      type.variadic = true;
    } else {
      type.cell = *s.cell;
      for (std::size_t i = 0; i < s.args.size(); ++i)
        type.globals.push_back(s.cell->inputs[i].mode == Cell::Input::Mode::shared
                                   ? static_cast<std::int64_t>(s.args[i].id)
                                   : -1);
    }
    for (std::size_t i = 0; i < unit_.types.size(); ++i)
      if (unit_.types[i].same_work(type)) return static_cast<int>(i);
    std::string content = to_string(type.cell);
    for (const Cell::Input& input : type.cell.inputs) content += to_string(input.shape);
    for (const std::int64_t global : type.globals)
      if (global >= 0) content += program_.globals[static_cast<std::size_t>(global)].name;
    // The name tells types of other models apart: learned policies are tied to it.
    type.name =
        fmt::format("{}.{}#{:08x}", source_.name, unit_.types.size(), checksum64(content) & 0xffffffff);
    unit_.types.push_back(std::move(type));
    return static_cast<int>(unit_.types.size()) - 1;
  }

  void statement(const Stmt& s, bool tail) {
    switch (s.kind) {
      case Stmt::Kind::node: {
        Site site{.type = type_of(s),
                  .operands = 0,
                  .results = static_cast<int>(s.results.size()),
                  .static_depth = s.static_depth,
                  .function = static_cast<std::uint32_t>(id_),
                  .line = s.line};
        std::vector<std::int32_t> args, results;
        for (std::size_t i = 0; i < s.args.size(); ++i) {
          const Cell::Input::Mode mode = s.cell->inputs[i].mode;
          if (mode == Cell::Input::Mode::shared) continue;
          if (mode == Cell::Input::Mode::keyed) site.keyed = static_cast<int>(args.size());
          args.push_back(get(s.args[i]));
        }
        for (const VarId v : s.results) results.push_back(reg(v));
        site.operands = static_cast<int>(args.size());
        unit_.sites.push_back(site);
        host(Host::append, static_cast<std::int64_t>(unit_.sites.size()) - 1, args, results);
        break;
      }
      case Stmt::Kind::add_n:
        unit_.sites.push_back({.type = type_of(s),
                               .operands = 1,
                               .results = 1,
                               .static_depth = s.static_depth,
                               .function = static_cast<std::uint32_t>(id_),
                               .line = s.line});
        host(Host::append_sum, static_cast<std::int64_t>(unit_.sites.size()) - 1, get_all(s.args),
             {reg(s.results[0])});
        break;
      case Stmt::Kind::call: {
        const std::vector<std::int32_t> args = get_all(s.args);
        emit({ControlOp::call, reg(s.results[0]), list(args), static_cast<std::int32_t>(args.size()), 0,
              s.function});
        break;
      }
      case Stmt::Kind::construct: {
        const std::vector<std::int32_t> args = get_all(s.args);
        const std::int32_t tag = constant(s.tag);
        emit({ControlOp::allocate, reg(s.results[0]), 0, 0, 0, static_cast<std::int64_t>(args.size()) + 1});
        emit({ControlOp::store, reg(s.results[0]), tag, 0, 0, 0});
        for (std::size_t i = 0; i < args.size(); ++i)
          emit({ControlOp::store, reg(s.results[0]), args[i], 0, 0, static_cast<std::int64_t>(i) + 1});
        break;
      }
      case Stmt::Kind::project:
        emit({ControlOp::load, reg(s.results[0]), get(s.args[0]), 0, 0, s.tag + 1});
        break;
      case Stmt::Kind::scalar:
        scalar(s);
        break;
      case Stmt::Kind::branch: {
        const std::size_t test = emit({ControlOp::jump_zero, 0, get(s.args[0])});
        out_.code[test].b = out_.code[test].b;
        block(s.blocks[0], reg(s.results[0]), tail);
        const std::size_t leave = tail ? 0 : emit({ControlOp::jump});
        out_.code[test].immediate = here();
        block(s.blocks[1], reg(s.results[0]), tail);
        if (!tail) out_.code[leave].immediate = here();
        break;
      }
      case Stmt::Kind::match:
        match(s, tail);
        break;
      case Stmt::Kind::concurrent:
        concurrent(s);
        break;
      case Stmt::Kind::item: {
        const Type type = resolved(source_.types[s.results[0]]);
        unit_.synchronises = true;
        host(type->kind == TypeNode::Kind::real ? Host::item_real : Host::item_integer, id_, get_all(s.args),
             {reg(s.results[0])});
        break;
      }
      case Stmt::Kind::random:
        host(Host::random, 0, get_all(s.args), {reg(s.results[0])});
        break;
      case Stmt::Kind::phase:
        host(Host::phase, 0, {}, {});
        break;
      case Stmt::Kind::ghost: {
        const std::int32_t depth = fresh(), more = constant(s.tag);
        emit({ControlOp::get, depth, 0, 0, 0, kDepth});
        emit({ControlOp::add, depth, depth, more});
        emit({ControlOp::set, 0, depth, 0, 0, kDepth});
        break;
      }
    }
  }
  std::int64_t here() const { return static_cast<std::int64_t>(out_.code.size()); }

  void scalar(const Stmt& s) {
    const std::int32_t to = reg(s.results[0]);
    const std::vector<std::int32_t> a = get_all(s.args);
    const auto both = [&](ControlOp whole, ControlOp real) { emit({s.real ? real : whole, to, a[0], a[1]}); };
    switch (s.scalar_op) {
      case ScalarOp::add:
        return both(ControlOp::add, ControlOp::real_add);
      case ScalarOp::sub:
        return both(ControlOp::sub, ControlOp::real_sub);
      case ScalarOp::mul:
        return both(ControlOp::mul, ControlOp::real_mul);
      case ScalarOp::less:
        return both(ControlOp::less, ControlOp::real_less);
      case ScalarOp::less_equal:
        return both(ControlOp::less_equal, ControlOp::real_less_equal);
      case ScalarOp::equal:
        return both(ControlOp::equal, ControlOp::real_equal);
      case ScalarOp::div:
        if (s.real)
          emit({ControlOp::real_div, to, a[0], a[1]});
        else
          host(Host::divide, s.line, a, {to});
        return;
      case ScalarOp::mod:
        return host(Host::remainder, s.line, a, {to});
      case ScalarOp::neg: {
        const std::int32_t zero = constant(s.real ? std::bit_cast<std::int64_t>(-0.0) : 0);
        emit({s.real ? ControlOp::real_sub : ControlOp::sub, to, zero, a[0]});
        return;
      }
      case ScalarOp::logical_not:
        emit({ControlOp::logical_not, to, a[0]});
        return;
      case ScalarOp::to_real:
        emit({ControlOp::to_real, to, a[0]});
        return;
      case ScalarOp::to_integer:
        emit({ControlOp::to_integer, to, a[0]});
        return;
    }
  }

  void match(const Stmt& s, bool tail) {
    const std::int32_t object = get(s.args[0]), tag = fresh(), same = fresh();
    emit({ControlOp::load, tag, object, 0, 0, 0});
    std::vector<std::size_t> leaves;
    for (std::size_t i = 0; i < s.blocks.size(); ++i) {
      std::size_t test = 0;
      const bool last = i + 1 == s.blocks.size();  // the arms are exhaustive
      if (!last) {
        const std::int32_t wanted = constant(s.tags[i]);
        emit({ControlOp::equal, same, tag, wanted});
        test = emit({ControlOp::jump_zero, 0, same});
      }
      for (std::size_t k = 0; k < s.binders[i].size(); ++k)
        emit({ControlOp::load, reg(s.binders[i][k]), object, 0, 0, static_cast<std::int64_t>(k) + 1});
      block(s.blocks[i], reg(s.results[0]), tail);
      if (!last) {
        if (!tail) leaves.push_back(emit({ControlOp::jump}));
        out_.code[test].immediate = here();
      }
    }
    for (const std::size_t leave : leaves) out_.code[leave].immediate = here();
  }

  void concurrent(const Stmt& s) {
    const std::int32_t start = fresh(), stream = fresh(), count = fresh(), most = fresh(), depth = fresh(),
                       later = fresh();
    emit({ControlOp::get, start, 0, 0, 0, kDepth});
    emit({ControlOp::move, most, start});
    if (unit_.draws) {
      emit({ControlOp::get, stream, 0, 0, 0, kStream});
      emit({ControlOp::get, count, 0, 0, 0, kCount});
    }
    std::vector<std::int32_t> handles(s.blocks.size(), -1);
    for (std::size_t i = 0; i < s.blocks.size(); ++i) {
      if (i > 0) emit({ControlOp::set, 0, start, 0, 0, kDepth});
      if (unit_.draws) host(Host::fork, static_cast<std::int64_t>(i), {stream, count}, {});
      std::size_t in_line = 0, beside = 0;
      const bool forked = i < s.forks.size() && s.forks[i];
      if (forked) {  // as a fiber of its own, or in line where the host has none left
        const Stmt& call = s.blocks[i].stmts[0];
        handles[i] = fresh();
        host(Host::spawn, call.function, get_all(call.args), {handles[i]});
        in_line = emit({ControlOp::jump_zero, 0, handles[i]});
        beside = emit({ControlOp::jump});
        out_.code[in_line].immediate = here();
      }
      block(s.blocks[i], reg(s.results[i]), false);
      emit({ControlOp::get, depth, 0, 0, 0, kDepth});
      emit({ControlOp::less, later, most, depth});
      const std::size_t test = emit({ControlOp::jump_zero, 0, later});
      emit({ControlOp::move, most, depth});
      out_.code[test].immediate = here();
      if (forked) out_.code[beside].immediate = here();
    }
    for (std::size_t i = 0; i < s.blocks.size(); ++i) {
      if (handles[i] < 0) continue;
      const std::size_t test = emit({ControlOp::jump_zero, 0, handles[i]});
      emit({ControlOp::set, 0, most, 0, 0, kDepth});
      host(Host::join, 0, {handles[i]}, {reg(s.results[i])});
      emit({ControlOp::get, most, 0, 0, 0, kDepth});
      out_.code[test].immediate = here();
    }
    emit({ControlOp::set, 0, most, 0, 0, kDepth});
    if (unit_.draws) {
      const std::int32_t one = constant(1);
      emit({ControlOp::add, count, count, one});
      emit({ControlOp::set, 0, stream, 0, 0, kStream});
      emit({ControlOp::set, 0, count, 0, 0, kCount});
    }
  }

  const Program& program_;
  int id_;
  const CoreFunction& source_;
  ControlUnit& unit_;
  loop::ControlFunction out_;
  std::vector<std::int32_t> place_;
};

}  // namespace

ControlUnit to_control(const Program& program) {
  ControlUnit unit;
  unit.entry = program.entry;
  for (const CoreFunction& f : program.functions) {
    unit.function_names.push_back(f.name);
    each_stmt(f.body, [&](const Stmt& s) { unit.draws |= s.kind == Stmt::Kind::random; });
  }
  for (std::size_t i = 0; i < program.functions.size(); ++i)
    unit.program.functions.push_back(Emitter(program, static_cast<int>(i), unit).run());
  return unit;
}

}  // namespace ballast::dynamic
