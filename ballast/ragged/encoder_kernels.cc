#include "ballast/ragged/encoder_kernels.h"

#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::ragged {

using namespace loop;

namespace {

OperandDesc reads(std::string name) {
  return {std::move(name), DType::f32, Access::Dense, false, -1};
}
OperandDesc writes(std::string name) {
  return {std::move(name), DType::f32, Access::Dense, true, -1};
}

Expr activated(Activation activation, const Expr& x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return relu(x);
    case Activation::gelu:
      return gelu(x);
  }
  return x;
}

/// Normalises row `at` (an offset into y) of n elements in place; `first` gives the values that come in.
Stmt norm_row(const Buffer& y, const Expr& at, std::int64_t n, const std::function<Expr(const Expr&)>& first,
              const Buffer& gamma, const Buffer& beta, double epsilon) {
  const Buffer sum = local_buffer("sum", DType::f32, 1), squares = local_buffer("squares", DType::f32, 1);
  const Var i = variable("i"), j = variable("j"), k = variable("k");
  const double inverse = 1.0 / static_cast<double>(n);
  const Expr centred = load(y, at + j) - load(sum, 0) * Expr(inverse);
  return allocate(
      sum,
      allocate(
          squares,
          block({store(sum, 0, Expr(0.0)), store(squares, 0, Expr(0.0)),
                 loop::loop(
                     i, 0, Expr(n),
                     block({store(y, at + i, first(i)), accumulate(sum, 0, Combine::sum, load(y, at + i))}),
                     LoopKind::vector),
                 loop::loop(j, 0, Expr(n),
                            block({store(y, at + j, centred),
                                   accumulate(squares, 0, Combine::sum, load(y, at + j) * load(y, at + j))}),
                            LoopKind::vector),
                 store(squares, 0, Expr(1.0) / sqrt(load(squares, 0) * Expr(inverse) + Expr(epsilon))),
                 loop::loop(
                     k, 0, Expr(n),
                     store(y, at + k, load(y, at + k) * load(squares, 0) * load(gamma, k) + load(beta, k)),
                     LoopKind::vector)})));
}

}  // namespace

Activation activation_from(const std::string& word) {
  cli::require_one_of("activation", word, {"none", "relu", "gelu"});
  return word == "relu" ? Activation::relu : word == "gelu" ? Activation::gelu : Activation::none;
}

Function linear_kernel(const LinearSpec& spec) {
  const Expr rows = scalar("rows", 0, 0);
  const std::int64_t columns = spec.norm ? spec.n : std::min(spec.column_tile, spec.n);
  BALLAST_CHECK(columns % 64 == 0 || columns == spec.n, "column tiles are whole panels");
  const std::int64_t column_tiles = (spec.n + columns - 1) / columns;
  const Expr size_y = rows * Expr(spec.n);
  const Buffer x = operand_buffer("x", DType::f32, 0, rows * Expr(spec.k));
  const Buffer w = operand_buffer("w", DType::f32, 1, Expr(), Access::Shared);
  const Buffer bias = operand_buffer("bias", DType::f32, 2, Expr(spec.n), Access::Shared);
  const Buffer y = operand_buffer("y", DType::f32, 3, size_y);
  const Var t = variable("t"), r0 = variable("r0"), m = variable("m"), c0 = variable("c0"), r = variable("r");
  GemmCall g;
  g.m = m;
  g.n = min(Expr(columns), Expr(spec.n) - c0);
  g.k = Expr(spec.k);
  g.a = x;
  g.a_offset = r0 * Expr(spec.k);
  g.a_stride = Expr(spec.k);
  g.b = w;
  g.b_packed = spec.packed;
  g.b_transposed = !spec.packed;
  g.b_offset = c0 * Expr(spec.k);
  g.b_stride = Expr(spec.k);
  g.c = y;
  g.c_offset = r0 * Expr(spec.n) + c0;
  g.c_stride = Expr(spec.n);
  g.bias = bias;
  g.bias_offset = c0;
  std::vector<Stmt> steps{gemm(g)};
  Function f;
  f.signature = {spec.name,
                 {reads("x"),
                  {"w", DType::f32, Access::Shared, false, -1},
                  {"bias", DType::f32, Access::Shared, false, -1},
                  writes("y")},
                 {{"rows", 0, kNoMaximum}},
                 {},
                 0};
  if (spec.norm) {
    const Buffer residual = operand_buffer("residual", DType::f32, 4, size_y);
    const Buffer gamma = operand_buffer("gamma", DType::f32, 5, Expr(spec.n), Access::Shared),
                 beta = operand_buffer("beta", DType::f32, 6, Expr(spec.n), Access::Shared);
    const Expr at = (r0 + r) * Expr(spec.n);
    f.signature.operands.insert(f.signature.operands.end(),
                                {reads("residual"),
                                 {"gamma", DType::f32, Access::Shared, false, -1},
                                 {"beta", DType::f32, Access::Shared, false, -1}});
    steps.push_back(
        loop::loop(r, 0, m,
                   norm_row(
                       y, at, spec.n, [&](const Expr& i) { return load(y, at + i) + load(residual, at + i); },
                       gamma, beta, spec.epsilon)));
  } else if (spec.activation != Activation::none) {
    const Var j = variable("j");
    const Expr at = (r0 + r) * Expr(spec.n) + c0 + j;
    steps.push_back(
        loop::loop(r, 0, m,
                   loop::loop(j, 0, min(Expr(columns), Expr(spec.n) - c0),
                              store(y, at, activated(spec.activation, load(y, at))), LoopKind::vector)));
  }
  const Expr row_tile(spec.row_tile);
  f.task = t;
  f.num_tasks = ceil_div(rows, spec.row_tile) * Expr(column_tiles);
  f.task_cost = min(row_tile, rows - floordiv(t, Expr(column_tiles)) * row_tile) * Expr(columns * spec.k);
  f.body = let(r0, floordiv(t, Expr(column_tiles)) * row_tile,
               let(c0, floormod(t, Expr(column_tiles)) * Expr(columns),
                   let(m, min(row_tile, rows - r0), block(steps))));
  return f;
}

Function attention_kernel(const AttentionSpec& spec) {
  const std::int64_t d = spec.heads * spec.head_size, row_tile = 64;
  const std::int64_t width = (spec.max_length + 15) / 16 * 16;
  const Expr tiles = scalar("tiles", 0, 0);
  const Buffer qkv = operand_buffer("qkv", DType::f32, 0, Expr()),
               out = operand_buffer("out", DType::f32, 1, Expr());
  const auto table = [&](const char* name, int slot) { return aux_buffer(name, slot, tiles, 0, kNoMaximum); };
  const Buffer start = table("tile_start", 0), row = table("tile_row", 1), length = table("tile_length", 2),
               keys = table("tile_keys", 3);
  const Buffer scores = scratch_buffer("scores", DType::f32, 0, row_tile * width);
  const Buffer inverse =
      scratch_buffer("inverse", DType::f32, static_cast<int>(row_tile * width * 4), row_tile);
  const Var t = variable("t"), p = variable("p"), h = variable("h"), s0 = variable("s0"), i0 = variable("i0"),
            m = variable("m"), n = variable("n"), stride = variable("stride"), seen = variable("seen");
  const Expr head = h * Expr(spec.head_size);

  GemmCall qk;
  qk.m = m;
  qk.n = n;
  qk.k = Expr(spec.head_size);
  qk.a = qkv;
  qk.a_offset = (s0 + i0) * Expr(3 * d) + head;
  qk.a_stride = Expr(3 * d);
  qk.b = qkv;
  qk.b_transposed = true;
  qk.b_offset = s0 * Expr(3 * d) + Expr(d) + head;
  qk.b_stride = Expr(3 * d);
  qk.c = scores;
  qk.c_offset = Expr(0);
  qk.c_stride = stride;

  GemmCall av;
  av.m = m;
  av.n = Expr(spec.head_size);
  av.k = n;
  av.a = scores;
  av.a_offset = Expr(0);
  av.a_stride = stride;
  av.b = qkv;
  av.b_offset = s0 * Expr(3 * d) + Expr(2 * d) + head;
  av.b_stride = Expr(3 * d);
  av.c = out;
  av.c_offset = (s0 + i0) * Expr(d) + head;
  av.c_stride = Expr(d);

  // Softmax of one row over the keys it may see; what lies beyond in the tile's columns becomes zero, which
  // the second product adds. The division is left to the output: head_size values a row in place of n.
  const Var r = variable("r"), j = variable("j"), k = variable("k"), z = variable("z"), e = variable("e");
  const Buffer top = local_buffer("top", DType::f32, 1), sum = local_buffer("sum", DType::f32, 1);
  const Expr at = r * stride;
  const auto visible = [&](const Expr& column) {
    const Expr score = load(scores, at + column);
    return spec.mask ? select(spec.mask(h, i0 + r, column), score, Expr(-INFINITY)) : score;
  };
  Expr weight = exp(visible(k) - load(top, 0));
  if (spec.mask && !spec.nan_for_masked_rows)
    weight = select(load(top, 0) <= Expr(-INFINITY), Expr(0.0), weight);  // a row that may see nothing: zeros
  const Stmt softmax = let(
      seen, spec.causal ? min(load(keys, p), i0 + r + Expr(1)) : load(keys, p),
      allocate(
          top,
          allocate(
              sum,
              block({store(top, 0, Expr(-INFINITY)), store(sum, 0, Expr(0.0)),
                     loop::loop(j, 0, seen, accumulate(top, 0, Combine::max, visible(j)), LoopKind::vector),
                     loop::loop(k, 0, seen,
                                block({store(scores, at + k, weight),
                                       accumulate(sum, 0, Combine::sum, load(scores, at + k))}),
                                LoopKind::vector),
                     loop::loop(z, seen, n - seen, store(scores, at + z, Expr(0.0)), LoopKind::vector),
                     store(inverse, r,
                           spec.nan_for_masked_rows
                               ? Expr(1.0) / load(sum, 0)
                               : select(Expr(0.0) < load(sum, 0), Expr(1.0) / load(sum, 0), Expr(0.0)))}))));
  const Expr target = (s0 + i0 + r) * Expr(d) + head + e;
  const Stmt scale = loop::loop(e, 0, Expr(spec.head_size),
                                store(out, target, load(out, target) * load(inverse, r)), LoopKind::vector);

  Function f;
  f.signature = {spec.name,
                 {reads("qkv"), writes("out")},
                 {{"tiles", 0, kNoMaximum}},
                 {"tile_start", "tile_row", "tile_length", "tile_keys"},
                 row_tile * width * 4 + row_tile * 4};
  f.task = t;
  f.num_tasks = tiles * Expr(spec.heads);
  const auto rows_of = [&](const Expr& tile) {
    return min(Expr(row_tile), load(length, tile) - load(row, tile));
  };
  const auto columns_of = [&](const Expr& tile) {
    return spec.causal ? min(load(length, tile), load(row, tile) + Expr(row_tile)) : load(length, tile);
  };
  const Expr tile_of_task = floordiv(t, Expr(spec.heads));
  f.task_cost = rows_of(tile_of_task) * columns_of(tile_of_task) * Expr(2 * spec.head_size);
  f.body = let(p, tile_of_task,
               let(h, floormod(t, Expr(spec.heads)),
                   let(s0, load(start, p),
                       let(i0, load(row, p),
                           let(m, rows_of(p),
                               let(n, columns_of(p),
                                   let(stride, ceil_mult(n, 16),
                                       block({gemm(qk), loop::loop(r, 0, m, softmax), gemm(av),
                                              loop::loop(r, 0, m, scale)}))))))));
  return f;
}

Function embedding_kernel(std::int64_t vocabulary, std::int64_t positions, std::int64_t d, double epsilon) {
  const Expr rows = scalar("rows", 0, 0);
  const auto shared = [](const char* name) {
    return OperandDesc{name, DType::f32, Access::Shared, false, -1};
  };
  const Buffer word = operand_buffer("word", DType::f32, 0, Expr(vocabulary * d), Access::Shared),
               place = operand_buffer("position", DType::f32, 1, Expr(positions * d), Access::Shared),
               type = operand_buffer("type", DType::f32, 2, Expr(d), Access::Shared),
               gamma = operand_buffer("gamma", DType::f32, 3, Expr(d), Access::Shared),
               beta = operand_buffer("beta", DType::f32, 4, Expr(d), Access::Shared),
               y = operand_buffer("y", DType::f32, 5, rows * Expr(d));
  const Buffer ids = aux_buffer("ids", 0, rows, 0, vocabulary - 1),
               where = aux_buffer("positions", 1, rows, 0, positions - 1);
  const Var t = variable("t"), r = variable("r");
  constexpr std::int64_t kRows = 64;
  const Expr row = t * Expr(kRows) + r, at = row * Expr(d);
  const auto value = [&](const Expr& i) {
    return load(word, load(ids, row) * Expr(d) + i) + load(type, i) +
           load(place, load(where, row) * Expr(d) + i);
  };
  Function f;
  f.signature = {
      "embedding",
      {shared("word"), shared("position"), shared("type"), shared("gamma"), shared("beta"), writes("y")},
      {{"rows", 0, kNoMaximum}},
      {"ids", "positions"},
      0};
  f.task = t;
  f.num_tasks = ceil_div(rows, kRows);
  f.task_cost = min(Expr(kRows), rows - t * Expr(kRows)) * Expr(d);
  f.body = loop::loop(r, 0, min(Expr(kRows), rows - t * Expr(kRows)),
                      norm_row(y, at, d, value, gamma, beta, epsilon));
  return f;
}

Function mean_pool_kernel(std::int64_t d) {
  const Expr batch = scalar("batch", 0, 0);
  const Buffer x = operand_buffer("x", DType::f32, 0, Expr()),
               y = operand_buffer("y", DType::f32, 1, batch * Expr(d)),
               offsets = aux_buffer("offsets", 0, batch + Expr(1), 0, kNoMaximum);
  const Buffer sum = local_buffer("sum", DType::f32, 1), squares = local_buffer("squares", DType::f32, 1);
  const Var b = variable("b"), j = variable("j"), i = variable("i"), k = variable("k"),
            first = variable("first"), count = variable("count");
  // One over the Euclidean norm; the mean's own factor cancels in it. Zero for an empty sequence.
  const Expr factor = select(Expr(0.0) < load(squares, 0), Expr(1.0) / sqrt(load(squares, 0)), Expr(0.0));
  const Stmt column = allocate(
      sum,
      block({store(sum, 0, Expr(0.0)),
             loop::loop(i, 0, count, accumulate(sum, 0, Combine::sum, load(x, (first + i) * Expr(d) + j))),
             store(y, b * Expr(d) + j, load(sum, 0)),
             accumulate(squares, 0, Combine::sum, load(sum, 0) * load(sum, 0))}));
  Function f;
  f.signature = {"mean_pool", {reads("x"), writes("y")}, {{"batch", 0, kNoMaximum}}, {"offsets"}, 0};
  f.task = b;
  f.num_tasks = batch;
  f.task_cost = (load(offsets, b + Expr(1)) - load(offsets, b) + Expr(1)) * Expr(d);
  f.body = let(
      first, load(offsets, b),
      let(count, load(offsets, b + Expr(1)) - first,
          allocate(
              squares,
              block({store(squares, 0, Expr(0.0)), loop::loop(j, 0, Expr(d), column, LoopKind::vector),
                     loop::loop(k, 0, Expr(d), store(y, b * Expr(d) + k, load(y, b * Expr(d) + k) * factor),
                                LoopKind::vector)}))));
  return f;
}

}  // namespace ballast::ragged
