// Kernels that add over lanes: gradients of shared parameters.
#include "ballast/loop/batched.h"

namespace ballast::loop {

Function sum_terms(std::int64_t size) {
  const Expr batch = scalar("batch", 0, 0);
  const Buffer terms = operand_buffer("terms", DType::f32, 0, Expr(size), Access::PtrTable);
  const Buffer out = operand_buffer("out", DType::f32, 1, batch * Expr(size));
  const Buffer offsets = aux_buffer("offsets", 0, batch + Expr(1), 0, kNoMaximum);
  const Buffer sum = local_buffer("sum", DType::f32, 1);
  const Var b = variable("b"), i = variable("i"), t = variable("t");
  const Expr begin = load(offsets, b), end = load(offsets, b + Expr(1));
  Stmt body = block({store(sum, 0, Expr(0.0)),
                     loop(t, begin, end - begin, accumulate(sum, 0, Combine::sum, load_lane(terms, t, i))),
                     store(out, b * Expr(size) + i, load(sum, 0))});
  Function f;
  f.signature = {
      "sum_terms",
      {{"terms", DType::f32, Access::PtrTable, false, -1}, {"out", DType::f32, Access::Dense, true, -1}},
      {{"batch", 0, kNoMaximum}},
      {"offsets"},
      0};
  f.task = b;
  f.num_tasks = batch;
  f.task_cost = (end - begin + Expr(1)) * Expr(size);
  f.body = loop(i, 0, Expr(size), allocate(sum, body), LoopKind::vector);
  return f;
}

Function outer_sum(std::int64_t n, std::int64_t k, Access dy_access, Access x_access) {
  const Expr batch = scalar("batch", 0, 0);
  int tables = 0;
  Function f;
  f.signature.name = "outer_sum";
  const auto operand = [&](const char* name, int slot, std::int64_t size, Access access, bool written) {
    OperandDesc o{name, DType::f32, access, written, -1};
    if (access == Access::RowIndex) {
      o.aux_slot = tables++;
      f.signature.aux.push_back(std::string(name) + ".rows");
    }
    f.signature.operands.push_back(o);
    const Expr extent = written || access == Access::PtrTable ? Expr(size)
                        : access == Access::Dense             ? batch * Expr(size)
                                                              : Expr();
    return operand_buffer(name, DType::f32, slot, extent, access);
  };
  const Buffer dy = operand("dy", 0, n, dy_access, false), x = operand("x", 1, k, x_access, false),
               dw = operand("dw", 2, n * k, Access::Dense, true);
  const auto at = [&](const Buffer& b, const Expr& lane, std::int64_t size, const Expr& i) {
    if (b->access == Access::PtrTable) return load_lane(b, lane, i);
    if (b->access == Access::RowIndex) {
      const int slot = f.signature.operands[static_cast<std::size_t>(b->slot)].aux_slot;
      return load(b, load(aux_buffer(b->name + ".rows", slot, batch, 0, kNoMaximum), lane) * Expr(size) + i);
    }
    return load(b, b->access == Access::Shared ? i : lane * Expr(size) + i);
  };
  const Var row = variable("row"), j = variable("j"), b = variable("b");
  const Buffer sum = local_buffer("sum", DType::f32, 1);
  const Expr target = row * Expr(k) + j;
  Stmt body = block({store(sum, 0, load(dw, target)),
                     loop(b, 0, batch, accumulate(sum, 0, Combine::sum, at(dy, b, n, row) * at(x, b, k, j))),
                     store(dw, target, load(sum, 0))});
  f.signature.scalars = {{"batch", 0, kNoMaximum}};
  f.task = row;
  f.num_tasks = Expr(n);
  f.task_cost = batch * Expr(k);
  f.body = loop(j, 0, Expr(k), allocate(sum, body), LoopKind::vector);
  return f;
}

}  // namespace ballast::loop
