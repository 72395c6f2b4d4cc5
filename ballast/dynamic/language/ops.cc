#include "ballast/dynamic/language/ops.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

namespace ballast::dynamic {
namespace {

constexpr std::array kNames{
    std::pair{OpKind::dense, "dense"},
    std::pair{OpKind::matmul, "matmul"},
    std::pair{OpKind::batch_matmul, "batch_matmul"},
    std::pair{OpKind::add, "add"},
    std::pair{OpKind::sub, "sub"},
    std::pair{OpKind::mul, "mul"},
    std::pair{OpKind::div, "div"},
    std::pair{OpKind::max, "max"},
    std::pair{OpKind::min, "min"},
    std::pair{OpKind::neg, "neg"},
    std::pair{OpKind::exp, "exp"},
    std::pair{OpKind::log, "log"},
    std::pair{OpKind::sqrt, "sqrt"},
    std::pair{OpKind::sigmoid, "sigmoid"},
    std::pair{OpKind::tanh, "tanh"},
    std::pair{OpKind::relu, "relu"},
    std::pair{OpKind::gelu, "gelu"},
    std::pair{OpKind::erf, "erf"},
    std::pair{OpKind::step, "step"},
    std::pair{OpKind::softmax, "softmax"},
    std::pair{OpKind::log_softmax, "log_softmax"},
    std::pair{OpKind::layer_norm, "layer_norm"},
    std::pair{OpKind::concat, "concat"},
    std::pair{OpKind::slice, "slice"},
    std::pair{OpKind::reshape, "reshape"},
    std::pair{OpKind::transpose, "transpose"},
    std::pair{OpKind::reduce_sum, "sum"},
    std::pair{OpKind::reduce_mean, "mean"},
    std::pair{OpKind::reduce_max, "reduce_max"},
    std::pair{OpKind::embedding, "embedding"},
    std::pair{OpKind::add_n, "add_n"},
    std::pair{OpKind::pick_neg_log_softmax, "pick_neg_log_softmax"},
    std::pair{OpKind::argmax, "argmax"},
    std::pair{OpKind::fill, "fill"},
    std::pair{OpKind::scale, "scale"},
};

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) return std::nullopt;
    out[out.size() - 1 - i] = std::max(x, y);
  }
  return out;
}

}  // namespace

std::string to_string(OpKind kind) {
  return std::find_if(kNames.begin(), kNames.end(), [&](const auto& e) { return e.first == kind; })->second;
}

std::optional<OpKind> op_from_name(const std::string& name) {
  const auto found =
      std::find_if(kNames.begin(), kNames.end(), [&](const auto& e) { return name == e.second; });
  return found == kNames.end() ? std::nullopt : std::optional(found->first);
}

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const auto& [kind, name] : kNames) names.emplace_back(name);
  return names;
}

bool is_elementwise(OpKind kind) {
  return (kind >= OpKind::add && kind <= OpKind::step) || kind == OpKind::scale;
}
bool is_view(OpKind kind) {
  return kind == OpKind::slice || kind == OpKind::reshape || kind == OpKind::transpose ||
         kind == OpKind::concat;
}
bool gives_integers(OpKind kind) {
  return kind == OpKind::argmax;
}

std::optional<Shape> shape_of(const OpCall& call, const std::vector<Shape>& s, std::string* problem) {
  const auto fail = [&](std::string sentence) {
    *problem = std::move(sentence);
    return std::optional<Shape>();
  };
  const std::string name = to_string(call.kind);
  const auto operands = [&](std::size_t least, std::size_t most) {
    if (s.size() >= least && s.size() <= most) return true;
    *problem = least == most ? fmt::format("{} takes {} tensor(s), not {}", name, least, s.size())
                             : fmt::format("{} takes {} to {} tensors, not {}", name, least, most, s.size());
    return false;
  };
  const auto axis_of = [&](std::int64_t axis, const Shape& shape) -> std::optional<std::size_t> {
    const auto rank = static_cast<std::int64_t>(shape.size());
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) {
      *problem = fmt::format("{}: axis of a tensor of shape {}", name, to_string(shape));
      return std::nullopt;
    }
    return static_cast<std::size_t>(axis);
  };
  switch (call.kind) {
    case OpKind::dense: {
      if (!operands(2, 4)) return std::nullopt;
      if (s[0].empty() || s[1].size() != 2 || s[0].back() != s[1][1])
        return fail(fmt::format("dense: x of shape {} and W of shape {}; expected x [.., k] and W [n, k]",
                                to_string(s[0]), to_string(s[1])));
      if (s.size() >= 3 && s[2] != Shape{s[1][0]})
        return fail(fmt::format("dense: b of shape {}; expected [{}]", to_string(s[2]), s[1][0]));
      Shape out = s[0];
      out.back() = s[1][0];
      if (s.size() == 4 && s[3] != out)
        return fail(fmt::format("dense: addend of shape {}; expected {}", to_string(s[3]), to_string(out)));
      return out;
    }
    case OpKind::matmul:
      if (!operands(2, 2)) return std::nullopt;
      if (s[0].size() != 2 || s[1].size() != 2 || s[0][1] != s[1][0])
        return fail(fmt::format("matmul: shapes {} and {}; expected [m, k] and [k, n]", to_string(s[0]),
                                to_string(s[1])));
      return Shape{s[0][0], s[1][1]};
    case OpKind::batch_matmul:
      if (!operands(2, 2)) return std::nullopt;
      if (s[0].size() != 3 || s[1].size() != 3 || s[0][0] != s[1][0] || s[0][2] != s[1][1])
        return fail(fmt::format("batch_matmul: shapes {} and {}; expected [g, m, k] and [g, k, n]",
                                to_string(s[0]), to_string(s[1])));
      return Shape{s[0][0], s[0][1], s[1][2]};
    case OpKind::add:
    case OpKind::sub:
    case OpKind::mul:
    case OpKind::div:
    case OpKind::max:
    case OpKind::min: {
      if (!operands(2, 2)) return std::nullopt;
      const auto out = broadcast(s[0], s[1]);
      if (!out)
        return fail(
            fmt::format("{}: shapes {} and {} do not broadcast", name, to_string(s[0]), to_string(s[1])));
      return out;
    }
    case OpKind::softmax:
    case OpKind::log_softmax:
      if (!operands(1, 1)) return std::nullopt;
      if (s[0].empty()) return fail(name + " needs an axis");
      return s[0];
    case OpKind::layer_norm:
      if (!operands(3, 3)) return std::nullopt;
      if (s[0].empty() || s[1] != Shape{s[0].back()} || s[2] != s[1])
        return fail(fmt::format("layer_norm: x {}, gamma {}, beta {}; expected [.., n], [n], [n]",
                                to_string(s[0]), to_string(s[1]), to_string(s[2])));
      return s[0];
    case OpKind::concat: {
      if (s.empty()) return fail("concat needs a tensor");
      const auto axis = axis_of(call.ints.empty() ? -1 : call.ints[0], s[0]);
      if (!axis) return std::nullopt;
      Shape out = s[0];
      for (std::size_t i = 1; i < s.size(); ++i) {
        Shape other = s[i];
        if (other.size() == out.size()) {
          out[*axis] += other[*axis];
          other[*axis] = out[*axis];
        }
        if (other != out)
          return fail(fmt::format("concat: shapes {} and {} differ beyond the axis", to_string(s[0]),
                                  to_string(s[i])));
      }
      return out;
    }
    case OpKind::slice: {
      if (!operands(1, 1) || call.ints.size() != 3) return fail("slice(x, axis, begin, end)");
      const auto axis = axis_of(call.ints[0], s[0]);
      if (!axis) return std::nullopt;
      if (call.ints[1] < 0 || call.ints[2] <= call.ints[1] || call.ints[2] > s[0][*axis])
        return fail(fmt::format("slice: [{}, {}) of an axis of {}", call.ints[1], call.ints[2], s[0][*axis]));
      Shape out = s[0];
      out[*axis] = call.ints[2] - call.ints[1];
      return out;
    }
    case OpKind::reshape:
      if (!operands(1, 1)) return std::nullopt;
      if (volume(call.ints) != volume(s[0]))
        return fail(
            fmt::format("reshape: {} has not as many elements as {}", to_string(call.ints), to_string(s[0])));
      return call.ints;
    case OpKind::transpose: {
      if (!operands(1, 1)) return std::nullopt;
      std::vector<std::int64_t> sorted = call.ints;
      std::sort(sorted.begin(), sorted.end());
      Shape out;
      for (std::size_t i = 0; i < sorted.size(); ++i) {
        if (sorted.size() != s[0].size() || sorted[i] != static_cast<std::int64_t>(i))
          return fail(fmt::format("transpose: {} is no permutation of the axes of {}", to_string(call.ints),
                                  to_string(s[0])));
        out.push_back(s[0][static_cast<std::size_t>(call.ints[i])]);
      }
      if (sorted.size() != s[0].size()) return fail("transpose: name every axis of " + to_string(s[0]));
      return out;
    }
    case OpKind::reduce_sum:
    case OpKind::reduce_mean:
    case OpKind::reduce_max: {
      if (!operands(1, 1)) return std::nullopt;
      const auto axis = axis_of(call.ints.empty() ? -1 : call.ints[0], s[0]);
      if (!axis) return std::nullopt;
      Shape out = s[0];
      out.erase(out.begin() + static_cast<std::ptrdiff_t>(*axis));
      if (out.empty()) out.push_back(1);
      return out;
    }
    case OpKind::embedding:
      if (!operands(1, 1)) return std::nullopt;
      if (s[0].size() != 2)
        return fail("embedding: table of shape " + to_string(s[0]) + "; expected [rows, n]");
      return Shape{s[0][1]};
    case OpKind::add_n:
      if (!operands(1, 1)) return std::nullopt;
      return s[0];
    case OpKind::pick_neg_log_softmax:
      if (!operands(1, 1)) return std::nullopt;
      if (s[0].size() != 1)
        return fail("pick_neg_log_softmax: logits of shape " + to_string(s[0]) + "; expected [n]");
      return Shape{1};
    case OpKind::argmax: {
      if (!operands(1, 1)) return std::nullopt;
      if (s[0].empty()) return fail("argmax needs an axis");
      Shape out = s[0];
      out.back() = 1;
      return out;
    }
    case OpKind::fill:
      for (const std::int64_t extent : call.ints)
        if (extent < 1) return fail("a tensor of shape " + to_string(call.ints));
      return call.ints;
    default:  // one operand, same shape
      if (!operands(1, 1)) return std::nullopt;
      return s[0];
  }
}

double work_of(const OpCall& call, const std::vector<Shape>& s, const Shape& result) {
  const auto size = static_cast<double>(volume(result));
  switch (call.kind) {
    case OpKind::dense:
    case OpKind::matmul:
      return size * static_cast<double>(s[0].back());
    case OpKind::batch_matmul:
      return size * static_cast<double>(s[0].back());
    default:
      return size;
  }
}

std::string to_string(const OpCall& call) {
  std::string text = to_string(call.kind);
  if (!call.ints.empty()) text += fmt::format("{{{}}}", fmt::join(call.ints, ", "));
  if (call.kind == OpKind::scale || call.kind == OpKind::fill) text += fmt::format("({})", call.real);
  return text;
}

}  // namespace ballast::dynamic
