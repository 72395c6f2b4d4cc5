// Softmax attention, grouped-query or not, with its mask, and rotary positions.
#pragma once

#include <torch/torch.h>

namespace ballast::model {

struct AttentionOptions {
  bool causal = false;          ///< a query sees keys of its own and earlier positions only
  at::Tensor key_padding = {};  ///< [batch, keys] bool, true where a key is to be seen; undefined: all are
  /// Queries are taken in chunks of this many rows, so that scores [batch, heads, queries, keys] of a long
  /// sequence never exist at once.
  std::int64_t query_rows = 512;
};

/// softmax(QKᵀ/√size + mask) V. `q` is [batch, heads, queries, size]; `k` and `v` are [batch, kv_heads, keys,
/// size], where kv_heads divides heads and each key head serves heads/kv_heads consecutive query heads. Gives
/// [batch, heads, queries, size]. Causal attention needs as many queries as keys.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const AttentionOptions& options);

/// Angles of rotary position embedding: cos and sin [positions, size/2] of position * theta^(-2i/size).
struct RotaryTable {
  at::Tensor cos, sin;
};
RotaryTable rotary_table(std::int64_t positions, std::int64_t size, double theta);

/// Rotates x [batch, heads, positions, size] in the half-split layout of Hugging Face: component i pairs with
/// i + size/2. (GGUF files of the LLaMA type hold rows for interleaved pairs; see gguf.h.)
at::Tensor rotate(const at::Tensor& x, const RotaryTable& table);

}  // namespace ballast::model
