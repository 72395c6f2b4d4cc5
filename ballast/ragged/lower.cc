#include "ballast/ragged/lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "ballast/base/errors.h"

namespace ballast::ragged {

using namespace loop;

// ---- tables
// ---------------------------------------------------------------------------------------------------------

Expr Tables::scalar(const LengthFn& f) {
  for (std::size_t i = 0; i < scalars_.size(); ++i)
    if (scalars_[i].name == f.name())
      return loop::scalar(f.name(), static_cast<int>(i), scalars_[i].low, scalars_[i].high);
  scalars_.push_back({f.name(), f.low(), f.high()});
  return loop::scalar(f.name(), static_cast<int>(scalars_.size()) - 1, f.low(), f.high());
}

Buffer Tables::add(TableSpec spec, Expr extent, std::int64_t low, std::int64_t high) {
  for (const TableSpec& have : specs_)
    if (have.key == spec.key) return have.buffer;
  spec.buffer = aux_buffer(spec.name, static_cast<int>(specs_.size()), std::move(extent), low, high);
  specs_.push_back(spec);
  return spec.buffer;
}

Expr Tables::length(const LengthFn& f, const Expr& index, const Expr& count) {
  switch (f.kind()) {
    case LengthFn::Kind::constant:
      return f.apply(Expr());
    case LengthFn::Kind::scalar:
      return f.apply(scalar(f));
    case LengthFn::Kind::affine:
      return f.apply(index);
    case LengthFn::Kind::data:
      break;
  }
  TableSpec spec{
      TableSpec::Kind::length, f.name(), "length " + f.name(), {}, count, {}, {}, -1, 0, kNoMaximum};
  for (const TableSpec& have : specs_)
    if (have.key == spec.key) return f.apply(load(have.buffer, index));
  spec.low = f.base().low();
  spec.high = f.base().high();
  return f.apply(load(add(spec, count, spec.low, spec.high), index));
}

Buffer Tables::prefix(const std::string& name, const Expr& count, const Var& variable, const Expr& element) {
  // One name for the variable, so that equal functions have equal texts.
  const Var canonical = loop::variable("x");
  const Expr body = Substitution{{{variable.get(), canonical}}}(element);
  TableSpec spec{TableSpec::Kind::prefix,
                 fmt::format("{}.{}", name, specs_.size()),
                 "prefix " + to_text(count) + ": " + to_text(body),
                 {},
                 count,
                 canonical,
                 body,
                 -1,
                 0,
                 0};
  return add(spec, count + Expr(1), 0, kNoMaximum);
}

Buffer Tables::map(const Buffer& of) {
  TableSpec spec{TableSpec::Kind::map, of->name + ".fo", "map " + of->name, {}, {}, {}, {}, of->slot, 0, 0};
  return add(spec, Expr(), 0, kNoMaximum);
}

Buffer Tables::order(const std::string& kernel, const Expr& count) {
  TableSpec spec{TableSpec::Kind::order, kernel + ".order", "order " + kernel, {}, count, {}, {}, -1, 0, 0};
  return add(spec, count, 0, kNoMaximum);
}

// ---- storage
// --------------------------------------------------------------------------------------------------------

namespace {

/// The dimension graph of one tensor: who depends on whom, and the offset tables.
class Storage {
 public:
  Storage(Tables& tables, const Stage& t) : tables_(tables), t_(t), dependents_(t.axes.size()) {
    for (std::size_t j = 0; j < t.axes.size(); ++j)
      for (std::size_t i = 0; i < j; ++i)
        if (t.storage[j].of() && t.storage[j].of() == t.axes[i].dim) dependents_[i].push_back(j);
    for (std::size_t i = 0; i < t.axes.size(); ++i)
      if (!dependents_[i].empty() && t.storage[i].normal() != t.axes[i].extent.normal())
        throw CompileError(fmt::format(
            "{}, dimension {}, pad_storage: other extents depend on it, which have no value beyond its end",
            t.name, t.axes[i].dim->name));
  }

  Expr extent(std::size_t j, const std::vector<Expr>& index) {
    const LengthFn& f = t_.storage[j];
    return tables_.length(f, f.of() ? index[axis_of(f.of())] : Expr(),
                          f.of() ? most(axis_of(f.of())) : Expr());
  }

  /// The sum of the volumes of all slices before coordinate i, scaled by everything inside
  /// (specification 3.4).
  Expr term(std::size_t i, const Expr& at, const std::vector<Expr>& index) {
    std::set<std::size_t> handled;
    Expr c = at;
    if (!dependents_[i].empty()) {
      c = load(offsets(i), at);
      handled = transitive(i);
    }
    for (std::size_t j = i + 1; j < t_.axes.size(); ++j) {
      if (handled.contains(j)) continue;
      if (dependents_[j].empty()) {
        c = c * extent(j, index);
      } else {
        c = c * load(offsets(j), extent(j, index));
        const auto more = transitive(j);
        handled.insert(more.begin(), more.end());
      }
    }
    return c;
  }

  std::size_t axis_of(const Dim& d) const {
    for (std::size_t i = 0; i < t_.axes.size(); ++i)
      if (t_.axes[i].dim == d) return i;
    throw CompileError(fmt::format("{} has no dimension {}", t_.name, d->name));
  }

  /// An upper bound of a dimension's extent that depends on no index.
  Expr most(std::size_t i) {
    const LengthFn& f = t_.axes[i].extent;
    if (!f.of()) return tables_.length(f, Expr(), Expr());
    return Expr(f.high());
  }

 private:
  std::set<std::size_t> transitive(std::size_t i) const {
    std::set<std::size_t> all;
    for (const std::size_t d : dependents_[i]) {
      all.insert(d);
      const auto more = transitive(d);
      all.insert(more.begin(), more.end());
    }
    return all;
  }

  Buffer offsets(std::size_t i) {
    const Var x = loop::variable("x");
    Expr product = 1;
    for (const std::size_t d : dependents_[i]) {
      const Expr length = tables_.length(t_.storage[d], x, most(i));
      product = product * (dependents_[d].empty() ? length : load(offsets(d), length));
    }
    return tables_.prefix("offset", most(i), x, product);
  }

  Tables& tables_;
  const Stage& t_;
  std::vector<std::vector<std::size_t>> dependents_;
};

}  // namespace

Expr position(Tables& tables, const Stage& tensor, const std::vector<Expr>& index) {
  Storage storage(tables, tensor);
  Expr sum = 0;
  for (std::size_t i = 0; i < tensor.axes.size(); ++i) sum = sum + storage.term(i, index[i], index);
  return sum;
}

Expr volume(Tables& tables, const Stage& tensor) {
  if (tensor.axes.empty()) return 1;
  Storage storage(tables, tensor);
  // The first dimension's extent as its coordinate. What lies inside and depends on it is in its table.
  std::vector<Expr> index(tensor.axes.size(), Expr(0));
  return storage.term(0, storage.extent(0, index), index);
}

// ---- stages
// ---------------------------------------------------------------------------------------------------------

namespace {

bool multiple_of(const Expr& e, std::int64_t m) {
  switch (e->op) {
    case Op::integer:
      return e->integer % m == 0;
    case Op::mul:
      return multiple_of(e->args[0], m) || multiple_of(e->args[1], m);
    case Op::add:
    case Op::sub:
    case Op::min:
    case Op::max:
      return multiple_of(e->args[0], m) && multiple_of(e->args[1], m);
    default:
      return false;
  }
}

/// The factor of a variable in an expression linear in it; empty when it is not linear.
std::optional<Expr> coefficient(const Expr& e, const ExprNode* v) {
  if (e.get() == v) return Expr(1);
  if (!depends_on(e, v)) return Expr(0);
  if (e->op == Op::add || e->op == Op::sub) {
    const auto a = coefficient(e->args[0], v), b = coefficient(e->args[1], v);
    if (!a || !b) return std::nullopt;
    return e->op == Op::add ? *a + *b : *a - *b;
  }
  if (e->op == Op::mul) {
    for (std::size_t side = 0; side < 2; ++side) {
      if (depends_on(e->args[1 - side], v)) continue;
      if (const auto c = coefficient(e->args[side], v)) return *c * e->args[1 - side];
    }
  }
  return std::nullopt;
}

}  // namespace

/// Lowers one stage: walks the leaf loops from the outermost, keeps the values of all loops that are
/// determined, and leaves guards, lets and searches where they become possible.
class StageLowering {
 public:
  StageLowering(Tables& tables, const Schedule& s)
      : tables_(tables), s_(s), stage_(*s.stage()), target_(stage_.target ? *stage_.target : stage_) {}

  LoweredKernel run() {
    bind_operands();
    find_unguarded();
    wrap_.resize(s_.leaves_.size());
    for (std::size_t p = 0; p < s_.leaves_.size(); ++p) {
      const int id = s_.leaves_[p];
      extents_.push_back(bound(extent(id), info(id).name + ".n"));
      vars_.push_back(loop::variable(info(id).name));
      set_value(id, vars_.back());
    }
    LoweredKernel out;
    Function& f = out.function;
    f.signature.name = stage_.name;
    for (std::size_t i = 0; i < operands_.size(); ++i)
      f.signature.operands.push_back(
          {operands_[i]->name, DType::f32, Access::Ragged, i + 1 == operands_.size(), -1});
    const bool tasks = s_.parallel_ >= 0;
    if (tasks && s_.leaves_[0] != s_.parallel_)
      refuse(s_.parallel_, "parallel", "it is not the outermost loop; reorder it to the front");
    Stmt body = nest(tasks ? 1 : 0);
    if (tasks) {
      for (std::size_t i = wrap_[0].size(); i-- > 0;) body = wrap_[0][i](body);
      body = with_outside(body);
      f.task = vars_[0];
      f.num_tasks = inlined(extents_[0]);
      Expr cost = 1;
      for (std::size_t p = 1; p < extents_.size(); ++p) {
        Expr e = inlined(extents_[p]);
        for (std::size_t q = 1; q < p; ++q) e = Substitution{{{vars_[q].get(), Expr(0)}}}(e);
        // What only a search inside the task finds is left out of the model.
        if (!other_variable(e, vars_[0].get())) cost = cost * max(e, Expr(1));
      }
      f.task_cost = clamped(cost);
      if (s_.remap_) {
        const Buffer order = tables_.order(stage_.name, f.num_tasks);
        const Var task = loop::variable("task");
        body = let(vars_[0], load(order, task), body);
        f.task_cost = Substitution{{{vars_[0].get(), load(order, task)}}}(f.task_cost);
        f.task = task;
        out.order_table = order->slot;
      }
    } else {
      f.task = loop::variable("task");
      f.num_tasks = Expr(1);
      body = with_outside(body);
    }
    f.body = body;
    out.operands = operands_;
    out.guards = guards_;
    return out;
  }

 private:
  using Info = Schedule::Info;
  const Info& info(int id) const { return s_.loops_[static_cast<std::size_t>(id)]; }
  [[noreturn]] void refuse(int id, const char* primitive, const std::string& why) const {
    s_.refuse(primitive, {id}, why);
  }

  // ---- loops ----

  const Axis& axis(int id) const {
    return (info(id).reduction ? stage_.definition.reduce
                               : stage_.axes)[static_cast<std::size_t>(info(id).axis)];
  }

  /// Where the loop of a dimension begins (operation splitting), as a length function; null: at zero.
  const LengthFn* begin_of(int id) const {
    if (stage_.split_from.empty() || info(id).reduction != stage_.split_reduction ||
        info(id).axis != stage_.split_axis)
      return nullptr;
    return &stage_.split_from[0];
  }

  int root_of(const Dim& d) const { return s_[d].id; }

  Expr length_at(const LengthFn& f, int id) {
    if (!f.of()) return tables_.length(f, Expr(), Expr());
    const int outer = root_of(f.of());
    const auto found = value_.find(outer);
    if (found == value_.end()) {
      missing_ = outer;
      refuse(id, "bounds",
             fmt::format("its extent depends on {}, which is not fixed outside it; keep {} (or the loops it "
                         "was cut into) outside",
                         f.of()->name, f.of()->name));
    }
    const LengthFn& count = axis(outer).extent;
    return tables_.length(f, found->second,
                          count.of() ? Expr(count.high()) : tables_.length(count, Expr(), Expr()));
  }

  Expr unpadded(int id) {
    const LengthFn* begin = begin_of(id);
    Expr e = length_at(axis(id).extent, id);
    return begin ? max(e - length_at(*begin, id), Expr(0)) : e;
  }

  Expr extent(int id) {
    const Info& i = info(id);
    switch (i.kind) {
      case Schedule::Kind::root: {
        const Expr e = unpadded(id);
        return i.padding == 1 ? e : ceil_mult(e, i.padding);
      }
      case Schedule::Kind::outer:
        return ceil_div(extent(i.parent), i.factor);
      case Schedule::Kind::inner: {
        const Expr whole = extent(i.parent);
        if (multiple_of(whole, i.factor)) return Expr(i.factor);  // proved: no tail
        if (const auto outer = value_.find(i.sibling); outer != value_.end())
          return min(Expr(i.factor), whole - outer->second * Expr(i.factor));
        full_.insert(id);  // runs to the full factor: guarded when both parts are known
        return Expr(i.factor);
      }
      case Schedule::Kind::fused: {
        const auto fused = fusion(id);
        return fused.prefix ? load(fused.prefix, extent(i.first)) : extent(i.first) * extent(i.second);
      }
    }
    return {};
  }

  struct Fusion {
    Buffer prefix;  ///< null: the inner extent does not depend on the outer index
  };
  Fusion fusion(int id) {
    const Info& i = info(id);
    missing_ = -1;
    try {
      extent(i.second);
      return {};
    } catch (const CompileError&) {
      if (missing_ != i.first) throw;
    }
    // The inner extent as a function of the outer index, summed up by the prelude.
    const Var x = loop::variable("x");
    const LengthFn* begin = info(i.first).kind == Schedule::Kind::root ? begin_of(i.first) : nullptr;
    value_[i.first] = begin ? x + length_at(*begin, i.first) : x;
    const Expr element = extent(i.second);
    value_.erase(i.first);
    const Expr count = extent(i.first);
    if (other_variable(element, x.get()) || other_variable(count, nullptr))
      refuse(id, "fuse", "its extents depend on a loop outside both; fuse the outer pair first");
    return {tables_.prefix("fused", count, x, element)};
  }

  static bool other_variable(const Expr& e, const ExprNode* allowed) {
    if (e->op == Op::variable) return e.get() != allowed;
    return std::any_of(e->args.begin(), e->args.end(),
                       [&](const Expr& a) { return other_variable(a, allowed); });
  }

  // ---- values ----

  /// Load hoisting: binds an expression that reads tables at the outermost loop that determines its index.
  Expr bound(const Expr& e, const std::string& name) {
    if (!s_.hoist_ || !reads_memory(e)) return e;
    const std::string key = to_text(inlined(e));
    if (const auto have = bindings_.find(key); have != bindings_.end()) return have->second;
    const std::size_t depth = depth_of(e);
    const Var v = loop::variable(name);
    lets_.push_back({v, e, depth});
    bindings_.emplace(key, v);
    wrap_at(depth, [v, e](Stmt body) { return let(v, e, body); });
    return v;
  }

  /// The cost model runs without the kernel's guards: its table reads are kept inside the tables.
  static Expr clamped(const Expr& e) {
    if (e->args.empty()) return e;
    std::vector<Expr> args;
    for (const Expr& a : e->args) args.push_back(clamped(a));
    if (e->op == Op::load) {
      const Expr& extent = e->buffer->extent;
      return load(e->buffer, extent ? max(min(args[0], extent - Expr(1)), Expr(0)) : args[0]);
    }
    return e->op == Op::cast ? cast(e->type, args[0]) : make(e->op, std::move(args));
  }

  std::size_t depth_of(const Expr& e) const {
    std::size_t depth = 0;
    for (std::size_t p = 0; p < vars_.size(); ++p)
      if (depends_on(e, vars_[p].get())) depth = p + 1;
    for (const Let& l : lets_)
      if (depends_on(e, l.var.get())) depth = std::max(depth, l.depth);
    for (const auto& [var, at] : found_)
      if (depends_on(e, var.get())) depth = std::max(depth, at);
    return depth;
  }

  /// Every table read inside an expression, bound.
  Expr hoisted(const Expr& e) {
    if (!s_.hoist_ || e->args.empty()) return e;
    std::vector<Expr> args;
    for (const Expr& a : e->args) args.push_back(hoisted(a));
    Expr copy;
    if (e->op == Op::load) {
      auto n = std::make_shared<ExprNode>(*e.get());
      n->args = std::move(args);
      copy = Expr(n);
      if (e->buffer->space == Space::aux) return bound(copy, e->buffer->name + ".v");
    } else {
      copy = e->op == Op::cast ? cast(e->type, args[0]) : make(e->op, std::move(args));
    }
    return copy;
  }

  static bool reads_memory(const Expr& e) {
    if (e->op == Op::load) return true;
    return std::any_of(e->args.begin(), e->args.end(), [](const Expr& a) { return reads_memory(a); });
  }

  /// `depth` loops are open. Depth 0 is outside all of them.
  void wrap_at(std::size_t depth, std::function<Stmt(Stmt)> f) {
    if (depth == 0) {
      outside_.push_back(std::move(f));
    } else {
      wrap_[depth - 1].push_back(std::move(f));
    }
  }

  Expr inlined(Expr e) const {
    for (std::size_t i = lets_.size(); i-- > 0;) e = Substitution{{{lets_[i].var.get(), lets_[i].value}}}(e);
    return e;
  }

  void guard(const Expr& condition, int id) {
    if (s_.elide_)
      refuse(id, "elide_guards",
             "the condition " + to_text(condition) +
                 " cannot be proved; pad the storage of every tensor that it protects");
    guards_.push_back(to_text(inlined(condition)));
    wrap_at(vars_.size(), [condition](Stmt body) { return branch(condition, body); });
  }

  void set_value(int id, const Expr& v) {
    const Info& i = info(id);
    value_[id] = v;
    if (i.kind == Schedule::Kind::fused) {
      const Fusion f = fusion(id);
      if (f.prefix) {
        Expr outer = s_.maps_ == FuseMaps::table ? load(tables_.map(f.prefix), v)
                                                 : search(f.prefix, extent(i.first), v);
        outer = bound(outer, info(i.first).name);
        set_value(i.first, outer);
        set_value(i.second, bound(v - load(f.prefix, outer), info(i.second).name));
      } else {
        const Expr inner = extent(i.second);
        set_value(i.first, floordiv(v, inner));
        set_value(i.second, floormod(v, inner));
      }
      return;
    }
    if (i.kind == Schedule::Kind::outer || i.kind == Schedule::Kind::inner) {
      const auto other = value_.find(i.sibling);
      if (other == value_.end()) return;
      const Expr& outer = i.kind == Schedule::Kind::outer ? v : other->second;
      const Expr& inner = i.kind == Schedule::Kind::outer ? other->second : v;
      const Expr whole = outer * Expr(i.factor) + inner;
      const int inner_id = i.kind == Schedule::Kind::inner ? id : i.sibling;
      if (full_.contains(inner_id)) guard(whole < extent(i.parent), i.parent);
      set_value(i.parent, whole);
      return;
    }
    // A root: its value is the element's index along the dimension.
    if (const LengthFn* begin = begin_of(id)) value_[id] = v + length_at(*begin, id);
    if (i.padding != 1 && !unguarded_.contains(id)) guard(v < unpadded(id), id);
  }

  /// Largest o with prefix[o] <= v by halving steps; empty slices are passed over.
  Expr search(const Buffer& prefix, const Expr& count, const Expr& v) {
    const Buffer found = local_buffer("found", DType::i64, 1);
    const Var step = loop::variable("step"), result = loop::variable("o");
    const Buffer power = local_buffer("power", DType::i64, 1);
    constexpr std::int64_t kBits = 24;
    const Expr candidate = load(found, 0) + load(power, 0);
    const Stmt probe =
        branch(candidate < count, branch(load(prefix, candidate) <= v, store(found, 0, candidate)));
    wrap_at(vars_.size(), [=](Stmt body) {
      return allocate(
          found,
          allocate(power,
                   block({store(found, 0, Expr(0)), store(power, 0, Expr(std::int64_t{1} << (kBits - 1))),
                          loop::loop(step, 0, Expr(kBits),
                                     block({probe, store(power, 0, floordiv(load(power, 0), Expr(2)))})),
                          let(result, load(found, 0), body)})));
    });
    found_.emplace_back(result, vars_.size());
    return result;
  }

  // ---- bodies ----

  void bind_operands() {
    std::set<const BufferNode*> seen;
    const std::function<void(const Expr&)> visit = [&](const Expr& e) {
      for (const Expr& a : e->args) visit(a);
      if (e->op == Op::load && seen.insert(e->buffer.get()).second) {
        const Tensor t = find_tensor(e->buffer);
        operands_.push_back(t);
        buffers_[e->buffer.get()] = operand_buffer(
            t->name, DType::f32, static_cast<int>(operands_.size()) - 1, volume(tables_, *t), Access::Ragged);
      }
    };
    visit(stage_.definition.value);
    if (stage_.definition.epilogue) visit(stage_.definition.epilogue(real(0)));
    operands_.push_back(stage_.target ? stage_.target : s_.stage());
    output_ = operand_buffer(target_.name, DType::f32, static_cast<int>(operands_.size()) - 1,
                             volume(tables_, target_), Access::Ragged);
  }

  static Tensor find_tensor(const Buffer& placeholder) {
    BALLAST_CHECK(placeholder->space == Space::tensor,
                  placeholder->name + " is read by a flat index in a stage's expression");
    Tensor owner = static_cast<const TensorBuffer*>(placeholder.get())->owner.lock();
    if (!owner) throw CompileError("tensor " + placeholder->name + " no longer exists");
    return owner;
  }

  /// A stage's expression with indices in place of its variables and flat positions in place of tensor reads.
  Expr flat(const Expr& e) {
    if (e->args.empty()) return e;
    std::vector<Expr> args;
    for (const Expr& a : e->args) args.push_back(flat(a));
    if (e->op == Op::load) {
      const auto found = buffers_.find(e->buffer.get());
      if (found == buffers_.end()) {  // a table
        auto n = std::make_shared<ExprNode>(*e.get());
        n->args = std::move(args);
        return Expr(n);
      }
      return load(found->second,
                  position(tables_, *operands_[static_cast<std::size_t>(found->second->slot)], args));
    }
    if (e->op == Op::cast) return cast(e->type, args[0]);
    return make(e->op, std::move(args));
  }

  Substitution indices() const {
    Substitution s;
    for (std::size_t a = 0; a < stage_.axes.size(); ++a)
      s.pairs.emplace_back(stage_.vars[a].get(), value_.at(root_of(stage_.axes[a].dim)));
    for (std::size_t r = 0; r < stage_.definition.reduce.size(); ++r)
      if (const auto v = value_.find(root_of(stage_.definition.reduce[r].dim)); v != value_.end())
        s.pairs.emplace_back(stage_.definition.reduce_vars[r].get(), v->second);
    return s;
  }

  Expr target_position() {
    std::vector<Expr> index;
    for (const Axis& a : stage_.axes) index.push_back(value_.at(root_of(a.dim)));
    return position(tables_, target_, index);
  }

  /// Padded spatial loops whose surplus is provably harmless: every tensor touched has room for it, and the
  /// surplus rows of the output are no real element's.
  void find_unguarded() {
    for (std::size_t a = 0; a < stage_.axes.size(); ++a) {
      const int id = root_of(stage_.axes[a].dim);
      if (info(id).padding == 1 || begin_of(id)) continue;
      const LengthFn padded = stage_.axes[a].extent.ceil_mult(info(id).padding);
      bool safe = padded.provably_at_most(target_.storage[a]) &&
                  std::none_of(stage_.axes.begin(), stage_.axes.end(),
                               [&](const Axis& other) { return other.extent.of() == stage_.axes[a].dim; });
      const std::function<void(const Expr&)> visit = [&](const Expr& e) {
        for (const Expr& x : e->args) visit(x);
        if (e->op != Op::load) {
          // Used as a number: computing with it is harmless.
          return;
        }
        const auto found = buffers_.find(e->buffer.get());
        if (found == buffers_.end()) return;
        const Stage& t = *operands_[static_cast<std::size_t>(found->second->slot)];
        for (std::size_t k = 0; k < e->args.size(); ++k) {
          if (!depends_on(e->args[k], stage_.vars[a].get())) continue;
          safe &= e->args[k].get() == stage_.vars[a].get() && padded.provably_at_most(t.storage[k]);
          for (const LengthFn& f : t.storage) safe &= f.of() != t.axes[k].dim;
        }
      };
      visit(stage_.definition.value);
      if (stage_.definition.epilogue) visit(stage_.definition.epilogue(real(0)));
      if (safe) unguarded_.insert(id);
    }
  }

  Stmt open(std::size_t p, Stmt body) {
    for (std::size_t i = wrap_[p].size(); i-- > 0;) body = wrap_[p][i](body);
    return loop::loop(vars_[p], 0, extents_[p], body, info(s_.leaves_[p]).annotation,
                      info(s_.leaves_[p]).name);
  }

  /// Loops [from, ...) around the element's computation. With a reduction, the loops inside its outermost
  /// loop are written three times: start, update, epilogue.
  Stmt nest(std::size_t from) {
    const std::size_t n = s_.leaves_.size();
    std::size_t r = from;
    while (r < n && !info(s_.leaves_[r]).reduction) ++r;
    const Definition& d = stage_.definition;
    const Expr at = hoisted(target_position());
    Stmt s;
    if (d.reduce.empty()) {
      s = store(output_, at, hoisted(flat(indices()(d.value))));
      for (std::size_t p = n; p-- > from;) s = open(p, s);
    } else {
      if (s_.micro_[0] >= 0) return product(from, at);
      const auto spatial = [&](Stmt inner, std::size_t start) {
        for (std::size_t p = n; p-- > start;)
          if (!info(s_.leaves_[p]).reduction) inner = open(p, inner);
        return inner;
      };
      check_spatial_inside(r);
      Stmt update = accumulate(output_, at, d.combine, hoisted(flat(indices()(d.value))));
      for (std::size_t p = n; p-- > r;) update = open(p, update);
      std::vector<Stmt> parts;
      if (!stage_.adds) parts.push_back(spatial(store(output_, at, real(identity_of(d.combine))), r));
      parts.push_back(update);
      if (d.epilogue)
        parts.push_back(
            spatial(store(output_, at, hoisted(flat(indices()(d.epilogue(load_output(at)))))), r));
      s = block(parts);
      for (std::size_t p = r; p-- > from;) s = open(p, s);
    }
    return s;
  }

  Expr load_output(const Expr& at) {
    // The placeholder of the accumulated value: flat() leaves it alone, since it is no tensor of a stage.
    return load(output_, at);
  }

  /// The copies of the spatial loops around start and epilogue must not need the reduction's index.
  void check_spatial_inside(std::size_t r) {
    for (std::size_t p = r; p < s_.leaves_.size(); ++p) {
      if (info(s_.leaves_[p]).reduction) continue;
      for (std::size_t q = r; q < s_.leaves_.size(); ++q)
        if (info(s_.leaves_[q]).reduction && depends_on(inlined(extents_[p]), vars_[q].get()))
          refuse(s_.leaves_[p], "reorder", "its extent depends on the reduction outside it");
    }
  }

  Stmt with_outside(Stmt s) {
    for (std::size_t i = outside_.size(); i-- > 0;) s = outside_[i](s);
    return s;
  }

  Stmt product(std::size_t from, const Expr& at) {
    const std::size_t n = s_.leaves_.size();
    const Definition& d = stage_.definition;
    for (std::size_t i = 0; i < 3; ++i)
      if (n < 3 || s_.leaves_[n - 3 + i] != s_.micro_[i])
        refuse(s_.micro_[i], "microkernel",
               "rows, columns and reduction must be the three innermost loops, in this order");
    for (std::size_t p = 0; p + 1 < n; ++p)
      if (info(s_.leaves_[p]).reduction)
        refuse(s_.leaves_[p], "microkernel", "the product needs the whole reduction in one loop");
    if (d.combine != Combine::sum || d.value->op != Op::mul || d.value->args[0]->op != Op::load ||
        d.value->args[1]->op != Op::load)
      refuse(s_.micro_[2], "microkernel", "the stage is no sum of products of two tensors");
    if (n - 3 < from) refuse(s_.micro_[0], "microkernel", "its rows are the parallel loop; split them first");
    for (std::size_t p = n - 3; p < n; ++p)
      if (!wrap_[p].empty())
        refuse(s_.leaves_[p], "microkernel",
               "a guard or a search lies inside; use exact tails and no fused inner loops");
    const Var i = vars_[n - 3], j = vars_[n - 2], k = vars_[n - 1];
    const Expr factors[2] = {hoisted(flat(indices()(d.value->args[0]))),
                             hoisted(flat(indices()(d.value->args[1])))};
    const std::size_t a = depends_on(factors[0]->args[0], i.get()) ? 0 : 1;
    const Expr &pa = factors[a]->args[0], &pb = factors[1 - a]->args[0];
    const auto stride = [&](const Expr& e, const Var& v, const char* what) {
      const auto c = coefficient(e, v.get());
      if (!c) refuse(s_.micro_[0], "microkernel", std::string(what) + " is not linear in " + v->name);
      return *c;
    };
    if (depends_on(pa, j.get()) || depends_on(pb, i.get()))
      refuse(s_.micro_[0], "microkernel", "one factor depends on both rows and columns");
    if (!is_integer(stride(pa, k, "the left factor"), 1))
      refuse(s_.micro_[2], "microkernel", "the left factor is not contiguous along the reduction");
    if (!is_integer(stride(at, j, "the result"), 1))
      refuse(s_.micro_[1], "microkernel", "the result is not contiguous along the columns");
    const Substitution zero{{{i.get(), Expr(0)}, {j.get(), Expr(0)}, {k.get(), Expr(0)}}};
    GemmCall g;
    g.m = extents_[n - 3];
    g.n = extents_[n - 2];
    g.k = extents_[n - 1];
    for (const Expr* e : {&g.m, &g.n, &g.k})
      for (const Var* v : {&i, &j, &k})
        if (depends_on(*e, v->get())) refuse(s_.micro_[0], "microkernel", "the tile is no rectangle");
    g.a = factors[a]->buffer;
    g.a_offset = zero(pa);
    g.a_stride = stride(pa, i, "the left factor");
    g.b = factors[1 - a]->buffer;
    g.b_offset = zero(pb);
    const Expr along_k = stride(pb, k, "the right factor"), along_j = stride(pb, j, "the right factor");
    if (is_integer(along_k, 1)) {
      g.b_transposed = true;
      g.b_stride = along_j;
    } else if (is_integer(along_j, 1)) {
      g.b_stride = along_k;
    } else {
      refuse(s_.micro_[1], "microkernel",
             "the right factor is contiguous along neither columns nor reduction");
    }
    g.c = output_;
    g.c_offset = zero(at);
    g.c_stride = stride(at, i, "the result");
    g.accumulate = stage_.adds;
    std::vector<Stmt> parts{gemm(g)};
    if (d.epilogue) {
      Stmt e = store(output_, at, hoisted(flat(indices()(d.epilogue(load_output(at))))));
      e = loop::loop(j, 0, g.n, e, LoopKind::vector, info(s_.micro_[1]).name);
      parts.push_back(loop::loop(i, 0, g.m, e, LoopKind::serial, info(s_.micro_[0]).name));
    }
    Stmt s = block(parts);
    for (std::size_t p = n - 3; p-- > from;) s = open(p, s);
    return s;
  }

  Tables& tables_;
  const Schedule& s_;
  const Stage& stage_;
  const Stage& target_;
  std::vector<Tensor> operands_;
  std::map<const BufferNode*, Buffer> buffers_;
  Buffer output_;
  std::map<int, Expr> value_;
  std::set<int> unguarded_, full_;
  std::vector<Expr> extents_;
  std::vector<Var> vars_;
  std::vector<std::vector<std::function<Stmt(Stmt)>>> wrap_;
  std::vector<std::function<Stmt(Stmt)>> outside_;
  struct Let {
    Var var;
    Expr value;
    std::size_t depth;
  };
  std::vector<Let> lets_;
  std::map<std::string, Expr> bindings_;
  std::vector<std::pair<Var, std::size_t>>
      found_;  ///< results of searches and the depth at which they are known
  std::vector<std::string> guards_;
  int missing_ = -1;
};

LoweredKernel lower(Tables& tables, const Schedule& schedule) {
  return StageLowering(tables, schedule).run();
}

}  // namespace ballast::ragged
