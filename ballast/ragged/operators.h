// Operators of the field through the schedule compiler, each with the schedule that suits a CPU: what
// `bench`, `tune` and `compile --op` use, and a place to copy from. A `Bound` is a program with memory of its
// own, ready to run.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ballast/ragged/program.h"

namespace ballast::ragged {

/// D[b] = A[b] C[b], all three sizes different for every b; tiles of all problems are one list of tasks.
/// Lengths M, N, K; scalar B; tensors A, C, D.
struct VgemmSpec {
  std::int64_t row_tile = 768, column_tile = 256;
  loop::Balance balance = loop::Balance::cost_prefix;
  bool hoist = true;
};
Program vgemm_program(loop::KernelRegistry& registry, const VgemmSpec& spec = {});

/// Y = L X, L lower triangular in full n x n storage (n a multiple of 32): rows in tiles of 32, the columns
/// before the tile as a product, the tile's triangle as its tail (operation splitting of the reduction).
/// Unsplit, the zero half of the tile is multiplied too. Tensors L, X, Y and, split, Y.tail (the same memory
/// as Y).
struct TrmmSpec {
  std::int64_t n = 512;
  bool split = true;
  loop::Balance balance = loop::Balance::cost_prefix;
  bool heavy_first = true;
};
Program trmm_program(loop::KernelRegistry& registry, const TrmmSpec& spec);

/// Y = A + B (or A * B) over packed lower triangles of n rows: one flat loop with lanes. Tensors A, B, Y.
Program triangular_program(loop::KernelRegistry& registry, std::int64_t n, bool multiply = false,
                           bool closed_offsets = false);

/// How attention's operators are scheduled and stored.
struct AttentionOptions {
  std::int64_t heads = 8, head_size = 64, max_length = 512;
  std::int64_t constant_length = 0;  ///< not 0: loops and storage are dense, of this length
  bool dense_storage = false;        ///< ragged loops over storage of the maximum length
  std::int64_t pad = 1;              ///< loops and storage of rows and columns
  std::int64_t tile = 64;
  bool hoist = true;
  bool remap = true;
  bool scaled_queries = false;  ///< the queries carry the factor 1 / sqrt(head_size) already
  /// Operators that read and write storage padded otherwise than their neighbours' (padding-change fusion),
  /// or kernels of their own that copy between the two: 1 to `pad` before the scores, `pad` to 1 and back
  /// around softmax, `pad` to 1 behind the values.
  bool separate_padding = false;
};
/// One operator alone: "qk" (Q, K to S), "softmax" (S to P, by way of M, E, T), "av" (P, V to O),
/// "projection" (X, W to Y over all tokens). Lengths len; scalar B.
Program attention_operator(loop::KernelRegistry& registry, const std::string& name,
                           const AttentionOptions& o);
/// Multi-head attention, one kernel an operator: QKV [b, i, 3 d] to O [b, i, d] by way of S, M, E, T. With
/// `projections`, from X [b, i, d] and W [d, 3 d] and to Y by WO [d, d].
Program attention_program(loop::KernelRegistry& registry, const AttentionOptions& o, bool projections);
/// Q K^T: "vanilla" (64 x 64 tiles, padded), "split" (rows beyond the last whole 64 in tiles of 32) and
/// "hfuse" (both parts in one parallel region); tensors Q, K, S, S.head, S.tail.
Program split_scores_program(loop::KernelRegistry& registry, const std::string& kind, std::int64_t heads,
                             bool hoist = true);

/// Words of paragraphs of documents: T[d, p, k] = the sum of the words' rows X[d, p, w, k]. Lengths np, nw
/// (one a paragraph); scalar D.
Program paragraphs_program(loop::KernelRegistry& registry, std::int64_t features);

struct Bound {
  Program program;
  Prepared prepared;
  std::map<std::string, std::vector<float>> memory;
  std::map<std::string, float*> tensors;
  /// Every tensor gets memory: inputs noise of one seed, the others zeros. `alias` maps names to those whose
  /// memory they share.
  Bound(Program p, const Pattern& pattern, const std::map<std::string, std::string>& alias = {});
  void run(loop::Launcher& launcher) { program.run(launcher, prepared, tensors); }
};

}  // namespace ballast::ragged
