#include "ballast/loop/batched.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/loop/batched_shapes.h"

namespace ballast::loop {
namespace {

std::string text(const LaneProgram::Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ","));
}

LaneProgram::Shape broadcast(const LaneProgram::Shape& a, const LaneProgram::Shape& b) {
  LaneProgram::Shape out(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1)
      throw InvalidInput("shapes of an element-wise operator", text(a) + " and " + text(b),
                         "shapes that broadcast");
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

}  // namespace

LaneProgram::Value LaneProgram::add(Node node) {
  nodes_.push_back(std::move(node));
  return static_cast<Value>(nodes_.size()) - 1;
}

LaneProgram::Value LaneProgram::input(const std::string& name, Shape shape, Access access, DType type) {
  OperandDesc operand{name, type, access, false, -1};
  if (access == Access::RowIndex) operand.aux_slot = tables_++;
  operands_.push_back(operand);
  return add({.kind = Kind::input,
              .shape = std::move(shape),
              .type = type,
              .operand = static_cast<int>(operands_.size()) - 1});
}

LaneProgram::Value LaneProgram::map(const Scalar& f, const std::vector<Value>& args) {
  Shape shape;
  for (const Value v : args) shape = broadcast(shape, node(v).shape);
  return add({.kind = Kind::map, .shape = shape, .args = args, .scalar = f});
}

LaneProgram::Value LaneProgram::affine(Value x, Value w, std::optional<Value> bias,
                                       std::optional<Value> addend, bool packed) {
  const Shape &xs = node(x).shape, &ws = node(w).shape;
  if (ws.size() != 2 || xs.empty() || xs.back() != ws[1])
    throw InvalidInput("shapes of an affine operator", text(xs) + " and w " + text(ws),
                       "[.., k] and w [n, k]");
  if (node(w).kind != Kind::input ||
      operands_[static_cast<std::size_t>(node(w).operand)].access != Access::Shared)
    throw InvalidInput(
        "weight of an affine operator must be a Shared input; per-lane weights go through matmul");
  Node n{.kind = Kind::affine,
         .shape = xs,
         .args = {x, w},
         .flag = packed,
         .has_bias = bias.has_value(),
         .has_addend = addend.has_value()};
  n.shape.back() = ws[0];
  if (bias) n.args.push_back(*bias);
  if (addend) {
    if (volume(node(*addend).shape) != volume(n.shape))
      throw InvalidInput("addend of an affine operator", text(node(*addend).shape), text(n.shape));
    n.args.push_back(*addend);
  }
  return add(n);
}

LaneProgram::Value LaneProgram::multiply_shared(Value x, Value w) {
  const Shape &xs = node(x).shape, &ws = node(w).shape;
  if (ws.size() != 2 || xs.empty() || xs.back() != ws[0])
    throw InvalidInput("shapes of a product with a shared matrix", text(xs) + " and " + text(ws),
                       "[.., k] and [k, n]");
  Node n{.kind = Kind::affine, .shape = xs, .args = {x, w}, .second_flag = true};
  n.shape.back() = ws[1];
  return add(n);
}

LaneProgram::Value LaneProgram::matmul(Value a, Value b, bool b_transposed) {
  const Shape &as = node(a).shape, &bs = node(b).shape;
  if (as.size() != 2 || bs.size() != 2 || as[1] != bs[b_transposed ? 1 : 0])
    throw InvalidInput("shapes of a matrix product", text(as) + " and " + text(bs), "[m, k] and [k, n]");
  return add({.kind = Kind::matmul,
              .shape = {as[0], bs[b_transposed ? 0 : 1]},
              .args = {a, b},
              .flag = b_transposed});
}

LaneProgram::Value LaneProgram::reduce(Combine combine, Value x, int axis) {
  Node n{.kind = Kind::reduce, .shape = node(x).shape, .args = {x}, .combine = combine};
  n.axis = axis < 0 ? axis + static_cast<int>(n.shape.size()) : axis;
  if (n.axis < 0 || n.axis >= static_cast<int>(n.shape.size()))
    throw InvalidInput("axis of a reduction", std::to_string(axis), "an axis of " + text(n.shape));
  n.shape[static_cast<std::size_t>(n.axis)] = 1;
  return add(n);
}

LaneProgram::Value LaneProgram::argmax(Value x) {
  Node n{.kind = Kind::argmax, .shape = node(x).shape, .type = DType::i32, .args = {x}};
  if (n.shape.empty()) throw InvalidInput("argmax needs an axis");
  n.shape.back() = 1;
  return add(n);
}

LaneProgram::Value LaneProgram::softmax(Value x) {
  const Value top = reduce(Combine::max, x, -1);
  const Value e = map([](auto a) { return exp(a[0] - a[1]); }, {x, top});
  return map([](auto a) { return a[0] / a[1]; }, {e, reduce(Combine::sum, e, -1)});
}

LaneProgram::Value LaneProgram::log_softmax(Value x) {
  const Value top = reduce(Combine::max, x, -1);
  const Value e = map([](auto a) { return exp(a[0] - a[1]); }, {x, top});
  return map([](auto a) { return a[0] - a[1] - log(a[2]); }, {x, top, reduce(Combine::sum, e, -1)});
}

LaneProgram::Value LaneProgram::layer_norm(Value x, Value gamma, Value beta, float epsilon) {
  const double n = static_cast<double>(node(x).shape.back());
  const Value total = reduce(Combine::sum, x, -1);
  const Value centred = map([n](auto a) { return a[0] - a[1] * Expr(1 / n); }, {x, total});
  const Value squares = reduce(Combine::sum, map([](auto a) { return a[0] * a[0]; }, {centred}), -1);
  return map([n, epsilon](auto a) { return a[0] / sqrt(a[1] * Expr(1 / n) + Expr(epsilon)) * a[2] + a[3]; },
             {centred, squares, gamma, beta});
}

LaneProgram::Value LaneProgram::concat(const std::vector<Value>& parts, int axis) {
  if (parts.empty()) throw InvalidInput("concat needs a part");
  Node n{.kind = Kind::concat, .shape = node(parts[0]).shape, .args = parts};
  n.axis = axis < 0 ? axis + static_cast<int>(n.shape.size()) : axis;
  if (n.axis < 0 || n.axis >= static_cast<int>(n.shape.size()))
    throw InvalidInput("axis of a concat", std::to_string(axis), "an axis of " + text(n.shape));
  for (std::size_t i = 1; i < parts.size(); ++i) {
    Shape other = node(parts[i]).shape;
    if (other.size() != n.shape.size())
      throw InvalidInput("shapes of a concat", text(n.shape) + " and " + text(other), "equal ranks");
    n.shape[static_cast<std::size_t>(n.axis)] += other[static_cast<std::size_t>(n.axis)];
    other[static_cast<std::size_t>(n.axis)] = n.shape[static_cast<std::size_t>(n.axis)];
    if (other != n.shape)
      throw InvalidInput("shapes of a concat", text(n.shape) + " and " + text(other),
                         "equal extents but on the axis");
  }
  return add(n);
}

LaneProgram::Value LaneProgram::slice(Value x, int axis, std::int64_t begin, std::int64_t end) {
  Node n{.kind = Kind::slice, .shape = node(x).shape, .type = node(x).type, .args = {x}, .begin = begin};
  n.axis = axis < 0 ? axis + static_cast<int>(n.shape.size()) : axis;
  if (n.axis < 0 || n.axis >= static_cast<int>(n.shape.size()) || begin < 0 ||
      end > n.shape[static_cast<std::size_t>(n.axis)] || begin > end)
    throw InvalidInput("slice", fmt::format("axis {} from {} to {}", axis, begin, end),
                       "a range inside " + text(n.shape));
  n.shape[static_cast<std::size_t>(n.axis)] = end - begin;
  return add(n);
}

LaneProgram::Value LaneProgram::reshape(Value x, Shape shape) {
  if (volume(shape) != volume(node(x).shape))
    throw InvalidInput("reshape", text(node(x).shape) + " to " + text(shape), "equal volumes");
  return add({.kind = Kind::reshape, .shape = std::move(shape), .type = node(x).type, .args = {x}});
}

LaneProgram::Value LaneProgram::transpose(Value x, const std::vector<int>& permutation) {
  Node n{.kind = Kind::transpose, .type = node(x).type, .args = {x}, .permutation = permutation};
  if (permutation.size() != node(x).shape.size())
    throw InvalidInput("permutation of a transpose must name every axis of " + text(node(x).shape));
  for (const int p : permutation) n.shape.push_back(node(x).shape.at(static_cast<std::size_t>(p)));
  return add(n);
}

LaneProgram::Value LaneProgram::embedding(Value table, Value index) {
  if (node(table).shape.size() != 2)
    throw InvalidInput("table of an embedding", text(node(table).shape), "[rows, n]");
  return add({.kind = Kind::embedding, .shape = {node(table).shape[1]}, .args = {table, index}});
}

LaneProgram::Value LaneProgram::pick(Value x, Value index) {
  Node n{.kind = Kind::pick, .shape = node(x).shape, .args = {x, index}};
  if (n.shape.empty()) throw InvalidInput("pick needs an axis");
  n.shape.back() = 1;
  return add(n);
}

void LaneProgram::output(const std::string& name, Value value) {
  operands_.push_back({name, node(value).type, Access::Dense, true, -1});
  outputs_.emplace_back(static_cast<int>(operands_.size()) - 1, value);
}

/// One build: places every value that must be stored and emits statements in the order of the nodes.

}  // namespace ballast::loop
