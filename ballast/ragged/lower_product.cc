// Lowering of a stage whose innermost loops are a matrix product.
#include <optional>

#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/ragged/stage_lowering.h"

namespace ballast::ragged {

using namespace loop;

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

Stmt StageLowering::product(std::size_t from, const Expr& at) {
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
    if (hard_[p + 1] > 0)
      refuse(s_.leaves_[p], "microkernel",
             "a guard or a search lies inside; use exact tails and no fused inner loops");
  if (d.where) refuse(s_.micro_[2], "microkernel", "its reduction has a condition");
  if (s_.cache_write_) refuse(s_.micro_[2], "cache_write", "a product keeps its sums in registers already");
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
    refuse(s_.micro_[1], "microkernel", "the right factor is contiguous along neither columns nor reduction");
  }
  g.c = output_;
  g.c_offset = zero(at);
  g.c_stride = stride(at, i, "the result");
  g.accumulate = stage_.adds;
  for (const Let& l : lets_) {
    if (l.depth + 3 <= n) continue;
    for (const Expr* e :
         {&g.m, &g.n, &g.k, &g.a_offset, &g.a_stride, &g.b_offset, &g.b_stride, &g.c_offset, &g.c_stride})
      if (depends_on(*e, l.var.get()))
        refuse(s_.micro_[0], "microkernel", "it needs the table read " + to_text(l.value) + " of each row");
  }
  std::vector<Stmt> parts{gemm(g)};
  if (d.epilogue) {
    Stmt e = store(output_, at, hoisted(flat(indices()(d.epilogue(load(output_, at))))));
    e = loop::loop(j, 0, g.n, e, LoopKind::vector, info(s_.micro_[1]).name);
    parts.push_back(loop::loop(i, 0, g.m, e, LoopKind::serial, info(s_.micro_[0]).name));
  }
  Stmt s = block(parts);
  for (std::size_t p = n - 3; p-- > from;) s = open(p, s);
  return s;
}

}  // namespace ballast::ragged
