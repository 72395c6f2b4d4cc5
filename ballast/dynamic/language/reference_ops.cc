#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/dynamic/language/reference.h"

namespace ballast::dynamic {
namespace {

using Numbers = std::vector<double>;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// Position in an operand that is broadcast to `shape`, of the result's flat position.
std::int64_t broadcast_position(std::int64_t position, const Shape& shape, const Shape& operand) {
  std::int64_t result = 0, stride = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::int64_t extent = shape[shape.size() - 1 - i], digit = position % extent;
    position /= extent;
    if (i >= operand.size()) continue;
    const std::int64_t own = operand[operand.size() - 1 - i];
    if (own != 1) result += digit * stride;
    stride *= own;
  }
  return result;
}

double unary(OpKind kind, double x, double factor) {
  switch (kind) {
    case OpKind::neg:
      return -x;
    case OpKind::exp:
      return std::exp(x);
    case OpKind::log:
      return std::log(x);
    case OpKind::sqrt:
      return std::sqrt(x);
    case OpKind::sigmoid:
      return 1 / (1 + std::exp(-x));
    case OpKind::tanh:
      return std::tanh(x);
    case OpKind::relu:
      return std::max(x, 0.0);
    case OpKind::gelu:
      return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
    case OpKind::erf:
      return std::erf(x);
    case OpKind::step:
      return x > 0 ? 1 : 0;
    default:
      return x * factor;
  }
}

double binary(OpKind kind, double x, double y) {
  switch (kind) {
    case OpKind::add:
      return x + y;
    case OpKind::sub:
      return x - y;
    case OpKind::mul:
      return x * y;
    case OpKind::div:
      return x / y;
    case OpKind::max:
      return std::max(x, y);
    default:
      return std::min(x, y);
  }
}

/// out[o, i] = f(the elements of one line along the axis), lines numbered by what lies before and behind the
/// axis.
struct Lines {
  std::int64_t before = 1, extent = 1, behind = 1;
  Lines(const Shape& shape, std::int64_t axis) {
    if (axis < 0) axis += static_cast<std::int64_t>(shape.size());
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const auto here = static_cast<std::int64_t>(i);
      (here < axis ? before : here == axis ? extent : behind) *= shape[i];
    }
  }
  std::int64_t position(std::int64_t b, std::int64_t e, std::int64_t i) const {
    return (b * extent + e) * behind + i;
  }
};

Numbers products(const Numbers& a, const Numbers& b, std::int64_t groups, std::int64_t m, std::int64_t k,
                 std::int64_t n, bool transposed) {
  Numbers out(at(groups * m * n), 0.0);
  for (std::int64_t g = 0; g < groups; ++g)
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (std::int64_t x = 0; x < k; ++x)
          sum += a[at((g * m + i) * k + x)] * b[at(g * k * n + (transposed ? j * k + x : x * n + j))];
        out[at((g * m + i) * n + j)] = sum;
      }
  return out;
}

}  // namespace

Numbers reference_op(const OpCall& call, const std::vector<Shape>& s, const std::vector<const Numbers*>& x,
                     std::int64_t index, const Shape& result) {
  const std::int64_t size = volume(result);
  Numbers out(at(size), 0.0);
  if (call.kind >= OpKind::add && call.kind <= OpKind::min) {
    for (std::int64_t i = 0; i < size; ++i)
      out[at(i)] = binary(call.kind, (*x[0])[at(broadcast_position(i, result, s[0]))],
                          (*x[1])[at(broadcast_position(i, result, s[1]))]);
    return out;
  }
  if (is_elementwise(call.kind)) {
    for (std::int64_t i = 0; i < size; ++i) out[at(i)] = unary(call.kind, (*x[0])[at(i)], call.real);
    return out;
  }
  switch (call.kind) {
    case OpKind::dense: {
      const std::int64_t k = s[0].back(), n = s[1][0];
      out = products(*x[0], *x[1], 1, size / n, k, n, true);
      for (std::int64_t i = 0; i < size; ++i) {
        if (x.size() > 2) out[at(i)] += (*x[2])[at(i % n)];
        if (x.size() > 3) out[at(i)] += (*x[3])[at(i)];
      }
      return out;
    }
    case OpKind::matmul:
      return products(*x[0], *x[1], 1, s[0][0], s[0][1], s[1][1], false);
    case OpKind::batch_matmul:
      return products(*x[0], *x[1], s[0][0], s[0][1], s[0][2], s[1][2], false);
    case OpKind::softmax:
    case OpKind::log_softmax:
    case OpKind::layer_norm: {
      const std::int64_t n = result.back();
      for (std::int64_t row = 0; row < size / n; ++row) {
        const double* in = x[0]->data() + row * n;
        double* to = out.data() + row * n;
        if (call.kind == OpKind::layer_norm) {
          double mean = 0, square = 0;
          for (std::int64_t i = 0; i < n; ++i) mean += in[i] / static_cast<double>(n);
          for (std::int64_t i = 0; i < n; ++i)
            square += (in[i] - mean) * (in[i] - mean) / static_cast<double>(n);
          for (std::int64_t i = 0; i < n; ++i)
            to[i] = (in[i] - mean) / std::sqrt(square + 1e-5) * (*x[1])[at(i)] + (*x[2])[at(i)];
          continue;
        }
        const double top = *std::max_element(in, in + n);
        double sum = 0;
        for (std::int64_t i = 0; i < n; ++i) sum += std::exp(in[i] - top);
        for (std::int64_t i = 0; i < n; ++i)
          to[i] = call.kind == OpKind::softmax ? std::exp(in[i] - top) / sum : in[i] - top - std::log(sum);
      }
      return out;
    }
    case OpKind::concat: {
      std::int64_t begin = 0;
      const std::int64_t axis = call.ints.empty() ? -1 : call.ints[0];
      const Lines to(result, axis);
      for (std::size_t p = 0; p < x.size(); ++p) {
        const Lines from(s[p], axis);
        for (std::int64_t b = 0; b < from.before; ++b)
          for (std::int64_t e = 0; e < from.extent; ++e)
            for (std::int64_t i = 0; i < from.behind; ++i)
              out[at(to.position(b, begin + e, i))] = (*x[p])[at(from.position(b, e, i))];
        begin += from.extent;
      }
      return out;
    }
    case OpKind::slice: {
      const Lines from(s[0], call.ints[0]), to(result, call.ints[0]);
      for (std::int64_t b = 0; b < to.before; ++b)
        for (std::int64_t e = 0; e < to.extent; ++e)
          for (std::int64_t i = 0; i < to.behind; ++i)
            out[at(to.position(b, e, i))] = (*x[0])[at(from.position(b, call.ints[1] + e, i))];
      return out;
    }
    case OpKind::reshape:
      return *x[0];
    case OpKind::transpose:
      for (std::int64_t i = 0; i < size; ++i) {
        std::int64_t rest = i, position = 0;
        for (std::size_t d = result.size(); d-- > 0;) {
          const std::int64_t digit = rest % result[d];
          rest /= result[d];
          std::int64_t stride = 1;
          for (std::size_t after = at(call.ints[d]) + 1; after < s[0].size(); ++after) stride *= s[0][after];
          position += digit * stride;
        }
        out[at(i)] = (*x[0])[at(position)];
      }
      return out;
    case OpKind::reduce_sum:
    case OpKind::reduce_mean:
    case OpKind::reduce_max: {
      const Lines from(s[0], call.ints.empty() ? -1 : call.ints[0]);
      for (std::int64_t b = 0; b < from.before; ++b)
        for (std::int64_t i = 0; i < from.behind; ++i) {
          double value = call.kind == OpKind::reduce_max ? -INFINITY : 0;
          for (std::int64_t e = 0; e < from.extent; ++e) {
            const double y = (*x[0])[at(from.position(b, e, i))];
            value = call.kind == OpKind::reduce_max ? std::max(value, y) : value + y;
          }
          out[at(b * from.behind + i)] =
              call.kind == OpKind::reduce_mean ? value / static_cast<double>(from.extent) : value;
        }
      return out;
    }
    case OpKind::embedding:
      for (std::int64_t i = 0; i < size; ++i) out[at(i)] = (*x[0])[at(index * size + i)];
      return out;
    case OpKind::add_n:
      for (const Numbers* term : x)
        for (std::int64_t i = 0; i < size; ++i) out[at(i)] += (*term)[at(i)];
      return out;
    case OpKind::pick_neg_log_softmax: {
      const double top = *std::max_element(x[0]->begin(), x[0]->end());
      double sum = 0;
      for (const double y : *x[0]) sum += std::exp(y - top);
      out[0] = std::log(sum) + top - (*x[0])[at(index)];
      return out;
    }
    case OpKind::argmax: {
      const std::int64_t n = s[0].back();
      for (std::int64_t row = 0; row < size; ++row) {
        const auto first = x[0]->begin() + row * n;
        out[at(row)] = static_cast<double>(std::max_element(first, first + n) - first);
      }
      return out;
    }
    case OpKind::fill:
      std::fill(out.begin(), out.end(), call.real);
      return out;
    default:
      BALLAST_CHECK(false, "operator " + to_string(call) + " has no reference");
      return {};
  }
}

}  // namespace ballast::dynamic
