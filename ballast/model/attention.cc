#include "ballast/model/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ballast/base/errors.h"

namespace ballast::model {
namespace {

// Adds -inf where a key must not be seen by queries first ... first + rows.
at::Tensor masked(at::Tensor scores, std::int64_t first, std::int64_t rows, const AttentionOptions& options) {
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  const std::int64_t keys = scores.size(-1);
  if (options.causal) {
    const at::Tensor hidden =
        torch::ones({rows, keys}, torch::TensorOptions().dtype(torch::kBool).device(scores.device()))
            .triu(first + 1);
    scores = scores.masked_fill(hidden, kNever);
  }
  if (options.key_padding.defined()) {
    scores = scores.masked_fill(options.key_padding.logical_not().view({-1, 1, 1, 1, keys}), kNever);
  }
  return scores;
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const AttentionOptions& options) {
  const std::int64_t batch = q.size(0), heads = q.size(1), queries = q.size(2), size = q.size(3);
  const std::int64_t kv_heads = k.size(1);
  BALLAST_CHECK(heads % kv_heads == 0 && k.size(3) == size && v.sizes() == k.sizes());
  const std::int64_t group = heads / kv_heads;
  const double scale = 1.0 / std::sqrt(static_cast<double>(size));

  // [batch, kv_heads, group, rows, ...]: the group's queries share their key head, which is never copied.
  const at::Tensor grouped = (q * scale).view({batch, kv_heads, group, queries, size});
  const at::Tensor keys = k.transpose(-2, -1);
  std::vector<at::Tensor> chunks;
  for (std::int64_t first = 0; first < queries; first += options.query_rows) {
    const std::int64_t rows = std::min(options.query_rows, queries - first);
    const at::Tensor part = grouped.narrow(3, first, rows).reshape({batch, kv_heads, group * rows, size});
    at::Tensor scores = part.matmul(keys).view({batch, kv_heads, group, rows, -1});
    scores = masked(scores, first, rows, options);
    const at::Tensor weights = at::softmax(scores, -1).view({batch, kv_heads, group * rows, -1});
    chunks.push_back(weights.matmul(v).view({batch, heads, rows, size}));
  }
  return chunks.size() == 1 ? chunks.front() : at::cat(chunks, 2);
}

RotaryTable rotary_table(std::int64_t positions, std::int64_t size, double theta) {
  BALLAST_CHECK(size % 2 == 0);
  const auto exact = torch::TensorOptions().dtype(torch::kFloat64);
  const at::Tensor frequency = at::pow(theta, torch::arange(0, size, 2, exact) / -static_cast<double>(size));
  const at::Tensor angle = torch::arange(positions, exact).unsqueeze(1) * frequency;
  return {at::cos(angle).to(torch::kFloat32), at::sin(angle).to(torch::kFloat32)};
}

at::Tensor rotate(const at::Tensor& x, const RotaryTable& table) {
  const auto halves = x.chunk(2, -1);
  const at::Tensor cos = table.cos.narrow(0, 0, x.size(-2)).to(x.scalar_type());
  const at::Tensor sin = table.sin.narrow(0, 0, x.size(-2)).to(x.scalar_type());
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
}

}  // namespace ballast::model
