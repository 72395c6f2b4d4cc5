#include "ballast/tune/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

// One binary for every x86-64: the loader takes the widest clone. ThreadSanitizer cannot run the resolvers.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__)
#define BALLAST_CLONES __attribute__((target_clones("avx512f", "avx2,fma", "default")))
#else
#define BALLAST_CLONES
#endif

namespace ballast::tune::kernels {
namespace {
constexpr std::int64_t kPanel = 64;  // floats: what fits in registers as accumulators

// sum += weight · row over one panel; a whole panel's loop has a known length. Inlined into each clone, so it
// takes that clone's instructions.
__attribute__((always_inline)) inline void accumulate(float* sum, float weight, const float* row,
                                                      std::int64_t count) {
  if (count == kPanel) {
    for (std::int64_t c = 0; c < kPanel; ++c) sum[c] += weight * row[c];
  } else {
    for (std::int64_t c = 0; c < count; ++c) sum[c] += weight * row[c];
  }
}
}  // namespace

BALLAST_CLONES
void gather_columns(const std::uint32_t* column_start, const std::uint32_t* column_entry, const float* value,
                    std::int64_t d, std::int64_t r, const float* in, std::int64_t in_stride, float* out,
                    std::int64_t out_stride, std::int64_t width) {
  const auto per_row = static_cast<std::uint32_t>(r);
  for (std::int64_t first = 0; first < width; first += kPanel) {
    const std::int64_t count = std::min(kPanel, width - first);
    for (std::int64_t j = 0; j < d; ++j) {
      float sum[kPanel] = {};
      for (std::uint32_t at = column_start[j]; at < column_start[j + 1]; ++at) {
        const std::uint32_t entry = column_entry[at];
        const float weight = value[entry];
        const float* row = in + static_cast<std::int64_t>(entry / per_row) * in_stride + first;
        accumulate(sum, weight, row, count);
      }
      std::memcpy(out + j * out_stride + first, sum, static_cast<std::size_t>(count) * sizeof(float));
    }
  }
}

BALLAST_CLONES
void scatter_rows(const std::uint16_t* index, const float* value, std::int64_t rows, std::int64_t r,
                  const float* in, std::int64_t in_stride, float* out, std::int64_t out_stride,
                  std::int64_t width) {
  for (std::int64_t first = 0; first < width; first += kPanel) {
    const std::int64_t count = std::min(kPanel, width - first);
    for (std::int64_t i = 0; i < rows; ++i) {
      float sum[kPanel] = {};
      for (std::int64_t k = 0; k < r; ++k) {
        const float weight = value[i * r + k];
        const float* row = in + index[i * r + k] * in_stride + first;
        accumulate(sum, weight, row, count);
      }
      std::memcpy(out + i * out_stride + first, sum, static_cast<std::size_t>(count) * sizeof(float));
    }
  }
}

BALLAST_CLONES
void apply_rows(const std::uint16_t* index, const float* value, std::int64_t rows, std::int64_t r,
                const float* in, std::int64_t in_stride, float* w, std::int64_t w_stride, std::int64_t width,
                float keep, float step) {
  for (std::int64_t first = 0; first < width; first += kPanel) {
    const std::int64_t count = std::min(kPanel, width - first);
    for (std::int64_t i = 0; i < rows; ++i) {
      float sum[kPanel] = {};
      for (std::int64_t k = 0; k < r; ++k) {
        const float weight = value[i * r + k];
        const float* row = in + index[i * r + k] * in_stride + first;
        accumulate(sum, weight, row, count);
      }
      float* target = w + i * w_stride + first;
      for (std::int64_t c = 0; c < count; ++c) target[c] = keep * target[c] - step * sum[c];
    }
  }
}

BALLAST_CLONES
void sampled_products(const std::uint16_t* index, std::int64_t rows, std::int64_t r, const float* a,
                      std::int64_t a_stride, const float* b, std::int64_t b_stride, std::int64_t width,
                      float scale, float* out) {
  constexpr std::int64_t kLanes = 16;
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* left = a + i * a_stride;
    for (std::int64_t k = 0; k < r; ++k) {
      const float* right = b + index[i * r + k] * b_stride;
      float sum[kLanes] = {};
      std::int64_t c = 0;
      for (; c + kLanes <= width; c += kLanes) {
        for (std::int64_t lane = 0; lane < kLanes; ++lane) sum[lane] += left[c + lane] * right[c + lane];
      }
      float total = 0;
      for (; c < width; ++c) total += left[c] * right[c];
      for (std::int64_t lane = 0; lane < kLanes; ++lane) total += sum[lane];
      out[i * r + k] += scale * total;
    }
  }
}

BALLAST_CLONES
bool adam_delta(float* gradient, float* m, float* v, std::int64_t count, const AdamStep& step) {
  const float b1 = step.beta1, b2 = step.beta2, epsilon = step.epsilon, scale = step.scale;
  const auto c1 = static_cast<float>(1.0 / step.correction1);
  const auto c2 = static_cast<float>(1.0 / step.correction2);
  float poison = 0;  // 0 · x is NaN exactly when x is not finite
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * scale;
    const float mi = b1 * m[i] + (1 - b1) * g;
    const float vi = b2 * v[i] + (1 - b2) * g * g;
    m[i] = mi;
    v[i] = vi;
    const float delta = mi * c1 / (std::sqrt(vi * c2) + epsilon);
    gradient[i] = delta;
    poison += 0.0f * delta;
  }
  return poison == 0;
}

BALLAST_CLONES
bool adam_parameters(float* gradient, float* m, float* v, float* p, std::int64_t count, const AdamStep& step,
                     float keep, float rate) {
  const float b1 = step.beta1, b2 = step.beta2, epsilon = step.epsilon, scale = step.scale;
  const auto c1 = static_cast<float>(1.0 / step.correction1);
  const auto c2 = static_cast<float>(1.0 / step.correction2);
  float poison = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * scale;
    const float mi = b1 * m[i] + (1 - b1) * g;
    const float vi = b2 * v[i] + (1 - b2) * g * g;
    m[i] = mi;
    v[i] = vi;
    const float delta = mi * c1 / (std::sqrt(vi * c2) + epsilon);
    const float next = keep * p[i] - rate * delta;
    p[i] = next;
    gradient[i] = next;
    poison += 0.0f * delta;
  }
  return poison == 0;
}

}  // namespace ballast::tune::kernels
