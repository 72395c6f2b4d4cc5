// Lowering of a stage: extents and values of its loops, table loads, guards.
#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/ragged/stage_lowering.h"

namespace ballast::ragged {

using namespace loop;

void StageLowering::refuse(int id, const char* primitive, const std::string& why) const {
  s_.refuse(primitive, {id}, why);
}

const Axis& StageLowering::axis(int id) const {
  return (info(id).reduction ? stage_.definition.reduce
                             : stage_.axes)[static_cast<std::size_t>(info(id).axis)];
}

const LengthFn* StageLowering::begin_of(int id) const {
  if (stage_.split_from.empty() || info(id).reduction != stage_.split_reduction ||
      info(id).axis != stage_.split_axis)
    return nullptr;
  return &stage_.split_from[0];
}

Expr StageLowering::length_at(const LengthFn& f, int id) {
  std::vector<Axis> axes;
  std::vector<Expr> index;
  for (const Dim& d : f.all_of()) {
    const int outer = root_of(d);
    const auto found = value_.find(outer);
    if (found == value_.end()) {
      missing_ = outer;
      refuse(id, "bounds",
             fmt::format("its extent depends on {}, which is not fixed outside it; keep {} (or the loops it "
                         "was cut into) outside",
                         d->name, d->name));
    }
    if (virtual_.contains(outer) && !prelude_)
      refuse(id, "fuse",
             fmt::format(
                 "its extent depends on {}, and the slice that bulk padding adds behind the last one has "
                 "no length",
                 d->name));
    axes.push_back(axis(outer));
    index.push_back(found->second);
  }
  return extent_at(tables_, f, axes, index);
}

Expr StageLowering::unpadded(int id) {
  const LengthFn* begin = begin_of(id);
  Expr e = length_at(axis(id).extent, id);
  return begin ? max(e - length_at(*begin, id), Expr(0)) : e;
}

Expr StageLowering::extent(int id) {
  const Info& i = info(id);
  switch (i.kind) {
    case Schedule::Kind::root: {
      const Expr e = unpadded(id);
      return i.padding == 1 ? e : ceil_mult(e, i.padding);
    }
    case Schedule::Kind::outer: {
      const Expr whole = extent(i.parent);
      // With the inner part known outside, the pieces that have an element at it.
      if (const auto inner = value_.find(i.sibling); inner != value_.end()) {
        exact_.insert(id);
        return max(ceil_div(whole - inner->second, i.factor), Expr(0));
      }
      exact_.erase(id);
      return ceil_div(whole, i.factor);
    }
    case Schedule::Kind::inner: {
      const Expr whole = extent(i.parent);
      const Expr rest = floormod(inlined(whole), Expr(i.factor));
      if (is_integer(simplify(rest, facts_), 0)) {  // proved: no tail
        proofs_.push_back({facts_.conditions(), equal(rest, Expr(0))});
        return Expr(i.factor);
      }
      if (const auto outer = value_.find(i.sibling); outer != value_.end())
        return min(Expr(i.factor), whole - outer->second * Expr(i.factor));
      full_.insert(id);  // runs to the full factor: guarded when both parts are known
      return Expr(i.factor);
    }
    case Schedule::Kind::fused: {
      const auto fused = fusion(id);
      const Expr total = fused.prefix ? load(fused.prefix, fused.count) : extent(i.first) * extent(i.second);
      return i.bulk == 1 ? total : ceil_mult(total, i.bulk);
    }
  }
  return {};
}

bool StageLowering::below(int loop, int id) const {
  if (loop == id) return true;
  const Info& i = info(id);
  return i.kind == Schedule::Kind::fused && (below(loop, i.first) || below(loop, i.second));
}

void StageLowering::assume(int id, const Expr& v) {
  const Info& i = info(id);
  const LengthFn* begin = i.kind == Schedule::Kind::root ? begin_of(id) : nullptr;
  value_[id] = begin ? v + length_at(*begin, id) : v;
  if (i.kind != Schedule::Kind::fused) return;
  const Fusion f = fusion(id);
  if (f.prefix) {
    const Expr outer = load(tables_.map(f.prefix, 1), v);
    assume(i.first, outer);
    assume(i.second, v - load(f.prefix, outer));
  } else {
    const Expr inner = extent(i.second);
    assume(i.first, floordiv(v, inner));
    assume(i.second, floormod(v, inner));
  }
}

StageLowering::Fusion StageLowering::fusion(int id) {
  const Info& i = info(id);
  missing_ = -1;
  try {
    extent(i.second);
    return {};
  } catch (const CompileError&) {
    if (missing_ < 0 || !below(missing_, i.first)) throw;
  }
  // The inner extent as a function of the outer index, summed up by the prelude.
  const Var x = loop::variable("x");
  const auto values = value_;
  const bool outside = prelude_;
  prelude_ = true;
  assume(i.first, x);
  const Expr element = simplify(inlined(extent(i.second)));
  value_ = values;
  const Expr count = inlined(extent(i.first));
  prelude_ = outside;
  if (other_variable(element, x.get()) || other_variable(count, nullptr))
    refuse(id, "fuse", "its extents depend on a loop outside both; fuse the outer pair first");
  const Buffer prefix = tables_.prefix("fused", count, {x}, {count}, element);
  return {prefix, count};
}

bool StageLowering::other_variable(const Expr& e, const ExprNode* allowed) {
  if (e->op == Op::variable) return e.get() != allowed;
  return std::any_of(e->args.begin(), e->args.end(),
                     [&](const Expr& a) { return other_variable(a, allowed); });
}

Expr StageLowering::bound(const Expr& e, const std::string& name) {
  if (!s_.hoist_ || !reads_memory(e)) return e;
  const std::string key = to_text(inlined(e));
  if (const auto have = bindings_.find(key); have != bindings_.end()) return have->second;
  const std::size_t depth = depth_of(e);
  const Var v = loop::variable(name);
  lets_.push_back({v, e, depth});
  bindings_.emplace(key, v);
  wrap_at(depth, [v, e](Stmt body) { return let(v, e, body); });
  if (depth > 0) --hard_[depth];  // a let that nothing uses may be left out
  return v;
}

Expr StageLowering::clamped(const Expr& e) {
  if (e->args.empty()) return e;
  std::vector<Expr> args;
  for (const Expr& a : e->args) args.push_back(clamped(a));
  if (e->op == Op::load) {
    const Expr& extent = e->buffer->extent;
    return load(e->buffer, extent ? max(min(args[0], extent - Expr(1)), Expr(0)) : args[0]);
  }
  return e->op == Op::cast ? cast(e->type, args[0]) : make(e->op, std::move(args));
}

std::size_t StageLowering::depth_of(const Expr& e) const {
  std::size_t depth = 0;
  for (std::size_t p = 0; p < vars_.size(); ++p)
    if (depends_on(e, vars_[p].get())) depth = p + 1;
  for (const Let& l : lets_)
    if (depends_on(e, l.var.get())) depth = std::max(depth, l.depth);
  for (const auto& [var, at] : found_)
    if (depends_on(e, var.get())) depth = std::max(depth, at);
  return depth;
}

Expr StageLowering::hoisted(const Expr& e) {
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

bool StageLowering::reads_memory(const Expr& e) {
  if (e->op == Op::load) return true;
  return std::any_of(e->args.begin(), e->args.end(), [](const Expr& a) { return reads_memory(a); });
}

void StageLowering::wrap_at(std::size_t depth, std::function<Stmt(Stmt)> f) {
  if (depth == 0) {
    outside_.push_back(std::move(f));
  } else {
    wrap_[depth - 1].push_back(std::move(f));
    ++hard_[depth];
  }
}

Expr StageLowering::inlined(Expr e) const {
  for (std::size_t i = lets_.size(); i-- > 0;) e = Substitution{{{lets_[i].var.get(), lets_[i].value}}}(e);
  return e;
}

bool StageLowering::proved(const Expr& condition) {
  const Expr whole = inlined(condition);
  if (!prove(whole, facts_)) return false;
  proofs_.push_back({facts_.conditions(), whole});
  return true;
}

void StageLowering::guard(const Expr& condition, int id) {
  if (proved(condition)) return;
  if (s_.elide_)
    refuse(id, "elide_guards",
           "the condition " + to_text(condition) +
               " cannot be proved; pad the storage of every tensor that it protects");
  guards_.push_back(to_text(inlined(condition)));
  wrap_at(vars_.size(), [condition](Stmt body) { return branch(condition, body); });
}

void StageLowering::set_value(int id, const Expr& v) {
  const Info& i = info(id);
  value_[id] = v;
  if (i.kind == Schedule::Kind::fused) {
    const Fusion f = fusion(id);
    if (!f.prefix && i.bulk > 1)
      refuse(id, "fuse", "bulk padding of loops that are not ragged; pad_loop rounds a constant extent up");
    if (f.prefix) {
      if (i.bulk > 1) {
        if (info(i.first).kind != Schedule::Kind::root || info(i.second).kind != Schedule::Kind::root ||
            info(i.first).axis != 0 || info(i.first).reduction || begin_of(i.first) || begin_of(i.second))
          refuse(id, "fuse",
                 "bulk padding needs the outermost dimension and one whose extent depends on it, both whole");
        virtual_.insert(i.first);
        bulk_.push_back({v, i.bulk, id});
      }
      const Expr outer = bound(outer_index(id, f, v), info(i.first).name);
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
    const int outer_id = i.kind == Schedule::Kind::outer ? id : i.sibling;
    if (full_.contains(inner_id) && !exact_.contains(outer_id)) guard(whole < extent(i.parent), i.parent);
    set_value(i.parent, whole);
    return;
  }
  // A root: its value is the element's index along the dimension.
  if (const LengthFn* begin = begin_of(id)) value_[id] = v + length_at(*begin, id);
  if (i.padding != 1 && !unguarded_.contains(id)) guard(v < unpadded(id), id);
}

Expr StageLowering::outer_index(int id, const Fusion& f, const Expr& v) {
  switch (s_.maps_) {
    case FuseMaps::table:
      return load(tables_.map(f.prefix, info(id).bulk), v);
    case FuseMaps::search:
      return search(f.prefix, f.count, v);
    case FuseMaps::walk:
      return walk(f.prefix, f.count, v);
  }
  return {};
}

/// `found` becomes the largest o < count with prefix[o] <= v, by halving steps; then the body.
Stmt StageLowering::searched(const Buffer& found, const Buffer& prefix, const Expr& count, const Expr& v,
                             Stmt body) {
  const Var step = loop::variable("step");
  const Buffer power = local_buffer("power", DType::i64, 1);
  constexpr std::int64_t kBits = 24;
  const Expr candidate = load(found, 0) + load(power, 0);
  const Stmt probe =
      branch(candidate < count, branch(load(prefix, candidate) <= v, store(found, 0, candidate)));
  return allocate(
      found,
      allocate(power, block({store(found, 0, Expr(0)), store(power, 0, Expr(std::int64_t{1} << (kBits - 1))),
                             loop::loop(step, 0, Expr(kBits),
                                        block({probe, store(power, 0, floordiv(load(power, 0), Expr(2)))})),
                             std::move(body)})));
}

Expr StageLowering::search(const Buffer& prefix, const Expr& count, const Expr& v) {
  const Buffer found = local_buffer("found", DType::i64, 1);
  const Var result = loop::variable("o");
  wrap_at(vars_.size(), [=, this](Stmt body) {
    return searched(found, prefix, count, v, let(result, load(found, 0), body));
  });
  found_.emplace_back(result, vars_.size());
  facts_.loop(result, 0, inlined(count));
  return result;
}

/// Found once where the innermost open loop begins; each of its iterations goes on by at most one slice.
Expr StageLowering::walk(const Buffer& prefix, const Expr& count, const Expr& v) {
  const std::size_t p = vars_.size() - 1;
  const int id = s_.leaves_[p];
  const auto step = coefficient(v, vars_[p].get());
  const bool outside_is_reduction = p > 0 && info(s_.leaves_[p - 1]).reduction;
  if (info(id).annotation != LoopKind::serial || (p == 0 && s_.parallel_ == id) || !step ||
      !is_integer(*step, 1) || outside_is_reduction)
    return search(prefix, count, v);
  const Buffer found = local_buffer("found", DType::i64, 1), next = tables_.next(prefix, count);
  const Var result = loop::variable("o");
  const Expr start = Substitution{{{vars_[p].get(), Expr(0)}}}(v);
  wrap_at(p, [=, this](Stmt body) { return searched(found, prefix, count, start, body); });
  const Expr at = load(found, 0);
  const Stmt advance =
      branch(at < count, branch(load(prefix, at + Expr(1)) <= v, store(found, 0, load(next, at))));
  wrap_at(vars_.size(), [=](Stmt body) { return block({advance, let(result, load(found, 0), body)}); });
  found_.emplace_back(result, vars_.size());
  facts_.loop(result, 0, inlined(count) + Expr(1));
  return result;
}

}  // namespace ballast::ragged
