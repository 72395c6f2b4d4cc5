// The operators of a transformer encoder as loop IR with their default CPU schedules (specification 3.13).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ballast/loop/kernel.h"

namespace ballast::ragged {

enum class Activation : std::uint8_t { none, relu, gelu };
Activation activation_from(const std::string& word);

/// y = act(x w^T + bias), and with `norm`: y = layer_norm(x w^T + bias + residual). The fused loop over all
/// rows of all sequences; a task is `row_tile` rows times `column_tile` columns (all columns with norm).
/// Frame: {x [rows, k], w, bias [n], y [rows, n]} and with norm {residual [rows, n], gamma [n], beta [n]};
/// scalars {rows}.
struct LinearSpec {
  std::string name;
  std::int64_t k = 0, n = 0;
  Activation activation = Activation::none;
  bool norm = false;
  double epsilon = 1e-12;
  bool packed = true;  ///< w was made by pack_panels; else w is [n, k]
  std::int64_t row_tile = 96, column_tile = 512;
};
loop::Function linear_kernel(const LinearSpec& spec);

/// Which keys a query may see, over (head, row, column) of the sequence; null: all.
using Mask =
    std::function<loop::Expr(const loop::Expr& head, const loop::Expr& row, const loop::Expr& column)>;

/// One task is (row tile, head): S = Q K^T in scratch, softmax by rows, out = S V. Q is expected scaled
/// already. Frame: {qkv [rows, 3 d], out [rows, d]}, scalars {tiles}, aux {tile_start, tile_row, tile_length,
/// tile_keys} of Plan.
struct AttentionSpec {
  std::int64_t heads = 8, head_size = 64, max_length = 512;
  bool causal = false;
  Mask mask;
  bool nan_for_masked_rows = false;  ///< else such a row's output is zero
  std::string name = "attention";
};
loop::Function attention_kernel(const AttentionSpec& spec);
/// y[row] = layer_norm(word[id[row]] + position[position[row]] + type). Frame: {word, position, type, gamma,
/// beta, y}, scalars {rows}, aux {ids, positions}.
loop::Function embedding_kernel(std::int64_t vocabulary, std::int64_t positions, std::int64_t d,
                                double epsilon);
/// y[b] = mean of the rows of sequence b, divided by its Euclidean norm. Frame: {x [rows, d], y [B, d]},
/// scalars {B}, aux {offsets}. An empty sequence gives zeros.
loop::Function mean_pool_kernel(std::int64_t d);

}  // namespace ballast::ragged
