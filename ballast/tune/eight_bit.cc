#include "ballast/tune/eight_bit.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace ballast::tune {
namespace {

constexpr std::int32_t kSignedBase = (127 - 15) * 8, kPositiveBase = (127 - 31) * 8;

// Exponent and three bits of mantissa of x, rounded, relative to `base`; 0 for what is too small.
std::int32_t rounded(float x, std::int32_t base) {
  return static_cast<std::int32_t>((std::bit_cast<std::uint32_t>(x) + (1u << 19)) >> 20) - base;
}

float widened(std::int32_t code, std::int32_t base) {
  return code == 0 ? 0.0f : std::bit_cast<float>(static_cast<std::uint32_t>(code + base) << 20);
}

}  // namespace

std::uint8_t encode_signed(float x) {
  const std::int32_t code = std::clamp(rounded(std::fabs(x), kSignedBase), 0, 127);
  return static_cast<std::uint8_t>(code | (x < 0 ? 128 : 0));
}

float decode_signed(std::uint8_t code) {
  const float size = widened(code & 127, kSignedBase);
  return code & 128 ? -size : size;
}

std::uint8_t encode_positive(float x) {
  // A positive value never becomes zero: its root divides.
  return static_cast<std::uint8_t>(std::clamp(rounded(x, kPositiveBase), x > 0 ? 1 : 0, 255));
}

float decode_positive(std::uint8_t code) {
  return widened(code, kPositiveBase);
}

EightBitMoments::EightBitMoments(std::int64_t count)
    : m(torch::zeros({count}, torch::kUInt8)),
      v(torch::zeros({count}, torch::kUInt8)),
      m_scale(torch::zeros({(count + kBlock - 1) / kBlock})),
      v_scale(torch::zeros({(count + kBlock - 1) / kBlock})) {}

bool EightBitMoments::step(float* gradient, float* p, const kernels::AdamStep& step, float keep, float rate) {
  auto* m_codes = m.data_ptr<std::uint8_t>();
  auto* v_codes = v.data_ptr<std::uint8_t>();
  bool finite = true;
  for (std::int64_t block = 0; block * kBlock < m.numel(); ++block) {
    const std::int64_t first = block * kBlock, count = std::min(kBlock, m.numel() - first);
    float& ms = m_scale.data_ptr<float>()[block];
    float& vs = v_scale.data_ptr<float>()[block];
    float wide_m[kBlock], wide_v[kBlock];
    for (std::int64_t i = 0; i < count; ++i) {
      wide_m[i] = ms * decode_signed(m_codes[first + i]);
      wide_v[i] = vs * decode_positive(v_codes[first + i]);
    }
    finite &= kernels::adam_parameters(gradient + first, wide_m, wide_v, p + first, count, step, keep, rate);
    ms = vs = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      ms = std::max(ms, std::fabs(wide_m[i]));
      vs = std::max(vs, wide_v[i]);
    }
    for (std::int64_t i = 0; i < count; ++i) {
      m_codes[first + i] = encode_signed(ms > 0 ? wide_m[i] / ms : 0);
      v_codes[first + i] = encode_positive(vs > 0 ? wide_v[i] / vs : 0);
    }
  }
  return finite;
}

}  // namespace ballast::tune
