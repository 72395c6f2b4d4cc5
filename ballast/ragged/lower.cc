// Lowering of a stage: operands, bodies, the nest around them.
#include "ballast/ragged/lower.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/ragged/stage_lowering.h"

namespace ballast::ragged {

using namespace loop;

LoweredKernel StageLowering::run() {
  bind_operands();
  std::set<std::string> names;
  find_unguarded();
  wrap_.resize(s_.leaves_.size());
  for (std::size_t p = 0; p < s_.leaves_.size(); ++p) {
    const int id = s_.leaves_[p];
    extents_.push_back(bound(extent(id), info(id).name + ".n"));
    vars_.push_back(loop::variable(fmt::format(
        "{}{}", info(id).name, names.insert(info(id).name).second ? "" : fmt::format("_{}", id))));
    facts_.loop(vars_.back(), 0, inlined(extents_.back()));
    set_value(id, vars_.back());
  }
  make_copies();
  LoweredKernel out;
  Function& f = out.function;
  f.signature.name = stage_.name;
  for (std::size_t i = 0; i < operands_.size(); ++i)
    f.signature.operands.push_back(
        {operands_[i]->name, DType::f32, Access::Ragged, i + 1 == operands_.size(), -1});
  const bool tasks = s_.parallel_ >= 0;
  if (tasks && s_.leaves_[0] != s_.parallel_)
    refuse(s_.parallel_, "parallel", "it is not the outermost loop; reorder it to the front");
  if (tasks && info(s_.parallel_).peeled) refuse(s_.parallel_, "peel", "it is the parallel loop");
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
      if (s_.remap_order_) {
        out.remap_task = loop::variable("t");
        out.remap = s_.remap_order_(out.remap_task, f.num_tasks);
      }
    }
  } else {
    f.task = loop::variable("task");
    f.num_tasks = Expr(1);
    body = with_outside(body);
  }
  f.body = body;
  out.operands = operands_;
  out.guards = guards_;
  out.proofs = proofs_;
  out.slack = slack_;
  for (const auto& [placeholder, buffer] : buffers_)
    buffer->extent = buffer->extent + Expr(slack_[static_cast<std::size_t>(buffer->slot)]);
  output_->extent = output_->extent + Expr(slack_.back());
  return out;
}

void StageLowering::bind_operands() {
  std::set<const BufferNode*> seen;
  std::function<void(const Stage&)> visit_stage;
  const std::function<void(const Expr&)> visit = [&](const Expr& e) {
    if (!e) return;
    for (const Expr& a : e->args) visit(a);
    if (e->op != Op::load || length_read_by(*e.get())) return;
    if (!seen.insert(e->buffer.get()).second) return;
    const Tensor t = find_tensor(e->buffer);
    for (const Schedule::Cache& c : s_.caches_)
      if (c.compute && c.tensor == t) return visit_stage(*t);  // computed here, not read
    operands_.push_back(t);
    buffers_[e->buffer.get()] = std::make_shared<BufferNode>(*operand_buffer(
        t->name, DType::f32, static_cast<int>(operands_.size()) - 1, volume(tables_, *t), Access::Ragged));
  };
  visit_stage = [&](const Stage& stage) {
    visit(stage.definition.value);
    visit(stage.definition.where);
    if (stage.definition.epilogue) visit(stage.definition.epilogue(real(0)));
  };
  visit_stage(stage_);
  operands_.push_back(stage_.target ? stage_.target : s_.stage());
  output_ = std::make_shared<BufferNode>(*operand_buffer(target_.name, DType::f32,
                                                         static_cast<int>(operands_.size()) - 1,
                                                         volume(tables_, target_), Access::Ragged));
  slack_.assign(operands_.size(), 0);
}

Tensor StageLowering::find_tensor(const Buffer& placeholder) {
  BALLAST_CHECK(placeholder->space == Space::tensor,
                placeholder->name + " is read by a flat index in a stage's expression");
  Tensor owner = static_cast<const TensorBuffer*>(placeholder.get())->owner.lock();
  if (!owner) throw CompileError("tensor " + placeholder->name + " no longer exists");
  return owner;
}

Expr StageLowering::flat(const Expr& e) {
  if (e->args.empty() && e->op != Op::load) return e;
  std::vector<Expr> args;
  for (const Expr& a : e->args) args.push_back(flat(a));
  if (e->op == Op::load) {
    if (length_read_by(*e.get())) return length_value(e, args);
    if (const LocalCopy* copy = copy_of(e->buffer.get())) {
      for (Expr& a : args) a = inlined(a);
      return load(copy->local, simplify(local_index(*copy, args), facts_));
    }
    const auto found = buffers_.find(e->buffer.get());
    if (found == buffers_.end()) {  // a table, or the output in an epilogue
      auto n = std::make_shared<ExprNode>(*e.get());
      n->args = std::move(args);
      return Expr(n);
    }
    const auto slot = static_cast<std::size_t>(found->second->slot);
    return load(found->second, place(slot, position(tables_, *operands_[slot], args)));
  }
  if (e->op == Op::cast) return cast(e->type, args[0]);
  return make(e->op, std::move(args));
}

Expr StageLowering::length_value(const Expr& e, const std::vector<Expr>& index) {
  const LengthFn& f = *length_read_by(*e.get());
  std::vector<Axis> axes;
  for (const Dim& d : f.all_of())
    for (const Axis& a : stage_.axes)
      if (a.dim == d) axes.push_back(a);
  return extent_at(tables_, f, axes, index);
}

Expr StageLowering::place(std::size_t operand, const Expr& position) {
  const Expr at = simplify(inlined(position), facts_);
  for (const Bulk& b : bulk_) {
    const Expr value = inlined(b.value);
    std::optional<std::int64_t> row;  // elements of one iteration of the fused loop
    bool depends = false, linear = true;
    for (const Var& v : vars_) {
      const auto step = coefficient(value, v.get());
      if (step && is_integer(*step, 0)) continue;
      depends |= depends_on(at, v.get());
      const auto stride = coefficient(at, v.get());
      const Expr known = stride ? simplify(*stride, facts_) : Expr();
      linear &= step && (*step)->op == Op::integer && known && known->op == Op::integer &&
                known->integer % (*step)->integer == 0 && (!row || *row == known->integer / (*step)->integer);
      if (linear) row = known->integer / (*step)->integer;
    }
    const bool written = operand + 1 == operands_.size();
    if (!depends && !written) continue;
    if (row && linear) {
      const Expr rest = simplify(at - Expr(*row) * value, facts_);
      linear = proved(logical_and(Expr(0) <= rest, rest < Expr(*row)));
    }
    if (!depends || !linear || !row)
      refuse(
          b.loop, "fuse",
          fmt::format("bulk padding needs {} to hold one row of constant size an iteration of the fused loop",
                      operands_[operand]->name));
    slack_[operand] = std::max(slack_[operand], (b.multiple - 1) * *row);
  }
  return at;
}

Substitution StageLowering::indices() const {
  Substitution s;
  for (std::size_t a = 0; a < stage_.axes.size(); ++a)
    s.pairs.emplace_back(stage_.vars[a].get(), value_.at(root_of(stage_.axes[a].dim)));
  for (std::size_t r = 0; r < stage_.definition.reduce.size(); ++r)
    if (const auto v = value_.find(root_of(stage_.definition.reduce[r].dim)); v != value_.end())
      s.pairs.emplace_back(stage_.definition.reduce_vars[r].get(), v->second);
  return s;
}

Expr StageLowering::target_position() {
  std::vector<Expr> index;
  for (const Axis& a : stage_.axes) index.push_back(value_.at(root_of(a.dim)));
  return place(operands_.size() - 1, position(tables_, target_, index));
}

void StageLowering::find_unguarded() {
  for (std::size_t a = 0; a < stage_.axes.size(); ++a) {
    const int id = root_of(stage_.axes[a].dim);
    if (info(id).padding == 1 || begin_of(id)) continue;
    const LengthFn padded = stage_.axes[a].extent.ceil_mult(info(id).padding);
    bool safe = padded.provably_at_most(target_.storage[a]) &&
                std::none_of(stage_.axes.begin(), stage_.axes.end(),
                             [&](const Axis& other) { return other.extent.depends_on(stage_.axes[a].dim); });
    std::vector<LengthFn> roomy{target_.storage[a]};
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
        for (const LengthFn& f : t.storage) safe &= !f.depends_on(t.axes[k].dim);
        roomy.push_back(t.storage[k]);
      }
    };
    visit(stage_.definition.value);
    if (stage_.definition.epilogue) visit(stage_.definition.epilogue(real(0)));
    if (!safe) continue;
    unguarded_.insert(id);
    // Kept as a statement about every value that the length may have.
    const Var l = loop::variable("l");
    const LengthFn base = padded.base();
    for (const LengthFn& room : roomy)
      if (room.base() == base)
        proofs_.push_back(
            {{Expr(base.low()) <= l, l <= Expr(base.high())}, padded.apply(l) <= room.apply(l)});
  }
}

Stmt StageLowering::open(std::size_t p, Stmt body) {
  for (std::size_t i = wrap_[p].size(); i-- > 0;) body = wrap_[p][i](body);
  const Info& own = info(s_.leaves_[p]);
  if (own.peeled) {
    // All but the last iteration have whole pieces inside.
    Substitution whole;
    for (std::size_t q = p + 1; q < vars_.size(); ++q)
      if (s_.leaves_[q] == own.sibling) whole.pairs.emplace_back(extents_[q].get(), Expr(own.factor));
    if (whole.pairs.empty())
      refuse(s_.leaves_[p], "peel", "the inner loop of its split does not lie inside; it has no tail there");
    const Expr last = extents_[p] - Expr(1);
    return block({loop::loop(vars_[p], 0, last, whole(body), own.annotation, own.name),
                  branch(Expr(0) <= last, let(vars_[p], last, body))});
  }
  return loop::loop(vars_[p], 0, extents_[p], body, info(s_.leaves_[p]).annotation, info(s_.leaves_[p]).name);
}

Stmt StageLowering::nest(std::size_t from) {
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
    check_spatial_inside(r);
    s = reduced(r, at);
    for (std::size_t p = r; p-- > from;) s = open(p, s);
  }
  return s;
}

Stmt StageLowering::reduced(std::size_t r, const Expr& at) {
  const std::size_t n = s_.leaves_.size();
  const Definition& d = stage_.definition;
  const auto spatial = [&](Stmt inner) {
    for (std::size_t p = n; p-- > r;)
      if (!info(s_.leaves_[p]).reduction) inner = open(p, inner);
    return inner;
  };
  // Where it adds up: in memory, or with cache_write in a local array of the loops inside the reduction.
  Buffer sums = output_;
  Expr sum_at = at;
  if (s_.cache_write_) {
    std::int64_t size = 1;
    sum_at = 0;
    for (std::size_t p = r; p < n; ++p) {
      if (info(s_.leaves_[p]).reduction) continue;
      const std::int64_t most = range_of(inlined(extents_[p]), facts_).high;
      if (most > kMostLocal / size)
        refuse(s_.leaves_[p], "cache_write",
               "the loops inside the reduction have no small constant bound; split them");
      sum_at = sum_at * Expr(most) + vars_[p];
      size *= most;
    }
    sums = local_buffer(stage_.name + ".sums", DType::f32, size);
  }
  const Expr value = flat(indices()(d.value));
  Stmt update;
  if (d.where) {
    // Nothing is read, and no table read is moved, out of the condition.
    update = branch(flat(indices()(d.where)), accumulate(sums, sum_at, d.combine, value));
  } else {
    update = accumulate(sums, sum_at, d.combine, hoisted(value));
  }
  for (std::size_t p = n; p-- > r;) update = open(p, update);
  std::vector<Stmt> parts;
  if (!stage_.adds || s_.cache_write_)
    parts.push_back(spatial(store(sums, sum_at, real(identity_of(d.combine)))));
  parts.push_back(update);
  Expr total = load(sums, sum_at);
  if (d.epilogue) total = hoisted(flat(indices()(d.epilogue(total))));
  if (stage_.adds && s_.cache_write_) total = load(output_, at) + total;
  if (d.epilogue || s_.cache_write_) parts.push_back(spatial(store(output_, at, total)));
  Stmt s = block(parts);
  return s_.cache_write_ ? allocate(sums, s) : s;
}

void StageLowering::check_spatial_inside(std::size_t r) {
  for (std::size_t p = r; p < s_.leaves_.size(); ++p) {
    if (info(s_.leaves_[p]).reduction) continue;
    for (std::size_t q = r; q < s_.leaves_.size(); ++q)
      if (info(s_.leaves_[q]).reduction && depends_on(inlined(extents_[p]), vars_[q].get()))
        refuse(s_.leaves_[p], "reorder", "its extent depends on the reduction outside it");
  }
}

Stmt StageLowering::with_outside(Stmt s) {
  for (std::size_t i = outside_.size(); i-- > 0;) s = outside_[i](s);
  return s;
}

LoweredKernel lower(Tables& tables, const Schedule& schedule) {
  return StageLowering(tables, schedule).run();
}

}  // namespace ballast::ragged
