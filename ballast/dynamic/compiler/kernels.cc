#include "ballast/dynamic/compiler/kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ballast/base/errors.h"
#include "ballast/loop/batched.h"

namespace ballast::dynamic {
namespace {

using loop::Access;
using loop::LaneProgram;
using LaneValue = LaneProgram::Value;
using Mode = Cell::Input::Mode;

class Planner {
 public:
  Planner(const OpType& type, std::uint64_t contiguous, std::int64_t tile)
      : type_(type), cell_(type.cell), contiguous_(contiguous), tile_(tile), p_("cell") {}

  KernelPlan run() {
    for (const Cell::Node& node : cell_.nodes) values_.push_back(build(node));
    for (std::size_t i = 0; i < cell_.outputs.size(); ++i) {
      LaneValue v = values_[static_cast<std::size_t>(cell_.outputs[i])];
      // One place an output: a value that is given out twice, or an operand as it is, is copied.
      if (std::count(cell_.outputs.begin(), cell_.outputs.begin() + static_cast<std::ptrdiff_t>(i),
                     cell_.outputs[i]) > 0 ||
          inputs_.contains(v))
        v = p_.map([](auto a) { return a[0]; }, {v});
      p_.output(fmt::format("out{}", i), v);
      plan_.frame.push_back({FrameEntry::Kind::output, static_cast<std::int64_t>(i)});
    }
    plan_.function = p_.build(tile_);
    return std::move(plan_);
  }

 private:
  LaneValue declare(const FrameEntry& entry, Shape shape, Access access,
                    loop::DType dtype = loop::DType::f32) {
    const auto key = std::tuple(entry.kind, entry.index, entry.other);
    const auto known = declared_.find(key);
    if (known != declared_.end()) return known->second;
    const LaneValue v = p_.input(fmt::format("in{}", plan_.frame.size()), std::move(shape), access, dtype);
    plan_.frame.push_back(entry);
    declared_[key] = v;
    inputs_.insert({v, true});
    return v;
  }

  const Cell::Input& input(int arg) const { return cell_.inputs[static_cast<std::size_t>(~arg)]; }
  bool is(int arg, Mode mode) const { return arg < 0 && input(arg).mode == mode; }

  /// Any operand as a value.
  LaneValue value(int arg) {
    if (arg >= 0) return values_[static_cast<std::size_t>(arg)];
    const auto i = static_cast<std::int64_t>(~arg);
    switch (input(arg).mode) {
      case Mode::lane:
        return declare({FrameEntry::Kind::lane, i}, input(arg).shape,
                       (contiguous_ >> i & 1) != 0 ? Access::Dense : Access::PtrTable);
      case Mode::index:
        return declare({FrameEntry::Kind::number, i}, {1}, Access::Dense, loop::DType::i32);
      case Mode::keyed:
        return declare({FrameEntry::Kind::keyed, i}, input(arg).shape, Access::Shared);
      default:
        return declare({FrameEntry::Kind::shared, type_.globals[static_cast<std::size_t>(i)]},
                       input(arg).shape, Access::Shared);
    }
  }

  LaneValue dense(const Cell::Node& node) {
    const LaneValue x = value(node.args[0]);
    const int w = node.args[1];
    const bool shared = is(w, Mode::shared), whole = shared || is(w, Mode::keyed);
    std::optional<LaneValue> bias, addend;
    bool add_bias = false;
    if (node.args.size() > 2) {
      bias = value(node.args[2]);
      add_bias = !whole || !(is(node.args[2], Mode::shared) || is(node.args[2], Mode::keyed));
    }
    if (node.args.size() > 3) addend = value(node.args[3]);
    LaneValue y = 0;
    if (whole) {
      const LaneValue weight =
          shared ? declare({FrameEntry::Kind::packed, type_.globals[static_cast<std::size_t>(~w)]},
                           input(w).shape, Access::Shared)
                 : value(w);
      y = p_.affine(x, weight, add_bias ? std::nullopt : bias, addend, shared);
    } else {
      const Shape& s = cell_.shape_of_arg(node.args[0]);
      y = p_.matmul(p_.reshape(x, {volume(s) / s.back(), s.back()}), value(w), true);
      y = p_.reshape(y, node.shape);
      if (addend) y = p_.map([](auto a) { return a[0] + a[1]; }, {y, *addend});
    }
    if (add_bias) y = p_.map([](auto a) { return a[0] + a[1]; }, {y, *bias});
    return y;
  }

  LaneValue batch_matmul(const Cell::Node& node) {
    const LaneValue a = value(node.args[0]), b = value(node.args[1]);
    const Shape &as = cell_.shape_of_arg(node.args[0]), &bs = cell_.shape_of_arg(node.args[1]);
    std::vector<LaneValue> parts;
    for (std::int64_t g = 0; g < as[0]; ++g) {
      const LaneValue y = p_.matmul(p_.reshape(p_.slice(a, 0, g, g + 1), {as[1], as[2]}),
                                    p_.reshape(p_.slice(b, 0, g, g + 1), {bs[1], bs[2]}));
      parts.push_back(p_.reshape(y, {1, as[1], bs[2]}));
    }
    return p_.concat(parts, 0);
  }

  LaneValue unary(const Cell::Node& node) {
    const LaneValue x = value(node.args[0]);
    const double factor = node.op.real;
    switch (node.op.kind) {
      case OpKind::neg:
        return p_.map([](auto a) { return -a[0]; }, {x});
      case OpKind::exp:
        return p_.map([](auto a) { return loop::exp(a[0]); }, {x});
      case OpKind::log:
        return p_.map([](auto a) { return loop::log(a[0]); }, {x});
      case OpKind::sqrt:
        return p_.map([](auto a) { return loop::sqrt(a[0]); }, {x});
      case OpKind::sigmoid:
        return p_.map([](auto a) { return loop::sigmoid(a[0]); }, {x});
      case OpKind::tanh:
        return p_.map([](auto a) { return loop::tanh(a[0]); }, {x});
      case OpKind::relu:
        return p_.map([](auto a) { return loop::relu(a[0]); }, {x});
      case OpKind::gelu:
        return p_.map([](auto a) { return loop::gelu(a[0]); }, {x});
      case OpKind::erf:
        return p_.map([](auto a) { return loop::erf(a[0]); }, {x});
      case OpKind::step:
        return p_.map(
            [](auto a) { return loop::select(loop::Expr(0.0) < a[0], loop::Expr(1.0), loop::Expr(0.0)); },
            {x});
      default:
        return p_.map([factor](auto a) { return a[0] * loop::Expr(factor); }, {x});
    }
  }

  LaneValue binary(const Cell::Node& node) {
    const LaneValue x = value(node.args[0]), y = value(node.args[1]);
    switch (node.op.kind) {
      case OpKind::add:
        return p_.map([](auto a) { return a[0] + a[1]; }, {x, y});
      case OpKind::sub:
        return p_.map([](auto a) { return a[0] - a[1]; }, {x, y});
      case OpKind::mul:
        return p_.map([](auto a) { return a[0] * a[1]; }, {x, y});
      case OpKind::div:
        return p_.map([](auto a) { return a[0] / a[1]; }, {x, y});
      case OpKind::max:
        return p_.map([](auto a) { return loop::max(a[0], a[1]); }, {x, y});
      default:
        return p_.map([](auto a) { return loop::min(a[0], a[1]); }, {x, y});
    }
  }

  LaneValue build(const Cell::Node& node) {
    const OpCall& op = node.op;
    if (op.kind >= OpKind::add && op.kind <= OpKind::min) return binary(node);
    if (is_elementwise(op.kind)) return unary(node);
    const int axis = op.ints.empty() ? -1 : static_cast<int>(op.ints[0]);
    switch (op.kind) {
      case OpKind::dense:
        return dense(node);
      case OpKind::matmul:
        if (is(node.args[1], Mode::shared))
          return p_.multiply_shared(value(node.args[0]), value(node.args[1]));
        return p_.matmul(value(node.args[0]), value(node.args[1]));
      case OpKind::batch_matmul:
        return batch_matmul(node);
      case OpKind::softmax:
        return p_.softmax(value(node.args[0]));
      case OpKind::log_softmax:
        return p_.log_softmax(value(node.args[0]));
      case OpKind::layer_norm:
        return p_.layer_norm(value(node.args[0]), value(node.args[1]), value(node.args[2]));
      case OpKind::concat: {
        std::vector<LaneValue> parts;
        for (const int arg : node.args) parts.push_back(value(arg));
        return p_.concat(parts, axis);
      }
      case OpKind::slice:
        return p_.slice(value(node.args[0]), axis, op.ints[1], op.ints[2]);
      case OpKind::reshape:
        return p_.reshape(value(node.args[0]), op.ints);
      case OpKind::transpose:
        return p_.transpose(value(node.args[0]), std::vector<int>(op.ints.begin(), op.ints.end()));
      case OpKind::reduce_sum:
      case OpKind::reduce_mean:
      case OpKind::reduce_max: {
        const LaneValue x = value(node.args[0]);
        const Shape& s = cell_.shape_of_arg(node.args[0]);
        LaneValue y =
            p_.reduce(op.kind == OpKind::reduce_max ? loop::Combine::max : loop::Combine::sum, x, axis);
        if (op.kind == OpKind::reduce_mean) {
          const double share =
              1.0 / static_cast<double>(
                        s[static_cast<std::size_t>(axis < 0 ? axis + static_cast<int>(s.size()) : axis)]);
          y = p_.map([share](auto a) { return a[0] * loop::Expr(share); }, {y});
        }
        return p_.reshape(y, node.shape);
      }
      case OpKind::embedding: {
        const int table = node.args[0], index = node.args[1];
        if (is(table, Mode::shared) && is(index, Mode::index))
          return declare({FrameEntry::Kind::rows, type_.globals[static_cast<std::size_t>(~table)], ~index},
                         node.shape, Access::RowIndex);
        return p_.embedding(value(table), value(index));
      }
      case OpKind::pick_neg_log_softmax: {
        const LaneValue y = p_.pick(p_.log_softmax(value(node.args[0])), value(node.args[1]));
        return p_.map([](auto a) { return -a[0]; }, {y});
      }
      case OpKind::argmax:
        return p_.argmax(value(node.args[0]));
      default:
        BALLAST_CHECK(false, "operator " + to_string(op) + " has no kernel");
        return 0;
    }
  }

  const OpType& type_;
  const Cell& cell_;
  std::uint64_t contiguous_;
  std::int64_t tile_;
  LaneProgram p_;
  KernelPlan plan_;
  std::vector<LaneValue> values_;
  std::map<LaneValue, bool> inputs_;
  std::map<std::tuple<FrameEntry::Kind, std::int64_t, int>, LaneValue> declared_;
};

}  // namespace

KernelPlan plan_kernel(const OpType& type, std::uint64_t contiguous, std::int64_t tile) {
  if (type.variadic) {
    return {loop::sum_terms(volume(type.cell.inputs[0].shape)),
            {{FrameEntry::Kind::lane, 0}, {FrameEntry::Kind::output, 0}}};
  }
  return Planner(type, contiguous, tile).run();
}

}  // namespace ballast::dynamic
