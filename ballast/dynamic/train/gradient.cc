#include "ballast/dynamic/train/gradient.h"

#include <fmt/format.h>

#include <cmath>

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

  int shaped(int x, const Shape& as) { return shape(x) == as ? x : op({OpKind::reshape, as, 0}, {x}); }
  int filled(double value, const Shape& s) {
    return shared({.kind = Global::Kind::fill,
                   .name = fmt::format("full({}, {})", value, to_string(s)),
                   .shape = s,
                   .value = value});
  }
  /// Over one axis, which stays with extent 1.
  int keep(OpKind kind, int x, std::size_t axis) {
    Shape s = shape(x);
    s[axis] = 1;
    return shaped(op({kind, {static_cast<std::int64_t>(axis)}, 0}, {x}), s);
  }
  int last(OpKind kind, int x) { return keep(kind, x, shape(x).size() - 1); }
  int transposed(int x) {
    std::vector<std::int64_t> order(shape(x).size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
    std::swap(order[order.size() - 1], order[order.size() - 2]);
    return op({OpKind::transpose, order, 0}, {x});
  }
  int times(int a, int b) { return op(OpKind::mul, {a, b}); }

  /// Sums the axes over which an operand of this shape was broadcast.
  int reduced(int gradient, const Shape& wanted) {
    if (shape(gradient) == wanted || volume(shape(gradient)) == volume(wanted))
      return shaped(gradient, wanted);
    Shape padded(shape(gradient).size() - wanted.size(), 1);
    padded.insert(padded.end(), wanted.begin(), wanted.end());
    for (std::size_t axis = 0; axis < padded.size(); ++axis)
      if (padded[axis] == 1 && shape(gradient)[axis] > 1) gradient = keep(OpKind::reduce_sum, gradient, axis);
    return shaped(gradient, wanted);
  }

  void add_to(int arg, int gradient) {
    gradient = reduced(gradient, shape(arg));
    const auto place = [&]() -> int& {
      return arg < 0 ? of_input_[static_cast<std::size_t>(~arg)] : of_node_[static_cast<std::size_t>(arg)];
    };
    const int before = place();
    const int sum = before == kNone ? gradient : op(OpKind::add, {before, gradient});
    place() = sum;
  }

  /// y [.., n] = x [.., k] W [n, k]^T (+ bias) (+ addend), the weight a parameter or an intermediate.
  void dense(const Cell::Node& n, int d) {
    const int x = n.args[0], w = n.args[1];
    const bool known = w < 0 && forward_.inputs[static_cast<std::size_t>(~w)].mode == Mode::shared;
    const std::int64_t columns = shape(x).back(), rows = shape(w)[0], lines = volume(shape(x)) / columns;
    const int d2 = shaped(d, {lines, rows});
    if (known && lines == 1) {
      // The sum over all lanes of dY X^T is one product outside of the cell.
      give({GradientCell::Target::Kind::outer, ~w}, shaped(d, {rows}));
      const int x1 = shaped(x, {columns});
      out_.cell.outputs.push_back(x1 < 0 ? scaled(x1, 1) : x1);
    } else {
      add_to(w, op(OpKind::matmul, {transposed(d2), shaped(x, {lines, columns})}));
    }
    add_to(x, shaped(op(OpKind::matmul, {d2, w}), shape(x)));
    for (std::size_t i = 2; i < n.args.size(); ++i) add_to(n.args[i], d);
  }

  /// Over the last axis: xhat = (x - mean) / sd, y = gamma xhat + beta.
  void layer_norm(const Cell::Node& n, int d) {
    const int x = n.args[0], gamma = n.args[1];
    const Shape row{shape(x).back()};
    const int xhat = op(OpKind::layer_norm, {x, filled(1, row), filled(0, row)});
    const int centred = op(OpKind::sub, {x, last(OpKind::reduce_mean, x)});
    const int deviation =
        op(OpKind::sqrt,
           {op(OpKind::add, {last(OpKind::reduce_mean, times(centred, centred)), filled(1e-5, {1})})});
    add_to(gamma, times(d, xhat));
    add_to(n.args[2], d);
    const int g = times(d, gamma);
    const int rest = op(
        OpKind::add, {last(OpKind::reduce_mean, g), times(xhat, last(OpKind::reduce_mean, times(g, xhat)))});
    add_to(x, op(OpKind::div, {op(OpKind::sub, {g, rest}), deviation}));
  }

  /// Over one axis; a maximum that stands in several places is shared among them.
  void reduction(const Cell::Node& n, int y, int d) {
    const int x = n.args[0];
    const std::int64_t given = n.op.ints.empty() ? -1 : n.op.ints[0];
    const auto axis =
        static_cast<std::size_t>(given < 0 ? given + static_cast<std::int64_t>(shape(x).size()) : given);
    Shape kept = shape(x);
    kept[axis] = 1;
    const int wide = shaped(d, kept);
    if (n.op.kind == OpKind::reduce_max) {
      const int below = op(OpKind::step, {op(OpKind::sub, {shaped(y, kept), x})});
      const int here = op(OpKind::sub, {filled(1, {1}), below});
      return add_to(x, op(OpKind::div, {times(here, wide), keep(OpKind::reduce_sum, here, axis)}));
    }
    const double share = n.op.kind == OpKind::reduce_sum ? 1 : 1.0 / static_cast<double>(shape(x)[axis]);
    add_to(x, times(filled(share, shape(x)), wide));
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
      case OpKind::relu:
        return add_to(arg(0), times(d, op(OpKind::step, {arg(0)})));
      case OpKind::gelu: {
        // x Phi(x): Phi(x) + x phi(x)
        const int cdf =
            scaled(op(OpKind::add, {op(OpKind::erf, {scaled(arg(0), std::sqrt(0.5))}), filled(1, {1})}), 0.5);
        const int density =
            scaled(op(OpKind::exp, {scaled(times(arg(0), arg(0)), -0.5)}), std::sqrt(0.5 / M_PI));
        return add_to(arg(0), times(d, op(OpKind::add, {cdf, times(arg(0), density)})));
      }
      case OpKind::erf:
        return add_to(arg(0), times(d, scaled(op(OpKind::exp, {op(OpKind::neg, {times(arg(0), arg(0))})}),
                                              2 / std::sqrt(M_PI))));
      case OpKind::step:
      case OpKind::argmax:
      case OpKind::fill:
        return;  // constant wherever it has a gradient
      case OpKind::max:
      case OpKind::min: {
        // Where both are equal the second one takes it.
        const bool most = n.op.kind == OpKind::max;
        const int first = op(OpKind::step, {op(OpKind::sub, {arg(most ? 0 : 1), arg(most ? 1 : 0)})});
        const int one = times(d, first);
        add_to(arg(0), one);
        return add_to(arg(1), op(OpKind::sub, {d, one}));
      }
      case OpKind::matmul:
      case OpKind::batch_matmul: {
        add_to(arg(0), op(n.op.kind, {d, transposed(arg(1))}));
        return add_to(arg(1), op(n.op.kind, {transposed(arg(0)), d}));
      }
      case OpKind::layer_norm:
        return layer_norm(n, d);
      case OpKind::softmax: {
        const int dy = times(d, y);
        return add_to(arg(0), op(OpKind::sub, {dy, times(y, last(OpKind::reduce_sum, dy))}));
      }
      case OpKind::log_softmax:
        return add_to(arg(0), op(OpKind::sub, {d, times(op(OpKind::exp, {y}), last(OpKind::reduce_sum, d))}));
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
          return filled(0, s);
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
      case OpKind::reduce_mean:
      case OpKind::reduce_max:
        return reduction(n, y, d);
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
