// Adam's two moments in one byte a value: small floating-point numbers relative to the largest of their block
// of 256. The first has a sign, 4 bits of exponent and 3 of mantissa; the second, which is never negative,
// has 5 of exponent and 3 of mantissa. After 8-bit Adam (Dettmers et al., 2022), whose codes are others of
// the same kind.
#pragma once

#include <torch/torch.h>

#include "ballast/tune/kernels.h"

namespace ballast::tune {

class EightBitMoments {
 public:
  static constexpr std::int64_t kBlock = 256;

  /// For `count` values; both moments zero. 2 bytes a value and 8 bytes a block.
  explicit EightBitMoments(std::int64_t count);

  /// Adam's step as kernels::adam_parameters does it, with the moments decoded before and encoded after; the
  /// gradient is overwritten. False when a value was not finite.
  bool step(float* gradient, float* p, const kernels::AdamStep& step, float keep, float rate);

  at::Tensor m, v;              ///< [count] uint8
  at::Tensor m_scale, v_scale;  ///< [blocks] f32
};

/// The codes of 0 <= |x| <= 1 and back; relative error at most 1/16 above the smallest exponent.
std::uint8_t encode_signed(float x);
float decode_signed(std::uint8_t code);
std::uint8_t encode_positive(float x);
float decode_positive(std::uint8_t code);

}  // namespace ballast::tune
