// The encoder's oracle: textbook loops in double precision, one sequence at a time.
#include <cmath>

#include "ballast/ragged/encoder.h"

namespace ballast::ragged {
namespace {

using Matrix = std::vector<double>;  // row-major

/// y = x w^T + bias, x [rows, k], w [n, k].
Matrix linear(const Matrix& x, std::int64_t rows, std::int64_t k, const std::vector<float>& w,
              const std::vector<float>& bias) {
  const auto n = static_cast<std::int64_t>(bias.size());
  Matrix y(static_cast<std::size_t>(rows * n));
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = bias[static_cast<std::size_t>(j)];
      const double* a = x.data() + i * k;
      const float* b = w.data() + j * k;
      for (std::int64_t e = 0; e < k; ++e) sum += a[e] * static_cast<double>(b[e]);
      y[static_cast<std::size_t>(i * n + j)] = sum;
    }
  return y;
}

void add_and_norm(Matrix& x, const Matrix& residual, std::int64_t rows, std::int64_t d,
                  const std::vector<float>& gamma, const std::vector<float>& beta, double epsilon) {
  for (std::int64_t i = 0; i < rows; ++i) {
    double* v = x.data() + i * d;
    double mean = 0, variance = 0;
    for (std::int64_t e = 0; e < d; ++e) mean += v[e] += residual[static_cast<std::size_t>(i * d + e)];
    mean /= static_cast<double>(d);
    for (std::int64_t e = 0; e < d; ++e) variance += (v[e] - mean) * (v[e] - mean);
    variance /= static_cast<double>(d);
    for (std::int64_t e = 0; e < d; ++e)
      v[e] = (v[e] - mean) / std::sqrt(variance + epsilon) *
                 static_cast<double>(gamma[static_cast<std::size_t>(e)]) +
             static_cast<double>(beta[static_cast<std::size_t>(e)]);
  }
}

Matrix attention(const Matrix& qkv, std::int64_t l, const EncoderConfig& c) {
  const std::int64_t d = c.model, size = d / c.heads;
  Matrix out(static_cast<std::size_t>(l * d));
  std::vector<double> p(static_cast<std::size_t>(l));
  for (std::int64_t h = 0; h < c.heads; ++h)
    for (std::int64_t i = 0; i < l; ++i) {
      const std::int64_t seen = c.causal ? i + 1 : l;
      double top = -INFINITY, total = 0;
      for (std::int64_t j = 0; j < seen; ++j) {
        double sum = 0;
        for (std::int64_t e = 0; e < size; ++e)
          sum += qkv[static_cast<std::size_t>(i * 3 * d + h * size + e)] *
                 qkv[static_cast<std::size_t>(j * 3 * d + d + h * size + e)];
        p[static_cast<std::size_t>(j)] = sum / std::sqrt(static_cast<double>(size));
        top = std::max(top, p[static_cast<std::size_t>(j)]);
      }
      for (std::int64_t j = 0; j < seen; ++j)
        total += p[static_cast<std::size_t>(j)] = std::exp(p[static_cast<std::size_t>(j)] - top);
      for (std::int64_t j = 0; j < seen; ++j)
        for (std::int64_t e = 0; e < size; ++e)
          out[static_cast<std::size_t>(i * d + h * size + e)] +=
              p[static_cast<std::size_t>(j)] / total *
              qkv[static_cast<std::size_t>(j * 3 * d + 2 * d + h * size + e)];
    }
  return out;
}

}  // namespace

void reference_encoder(const EncoderConfig& c, const std::vector<LayerWeights>& weights,
                       std::span<const std::int32_t> lengths, std::vector<double>& hidden) {
  const std::int64_t d = c.model;
  std::size_t first = 0;
  for (const std::int32_t length : lengths) {
    const std::int64_t l = length;
    const auto size = static_cast<std::size_t>(l * d);
    Matrix x(hidden.begin() + static_cast<std::ptrdiff_t>(first),
             hidden.begin() + static_cast<std::ptrdiff_t>(first + size));
    for (const LayerWeights& w : weights) {
      Matrix y = linear(attention(linear(x, l, d, w.qkv, w.qkv_bias), l, c), l, d, w.out, w.out_bias);
      add_and_norm(y, x, l, d, w.norm1, w.norm1_bias, c.epsilon);
      Matrix up = linear(y, l, d, w.up, w.up_bias);
      for (double& v : up) {
        if (c.activation == Activation::relu) v = std::max(v, 0.0);
        if (c.activation == Activation::gelu) v = 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
      }
      x = linear(up, l, c.feed_forward, w.down, w.down_bias);
      add_and_norm(x, y, l, d, w.norm2, w.norm2_bias, c.epsilon);
    }
    std::copy(x.begin(), x.end(), hidden.begin() + static_cast<std::ptrdiff_t>(first));
    first += size;
  }
}

}  // namespace ballast::ragged
