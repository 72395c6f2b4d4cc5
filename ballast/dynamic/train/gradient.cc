#include "ballast/dynamic/train/gradient.h"

#include <fmt/format.h>

#include "ballast/base/errors.h"

namespace ballast::dynamic {
namespace {

using Mode = Cell::Input::Mode;

class Differentiation {
 public:
  Differentiation(const Cell& forward, Program& program) : forward_(forward), program_(program) {
    out_.cell.inputs = forward.inputs;
    out_.cell.nodes = forward.nodes;
    of_node_.assign(forward.nodes.size(), kNone);
    of_input_.assign(forward.inputs.size(), kNone);
  }

  GradientCell run() {
    for (const int output : forward_.outputs) {
      out_.cell.inputs.push_back({Mode::lane, forward_.nodes[static_cast<std::size_t>(output)].shape});
      add_to(output, ~static_cast<int>(out_.cell.inputs.size() - 1));
    }
    for (std::size_t i = forward_.nodes.size(); i-- > 0;)
      if (of_node_[i] != kNone) backwards(forward_.nodes[i], static_cast<int>(i), of_node_[i]);
    for (std::size_t i = 0; i < of_input_.size(); ++i)
      if (of_input_[i] != kNone && forward_.inputs[i].mode != Mode::index)
        give({GradientCell::Target::Kind::operand, static_cast<int>(i)}, of_input_[i]);
    return std::move(out_);
  }

 private:
  static constexpr int kNone = 1 << 30;

  const Shape& shape(int arg) const { return out_.cell.shape_of_arg(arg); }
  int op(OpCall call, std::vector<int> args) {
    std::vector<Shape> shapes;
    for (const int arg : args) shapes.push_back(shape(arg));
    if (call.kind == OpKind::embedding) shapes.pop_back();
    std::string problem;
    const auto result = shape_of(call, shapes, &problem);
    BALLAST_CHECK(result.has_value(), problem);
    out_.cell.nodes.push_back({std::move(call), std::move(args), *result});
    return static_cast<int>(out_.cell.nodes.size()) - 1;
  }
  int op(OpKind kind, std::vector<int> args) { return op(OpCall{kind, {}, 0}, std::move(args)); }
  int scaled(int x, double by) { return op(OpCall{OpKind::scale, {}, by}, {x}); }
  int shared(Global g) {
    const Shape s = g.shape;
    out_.more.push_back(program_.global(std::move(g)));
    out_.cell.inputs.push_back({Mode::shared, s});
    return ~static_cast<int>(out_.cell.inputs.size() - 1);
  }

  /// A result must be a node, not an operand as it is.
  void give(GradientCell::Target target, int value) {
    out_.targets.push_back(target);
    out_.cell.outputs.push_back(value < 0 ? scaled(value, 1) : value);
  }

  void add_to(int arg, int gradient) {
    const Shape wanted = shape(arg);
    if (shape(gradient) != wanted) {
      const std::int64_t size = volume(shape(gradient));
      if (volume(wanted) == 1) {
        gradient = op({OpKind::reduce_sum, {0}, 0}, {op({OpKind::reshape, {size}, 0}, {gradient})});
      } else if (volume(wanted) == size) {
        // the same elements under another shape
      } else if (wanted.size() == 1 && wanted[0] == shape(gradient).back()) {
        gradient = op({OpKind::reduce_sum, {0}, 0},
                      {op({OpKind::reshape, {size / wanted[0], wanted[0]}, 0}, {gradient})});
      } else {
        throw InvalidInput(fmt::format("no gradient for an operand of shape {} that is broadcast to {}",
                                       to_string(wanted), to_string(shape(gradient))));
      }
      if (shape(gradient) != wanted) gradient = op({OpKind::reshape, wanted, 0}, {gradient});
    }
    int& at = arg < 0 ? of_input_[static_cast<std::size_t>(~arg)] : of_node_[static_cast<std::size_t>(arg)];
    const int sum = at == kNone ? gradient : op(OpKind::add, {at, gradient});
    (arg < 0 ? of_input_[static_cast<std::size_t>(~arg)] : of_node_[static_cast<std::size_t>(arg)]) = sum;
  }

  void dense(const Cell::Node& n, int d) {
    const int x = n.args[0], w = n.args[1];
    const bool known = w < 0 && forward_.inputs[static_cast<std::size_t>(~w)].mode == Mode::shared;
    if (!known || shape(x).size() != 1)
      throw InvalidInput(
          "no gradient for a dense operator whose weight is no parameter, or whose operand is no vector");
    const std::int64_t rows = shape(d)[0], columns = shape(x)[0];
    give({GradientCell::Target::Kind::outer, ~w}, d);
    out_.cell.outputs.push_back(x < 0 ? scaled(x, 1) : x);
    const int row = op({OpKind::reshape, {1, rows}, 0}, {d});
    add_to(x, op({OpKind::reshape, {columns}, 0}, {op(OpKind::matmul, {row, w})}));
    for (std::size_t i = 2; i < n.args.size(); ++i) add_to(n.args[i], d);
  }

  void backwards(const Cell::Node& n, int y, int d) {
    const auto arg = [&](std::size_t i) { return n.args[i]; };
    switch (n.op.kind) {
      case OpKind::dense:
        return dense(n, d);
      case OpKind::add:
        add_to(arg(0), d);
        return add_to(arg(1), d);
      case OpKind::sub:
        add_to(arg(0), d);
        return add_to(arg(1), op(OpKind::neg, {d}));
      case OpKind::mul:
        add_to(arg(0), op(OpKind::mul, {d, arg(1)}));
        return add_to(arg(1), op(OpKind::mul, {d, arg(0)}));
      case OpKind::div:
        add_to(arg(0), op(OpKind::div, {d, arg(1)}));
        return add_to(arg(1), op(OpKind::neg, {op(OpKind::div, {op(OpKind::mul, {d, y}), arg(1)})}));
      case OpKind::neg:
        return add_to(arg(0), op(OpKind::neg, {d}));
      case OpKind::scale:
        return add_to(arg(0), scaled(d, n.op.real));
      case OpKind::exp:
        return add_to(arg(0), op(OpKind::mul, {d, y}));
      case OpKind::log:
        return add_to(arg(0), op(OpKind::div, {d, arg(0)}));
      case OpKind::sqrt:
        return add_to(arg(0), op(OpKind::div, {scaled(d, 0.5), y}));
      case OpKind::sigmoid:
        return add_to(arg(0), op(OpKind::mul, {d, op(OpKind::sub, {y, op(OpKind::mul, {y, y})})}));
      case OpKind::tanh:
        return add_to(arg(0), op(OpKind::sub, {d, op(OpKind::mul, {d, op(OpKind::mul, {y, y})})}));
      case OpKind::softmax: {
        if (n.shape.size() != 1) break;
        const int dy = op(OpKind::mul, {d, y});
        return add_to(arg(0),
                      op(OpKind::sub, {dy, op(OpKind::mul, {y, op({OpKind::reduce_sum, {0}, 0}, {dy})})}));
      }
      case OpKind::log_softmax:
        if (n.shape.size() != 1) break;
        return add_to(
            arg(0), op(OpKind::sub,
                       {d, op(OpKind::mul, {op(OpKind::exp, {y}), op({OpKind::reduce_sum, {0}, 0}, {d})})}));
      case OpKind::pick_neg_log_softmax: {
        const std::int64_t classes = shape(arg(0))[0];
        const int one = shared({.kind = Global::Kind::identity,
                                .name = fmt::format("identity({})", classes),
                                .shape = {classes, classes}});
        const int hot = op(OpKind::embedding, {one, arg(1)});
        return add_to(arg(0), op(OpKind::mul, {op(OpKind::sub, {op(OpKind::softmax, {arg(0)}), hot}), d}));
      }
      case OpKind::embedding: {
        if (arg(0) >= 0 || arg(1) >= 0) break;
        return give({GradientCell::Target::Kind::rows, ~arg(0), ~arg(1)}, d);
      }
      case OpKind::concat: {
        const auto rank = static_cast<std::int64_t>(n.shape.size());
        const std::int64_t given = n.op.ints.empty() ? -1 : n.op.ints[0],
                           axis = given < 0 ? given + rank : given;
        std::int64_t begin = 0;
        for (const int part : n.args) {
          const std::int64_t width = shape(part)[static_cast<std::size_t>(axis)];
          add_to(part, op({OpKind::slice, {axis, begin, begin + width}, 0}, {d}));
          begin += width;
        }
        return;
      }
      case OpKind::slice: {
        const std::int64_t axis =
            n.op.ints[0] < 0 ? n.op.ints[0] + static_cast<std::int64_t>(n.shape.size()) : n.op.ints[0];
        const std::int64_t whole = shape(arg(0))[static_cast<std::size_t>(axis)];
        std::vector<int> parts;
        const auto zeros = [&](std::int64_t width) {
          Shape s = n.shape;
          s[static_cast<std::size_t>(axis)] = width;
          return shared({.kind = Global::Kind::fill,
                         .name = fmt::format("zeros{}", to_string(s)),
                         .shape = s,
                         .value = 0});
        };
        if (n.op.ints[1] > 0) parts.push_back(zeros(n.op.ints[1]));
        parts.push_back(d);
        if (n.op.ints[2] < whole) parts.push_back(zeros(whole - n.op.ints[2]));
        return add_to(arg(0), parts.size() == 1 ? d : op({OpKind::concat, {axis}, 0}, parts));
      }
      case OpKind::reshape:
        return add_to(arg(0), op({OpKind::reshape, shape(arg(0)), 0}, {d}));
      case OpKind::transpose: {
        std::vector<std::int64_t> inverse(n.op.ints.size());
        for (std::size_t i = 0; i < inverse.size(); ++i)
          inverse[static_cast<std::size_t>(n.op.ints[i])] = static_cast<std::int64_t>(i);
        return add_to(arg(0), op({OpKind::transpose, inverse, 0}, {d}));
      }
      case OpKind::reduce_sum:
      case OpKind::reduce_mean: {
        if (shape(arg(0)).size() != 1) break;
        const double share =
            n.op.kind == OpKind::reduce_sum ? 1 : 1.0 / static_cast<double>(shape(arg(0))[0]);
        return add_to(arg(0), op(OpKind::add, {scaled(arg(0), 0), scaled(d, share)}));
      }
      default:
        break;
    }
    throw InvalidInput(
        fmt::format("no gradient for the operator {} of shape {}", to_string(n.op), to_string(n.shape)));
  }

  const Cell& forward_;
  Program& program_;
  GradientCell out_;
  std::vector<int> of_node_, of_input_;
};

}  // namespace

GradientCell gradient_of(const Cell& forward, Program& program) {
  return Differentiation(forward, program).run();
}

}  // namespace ballast::dynamic
