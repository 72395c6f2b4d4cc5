// The loops that are this component's hot path, on plain pointers: sparse products as gathers, and host Adam.
// Compiled for AVX-512, AVX2 and the base instruction set, chosen when the program starts.
//
// A sparse projector has exactly r nonzeros in each of its rows. `index` and `value` hold them row-major
// [rows][r]; `column_start` [d+1] and `column_entry` list, for each column, the places in these arrays
// (ascending).
#pragma once

#include <cstdint>

namespace ballast::tune::kernels {

/// out[j][0..width) = Σ over entries e of column j: value[e] · in[e / r][0..width). No write conflicts, so
/// the order of additions is fixed. Strides in floats.
void gather_columns(const std::uint32_t* column_start, const std::uint32_t* column_entry, const float* value,
                    std::int64_t d, std::int64_t r, const float* in, std::int64_t in_stride, float* out,
                    std::int64_t out_stride, std::int64_t width);

/// out[i][0..width) = Σ over k < r: value[i·r+k] · in[index[i·r+k]][0..width).
void scatter_rows(const std::uint16_t* index, const float* value, std::int64_t rows, std::int64_t r,
                  const float* in, std::int64_t in_stride, float* out, std::int64_t out_stride,
                  std::int64_t width);

/// w[i][:] = keep · w[i][:] − step · Σ over k: value[i·r+k] · in[index[i·r+k]][:]. The decompression, fused
/// with the decoupled weight decay keep = 1 − η·λ.
void apply_rows(const std::uint16_t* index, const float* value, std::int64_t rows, std::int64_t r,
                const float* in, std::int64_t in_stride, float* w, std::int64_t w_stride, std::int64_t width,
                float keep, float step);

/// out[i·r+k] += scale · Σ over c < width: a[i][c] · b[index[i·r+k]][c]: the entries of a·bᵀ at the stored
/// positions.
void sampled_products(const std::uint16_t* index, std::int64_t rows, std::int64_t r, const float* a,
                      std::int64_t a_stride, const float* b, std::int64_t b_stride, std::int64_t width,
                      float scale, float* out);

struct AdamStep {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  double correction1 = 1;  ///< 1 − β₁^t
  double correction2 = 1;  ///< 1 − β₂^t
  float scale = 1;         ///< multiplies the gradient first (clipping)
};

/// Updates m and v by the gradient and overwrites the gradient by Δ = m̂/(√v̂ + ε). False when a NaN or an
/// infinity was met, in the gradient or in Δ (the values are then unspecified).
bool adam_delta(float* gradient, float* m, float* v, std::int64_t count, const AdamStep& step);

/// The same, then p = keep · p − rate · Δ; writes p into `gradient` too (what Zero sends back to the device).
bool adam_parameters(float* gradient, float* m, float* v, float* p, std::int64_t count, const AdamStep& step,
                     float keep, float rate);

}  // namespace ballast::tune::kernels
