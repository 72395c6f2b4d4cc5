// Ragged batches for users of libtorch: one tensor of all rows, one of offsets, as PyTorch's jagged nested
// tensors hold them. Header only: link ballast::ragged and torch.
//
//   RaggedBatch batch = from_padded(padded, lengths);       // [B, longest, d], [B]: rows are copied
//   RaggedBatch same = from_values_offsets(values, offsets);  // no copy where values are packed fp32
//   torch::Tensor back = to_padded(batch, 0.0);
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ballast/base/errors.h"

namespace ballast::ragged {

class RaggedBatch {
 public:
  RaggedBatch(torch::Tensor values, std::vector<std::int32_t> lengths)
      : values_(std::move(values)), lengths_(std::move(lengths)) {}

  const torch::Tensor& values() const { return values_; }  ///< [sum of lengths, d], fp32, contiguous, CPU
  const std::vector<std::int32_t>& lengths() const { return lengths_; }
  /// int64 [B + 1], beginning with 0.
  torch::Tensor offsets() const {
    torch::Tensor out = torch::zeros({static_cast<std::int64_t>(lengths_.size()) + 1}, torch::kLong);
    auto* at = out.data_ptr<std::int64_t>();
    for (std::size_t b = 0; b < lengths_.size(); ++b) at[b + 1] = at[b] + lengths_[b];
    return out;
  }
  std::int64_t longest() const {
    return lengths_.empty() ? 0 : *std::max_element(lengths_.begin(), lengths_.end());
  }

 private:
  torch::Tensor values_;
  std::vector<std::int32_t> lengths_;
};

namespace internal {

/// A tensor as the engine reads it; what it is not is said.
inline torch::Tensor plain_floats(const torch::Tensor& t, const std::string& name, std::int64_t dims) {
  if (!t.defined()) throw InvalidInput(name + ": the tensor is undefined");
  if (t.dim() != dims)
    throw InvalidInput(name, std::to_string(t.dim()) + " dimensions", std::to_string(dims));
  if (!t.device().is_cpu()) throw InvalidInput(name, "device " + t.device().str(), "a tensor on the CPU");
  if (t.scalar_type() != torch::kFloat)
    throw InvalidInput(name, std::string("dtype ") + torch::toString(t.scalar_type()), "float32");
  if (t.requires_grad() && torch::GradMode::is_enabled())
    throw InvalidInput(name +
                       " requires a gradient: this module is for inference, use it under torch::NoGradGuard");
  return t.contiguous();
}

inline std::vector<std::int64_t> integers(const torch::Tensor& t, const std::string& name) {
  if (!t.defined() || t.dim() != 1 || (t.scalar_type() != torch::kLong && t.scalar_type() != torch::kInt))
    throw InvalidInput(name + ": one dimension of int32 or int64 is expected");
  const torch::Tensor all = t.to(torch::kCPU, torch::kLong).contiguous();
  return {all.data_ptr<std::int64_t>(), all.data_ptr<std::int64_t>() + all.numel()};
}

}  // namespace internal

/// Throws InvalidInput naming index and value for a length that is negative or above the padded one.
inline RaggedBatch from_padded(const torch::Tensor& padded, const torch::Tensor& lengths) {
  const torch::Tensor x = internal::plain_floats(padded, "padded", 3);
  const std::vector<std::int64_t> all = internal::integers(lengths, "lengths");
  if (static_cast<std::int64_t>(all.size()) != x.size(0))
    throw InvalidInput("number of lengths", std::to_string(all.size()), std::to_string(x.size(0)));
  std::vector<std::int32_t> own;
  std::int64_t rows = 0;
  for (std::size_t b = 0; b < all.size(); ++b) {
    if (all[b] < 0 || all[b] > x.size(1))
      throw InvalidInput("lengths[" + std::to_string(b) + "]", std::to_string(all[b]),
                         "0 to " + std::to_string(x.size(1)));
    own.push_back(static_cast<std::int32_t>(all[b]));
    rows += all[b];
  }
  torch::Tensor values = torch::empty({rows, x.size(2)}, torch::kFloat);
  auto* to = values.data_ptr<float>();
  for (std::size_t b = 0; b < own.size(); ++b) {
    const float* from = x.data_ptr<float>() + static_cast<std::int64_t>(b) * x.size(1) * x.size(2);
    to = std::copy_n(from, own[b] * x.size(2), to);
  }
  return {values, own};
}

/// The pair of a jagged tensor. Throws InvalidInput with the index for offsets that do not begin with 0, that
/// fall, or that do not end at the number of rows.
inline RaggedBatch from_values_offsets(const torch::Tensor& values, const torch::Tensor& offsets) {
  const torch::Tensor x = internal::plain_floats(values, "values", 2);
  const std::vector<std::int64_t> at = internal::integers(offsets, "offsets");
  if (at.empty()) throw InvalidInput("offsets: none; a batch of B sequences has B + 1 of them");
  if (at[0] != 0) throw InvalidInput("offsets[0]", std::to_string(at[0]), "0");
  std::vector<std::int32_t> lengths;
  for (std::size_t i = 1; i < at.size(); ++i) {
    if (at[i] < at[i - 1] || at[i] - at[i - 1] > (1 << 30))
      throw InvalidInput("offsets[" + std::to_string(i) + "]", std::to_string(at[i]),
                         "at least the one before, " + std::to_string(at[i - 1]));
    lengths.push_back(static_cast<std::int32_t>(at[i] - at[i - 1]));
  }
  if (at.back() != x.size(0))
    throw InvalidInput("offsets[" + std::to_string(at.size() - 1) + "]", std::to_string(at.back()),
                       "the number of rows, " + std::to_string(x.size(0)));
  return {x, lengths};
}

/// One [length, d] tensor a sequence.
inline RaggedBatch from_list(const std::vector<torch::Tensor>& sequences) {
  if (sequences.empty()) throw InvalidInput("from_list: no sequence, so that the row size is not known");
  std::vector<torch::Tensor> rows;
  std::vector<std::int32_t> lengths;
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    const std::string name = "sequence " + std::to_string(b);
    rows.push_back(internal::plain_floats(sequences[b], name, 2));
    if (rows.back().size(1) != rows.front().size(1))
      throw InvalidInput(name, std::to_string(rows.back().size(1)) + " columns",
                         std::to_string(rows.front().size(1)));
    lengths.push_back(static_cast<std::int32_t>(rows.back().size(0)));
  }
  return {torch::cat(rows, 0), lengths};
}

/// [B, longest, d]; rows beyond a sequence's end hold `fill`.
inline torch::Tensor to_padded(const RaggedBatch& batch, double fill = 0) {
  const torch::Tensor x = batch.values().contiguous();
  const std::int64_t longest = batch.longest(), d = x.size(1);
  torch::Tensor out =
      torch::full({static_cast<std::int64_t>(batch.lengths().size()), longest, d}, fill, torch::kFloat);
  const float* from = x.data_ptr<float>();
  for (std::size_t b = 0; b < batch.lengths().size(); ++b) {
    const std::int64_t count = batch.lengths()[b] * d;
    std::copy_n(from, count, out.data_ptr<float>() + static_cast<std::int64_t>(b) * longest * d);
    from += count;
  }
  return out;
}

}  // namespace ballast::ragged
