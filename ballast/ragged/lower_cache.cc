// Lowering of a stage: local copies of what the loops inside one of its loops read (cache_read), computed
// there instead of copied (compute_at). The region is found from the index expressions: linear in the loops
// inside, so that it begins where they are zero and its size is a constant.
#include <fmt/format.h>

#include "ballast/ragged/stage_lowering.h"

namespace ballast::ragged {

using namespace loop;

const StageLowering::LocalCopy* StageLowering::copy_of(const BufferNode* placeholder) const {
  for (const LocalCopy& c : copies_)
    if (c.tensor->placeholder.get() == placeholder) return &c;
  return nullptr;
}

Expr StageLowering::local_index(const LocalCopy& copy, const std::vector<Expr>& index) {
  Expr at = 0;
  for (std::size_t d = 0; d < index.size(); ++d) at = at * Expr(copy.size[d]) + (index[d] - copy.low[d]);
  return at;
}

void StageLowering::find_region(LocalCopy& copy, const Expr& e, std::size_t depth, int loop) {
  if (!e) return;
  for (const Expr& a : e->args) find_region(copy, a, depth, loop);
  if (e->op != Op::load || e->buffer.get() != copy.tensor->placeholder.get()) return;
  std::vector<Expr> low;
  std::vector<std::int64_t> size;
  for (const Expr& arg : e->args) {
    const Expr index = simplify(inlined(indices()(arg)), facts_);
    Substitution zero;
    std::int64_t elements = 1;
    for (std::size_t q = depth; q < vars_.size(); ++q) {
      zero.pairs.emplace_back(vars_[q].get(), Expr(0));
      const auto step = coefficient(index, vars_[q].get());
      const std::int64_t most = range_of(inlined(extents_[q]), facts_).high;
      const bool constant = step && (*step)->op == Op::integer && (*step)->integer >= 0;
      if (!constant)
        refuse(loop, "cache",
               fmt::format("{} is read at {}, which is not linear in {}", copy.tensor->name, to_text(index),
                           vars_[q]->name));
      if ((*step)->integer == 0) continue;
      if (most > kMostLocal)
        refuse(loop, "cache", fmt::format("{} has no small constant bound; split it", vars_[q]->name));
      elements += (*step)->integer * (most - 1);
    }
    low.push_back(simplify(zero(index), facts_));
    if (depth_of(low.back()) > depth)
      refuse(loop, "cache", fmt::format("where {} is read is only known inside", copy.tensor->name));
    size.push_back(std::max<std::int64_t>(elements, 1));
  }
  for (std::size_t d = 0; d < copy.low.size(); ++d)
    if (to_text(copy.low[d]) != to_text(low[d]) || copy.size[d] != size[d])
      refuse(loop, "cache", copy.tensor->name + " is read at two places; copy one of them by hand");
  copy.low = low;
  copy.size = size;
}

void StageLowering::make_copies() {
  for (const Schedule::Cache& c : s_.caches_) {
    const std::size_t depth = s_.position({c.loop}, "cache") + 1;
    for (std::size_t q = 0; q < depth; ++q)
      if (info(s_.leaves_[q]).annotation == LoopKind::vector)
        refuse(c.loop, "cache", "it lies in a loop with lanes");
    if (!bulk_.empty()) refuse(c.loop, "cache", "together with bulk padding");
    LocalCopy copy{c.tensor, nullptr, {}, {}};
    find_region(copy, stage_.definition.value, depth, c.loop);
    find_region(copy, stage_.definition.where, depth, c.loop);
    if (stage_.definition.epilogue) find_region(copy, stage_.definition.epilogue(real(0)), depth, c.loop);
    if (copy.low.empty()) refuse(c.loop, "cache", "the stage does not read " + c.tensor->name);
    std::int64_t elements = 1;
    for (const std::int64_t s : copy.size) {
      if (s > kMostLocal / elements)
        refuse(c.loop, "cache",
               fmt::format("the copy of {} has more than {} elements; put it further inside", c.tensor->name,
                           kMostLocal));
      elements *= s;
    }
    copy.local = local_buffer(c.tensor->name + ".local", DType::f32, elements);
    const Stmt fill = filled(copy, c.compute);
    wrap_at(depth, [local = copy.local, fill](Stmt body) { return allocate(local, block({fill, body})); });
    copies_.push_back(copy);
  }
}

Stmt StageLowering::filled(const LocalCopy& copy, bool compute) {
  const Stage& t = *copy.tensor;
  const std::size_t n = t.axes.size();
  std::vector<Expr> index = copy.low, extents;
  std::vector<Var> vars;
  for (std::size_t d = 0; d < n; ++d) {
    // No further than the tensor: what the loops inside read beyond it is padding, whose values do not
    // matter.
    const Expr end = extent_at(tables_, compute ? t.axes[d].extent : t.storage[d], t.axes, index);
    extents.push_back(max(min(Expr(copy.size[d]), end - copy.low[d]), Expr(0)));
    vars.push_back(loop::variable(t.axes[d].dim->name + "_local"));
    index[d] = copy.low[d] + vars.back();
  }
  const Expr at = local_index(copy, index);
  Stmt body;
  LoopKind innermost = LoopKind::vector;
  if (!compute) {
    const auto& buffer = buffers_.at(t.placeholder.get());
    body = store(copy.local, at, load(buffer, position(tables_, t, index)));
  } else {
    const Definition& d = t.definition;
    Substitution here;
    for (std::size_t a = 0; a < n; ++a) here.pairs.emplace_back(t.vars[a].get(), index[a]);
    if (d.reduce.empty()) {
      body = store(copy.local, at, flat(here(d.value)));
    } else {
      innermost = LoopKind::serial;
      Stmt update = accumulate(copy.local, at, d.combine, flat(here(d.value)));
      if (d.where) update = branch(flat(here(d.where)), update);
      for (std::size_t r = d.reduce.size(); r-- > 0;)
        update =
            loop::loop(d.reduce_vars[r], 0, extent_at(tables_, d.reduce[r].extent, t.axes, index), update);
      std::vector<Stmt> parts{store(copy.local, at, real(identity_of(d.combine))), update};
      if (d.epilogue) parts.push_back(store(copy.local, at, flat(here(d.epilogue(load(copy.local, at))))));
      body = block(parts);
    }
  }
  for (std::size_t d = n; d-- > 0;)
    body = loop::loop(vars[d], 0, extents[d], body, d + 1 == n ? innermost : LoopKind::serial,
                      "local copy of " + t.name);
  return body;
}

}  // namespace ballast::ragged
