#include "ballast/ragged/transform.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace ballast::ragged {

using loop::Expr;

std::pair<Tensor, Tensor> split_op(const Tensor& stage, const Dim& d, const LengthFn& p) {
  if (stage->is_input || stage->target)
    throw CompileError("split_op of " + stage->name + ": only a computed stage that was not split before");
  const auto find = [&](const std::vector<Axis>& axes) {
    for (std::size_t i = 0; i < axes.size(); ++i)
      if (axes[i].dim == d) return static_cast<int>(i);
    return -1;
  };
  const int axis = find(stage->axes), reduction = find(stage->definition.reduce);
  if (axis < 0 && reduction < 0)
    throw CompileError(fmt::format("split_op of {}: it has no dimension {}", stage->name, d->name));
  const std::vector<Axis>& axes = axis >= 0 ? stage->axes : stage->definition.reduce;
  const auto at = static_cast<std::size_t>(axis >= 0 ? axis : reduction);
  if (!p.provably_at_most(axes[at].extent))
    throw CompileError(fmt::format("split_op of {}: {} is not provably at most the extent {}", stage->name,
                                   p.normal(), axes[at].extent.normal()));
  if (reduction >= 0 && (stage->definition.combine != loop::Combine::sum || stage->definition.epilogue))
    throw CompileError("split_op of " + stage->name + ": a split reduction is a plain sum");
  const auto part = [&](const char* suffix) {
    auto copy = std::make_shared<Stage>(*stage);
    copy->name += suffix;
    copy->target = stage;
    copy->split_axis = static_cast<int>(at);
    copy->split_reduction = reduction >= 0;
    return copy;
  };
  Tensor first = part(".head"), second = part(".tail");
  (axis >= 0 ? first->axes : first->definition.reduce)[at].extent = p;
  first->split_axis = -1;
  second->split_from = {p};
  second->adds = reduction >= 0;
  return {first, second};
}

std::pair<Tensor, Tensor> rfactor(const Tensor& stage, const Dim& d, std::int64_t factor) {
  const Definition& whole = stage->definition;
  const auto refuse = [&](const std::string& why) {
    throw CompileError(fmt::format("rfactor of {}, loop {}: {}", stage->name, d->name, why));
  };
  if (stage->is_input || stage->target) refuse("only a computed stage that was not split");
  if (factor <= 0) refuse(fmt::format("factor {} is not positive", factor));
  const auto at =
      std::find_if(whole.reduce.begin(), whole.reduce.end(), [&](const Axis& a) { return a.dim == d; });
  if (at == whole.reduce.end()) refuse("the stage does not reduce over it");
  if (whole.where) refuse("its reduction has a condition already");
  for (const Axis& a : whole.reduce)
    if (a.extent.depends_on(d)) refuse("the extent of the reduction " + a.dim->name + " depends on it");
  const LengthFn length = at->extent, pieces = length.ceil_div(factor);
  const Dim outer = dim(d->name + "o"), inner = dim(d->name + "i");

  std::vector<Axis> axes = stage->axes;
  axes.push_back({outer, pieces});
  const Tensor part = compute(stage->name + ".part", axes, [&](const Index& x) {
    Definition p = whole;
    p.epilogue = {};
    loop::Substitution rename;
    for (std::size_t i = 0; i < stage->axes.size(); ++i)
      rename.pairs.emplace_back(stage->vars[i].get(), x[stage->axes[i].dim]);
    const auto r = static_cast<std::size_t>(at - whole.reduce.begin());
    p.reduce[r] = {inner, LengthFn(factor)};
    p.reduce_vars[r] = loop::variable(inner->name);
    const Expr index = x[outer] * Expr(factor) + p.reduce_vars[r];
    rename.pairs.emplace_back(whole.reduce_vars[r].get(), index);
    p.value = rename(whole.value);
    // The last piece may be shorter.
    p.where = index < length_of(length, x);
    return p;
  });
  const Tensor total = compute(stage->name, stage->axes, [&](const Index& x) {
    std::vector<Expr> index;
    for (const Axis& a : stage->axes) index.push_back(x[a.dim]);
    const Dim piece = dim(d->name + "p");
    return reduce(
        whole.combine, {{piece, pieces}},
        [&](const Index& r) {
          std::vector<Expr> full = index;
          full.push_back(r[piece]);
          return read(part, full);
        },
        whole.epilogue ? std::function<Expr(const Expr&)>([stage, x](const Expr& v) {
          loop::Substitution rename;
          for (std::size_t i = 0; i < stage->axes.size(); ++i)
            rename.pairs.emplace_back(stage->vars[i].get(), x[stage->axes[i].dim]);
          return rename(stage->definition.epilogue(v));
        })
                       : nullptr);
  });
  total->storage = stage->storage;
  total->order = stage->order;
  return {part, total};
}

namespace {

/// The expression with the producer's in place of its reads; the same node when there are none.
Expr inlined(const Expr& e, const Tensor& producer) {
  if (!e || e->args.empty()) return e;
  bool changed = false;
  std::vector<Expr> args;
  for (const Expr& a : e->args) {
    args.push_back(inlined(a, producer));
    changed |= args.back().get() != a.get();
  }
  if (e->op == loop::Op::load && e->buffer.get() == producer->placeholder.get()) {
    loop::Substitution at;
    for (std::size_t i = 0; i < args.size(); ++i) at.pairs.emplace_back(producer->vars[i].get(), args[i]);
    return at(producer->definition.value);
  }
  if (!changed) return e;
  if (e->op == loop::Op::load) {
    auto n = std::make_shared<loop::ExprNode>(*e.get());
    n->args = std::move(args);
    return Expr(n);
  }
  return e->op == loop::Op::cast ? loop::cast(e->type, args[0]) : loop::make(e->op, std::move(args));
}

}  // namespace

Tensor compute_inline(const Tensor& consumer, const Tensor& producer) {
  if (producer->is_input || !producer->definition.reduce.empty() || producer->target)
    throw CompileError(fmt::format("compute_inline of {} into {}: only a computed stage without a reduction",
                                   producer->name, consumer->name));
  auto out = std::make_shared<Stage>(*consumer);
  out->definition.value = inlined(consumer->definition.value, producer);
  const bool found = out->definition.value.get() != consumer->definition.value.get();
  if (const auto epilogue = consumer->definition.epilogue)
    out->definition.epilogue = [epilogue, producer](const Expr& v) { return inlined(epilogue(v), producer); };
  if (!found)
    throw CompileError(fmt::format("compute_inline: {} does not read {}", consumer->name, producer->name));
  return out;
}

}  // namespace ballast::ragged
