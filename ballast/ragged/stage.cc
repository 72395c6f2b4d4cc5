#include "ballast/ragged/stage.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"

namespace ballast::ragged {

using loop::Expr;
using loop::Var;

Dim dim(std::string name) {
  return std::make_shared<DimNode>(DimNode{std::move(name)});
}

LengthFn::LengthFn(std::int64_t value) : constant_(value), low_(value), high_(value) {
  if (value < 0) throw InvalidInput("constant extent", std::to_string(value), "an integer of at least 0");
}

LengthFn LengthFn::scalar(std::string name, std::int64_t low, std::int64_t high) {
  LengthFn f(0);
  f.kind_ = Kind::scalar;
  f.name_ = std::move(name);
  f.low_ = low;
  f.high_ = high;
  return f;
}

LengthFn LengthFn::data(std::string name, Dim of, std::int64_t low, std::int64_t high) {
  return data(std::move(name), std::vector<Dim>{std::move(of)}, low, high);
}

LengthFn LengthFn::data(std::string name, std::vector<Dim> of, std::int64_t low, std::int64_t high) {
  if (of.empty()) throw InvalidInput("length function " + name + " depends on no dimension: use scalar");
  LengthFn f = scalar(std::move(name), low, high);
  f.kind_ = Kind::data;
  f.of_ = std::move(of);
  return f;
}

bool LengthFn::depends_on(const Dim& d) const {
  return std::find(of_.begin(), of_.end(), d) != of_.end();
}

LengthFn LengthFn::affine(Dim of, std::int64_t factor, std::int64_t constant, std::int64_t high) {
  LengthFn f(0);
  f.kind_ = Kind::affine;
  f.of_ = {std::move(of)};
  f.factor_ = factor;
  f.constant_ = constant;
  f.high_ = high;
  return f;
}

LengthFn LengthFn::with(Step step, std::int64_t m) const {
  if (m <= 0) throw InvalidInput("factor of a length function", std::to_string(m), "a positive integer");
  LengthFn f = *this;
  if (step != Step::at_most && m == 1) return f;
  // Rounding to a multiple of what is a multiple already changes nothing.
  if (step == Step::ceil_mult && !steps_.empty() && steps_.back().first == Step::ceil_mult &&
      steps_.back().second % m == 0)
    return f;
  f.steps_.emplace_back(step, m);
  return f;
}
LengthFn LengthFn::ceil_mult(std::int64_t m) const {
  return with(Step::ceil_mult, m);
}
LengthFn LengthFn::floor_mult(std::int64_t m) const {
  return with(Step::floor_mult, m);
}
LengthFn LengthFn::ceil_div(std::int64_t m) const {
  return with(Step::ceil_div, m);
}
LengthFn LengthFn::at_most(std::int64_t c) const {
  return with(Step::at_most, c);
}

namespace {
std::int64_t stepped(LengthFn::Step step, std::int64_t m, std::int64_t v) {
  if (v <= loop::kNoMinimum || v >= loop::kNoMaximum)
    return step == LengthFn::Step::at_most ? std::min(m, v) : v;
  switch (step) {
    case LengthFn::Step::ceil_mult:
      return (v + m - 1) / m * m;
    case LengthFn::Step::floor_mult:
      return v / m * m;
    case LengthFn::Step::ceil_div:
      return (v + m - 1) / m;
    case LengthFn::Step::at_most:
      return std::min(v, m);
  }
  return v;
}
}  // namespace

std::int64_t LengthFn::low() const {
  std::int64_t v = low_;
  for (const auto& [step, m] : steps_) v = stepped(step, m, v);
  return v;
}
std::int64_t LengthFn::high() const {
  std::int64_t v = high_;
  for (const auto& [step, m] : steps_) v = stepped(step, m, v);
  return v;
}

LengthFn LengthFn::base() const {
  LengthFn f = *this;
  f.steps_.clear();
  return f;
}

std::string LengthFn::normal() const {
  std::string text;
  switch (kind_) {
    case Kind::constant:
      text = std::to_string(constant_);
      break;
    case Kind::scalar:
      text = "$" + name_;
      break;
    case Kind::data:
      text = name_ + "(";
      for (const Dim& d : of_) text += (d == of_.front() ? "" : ",") + d->name;
      text += ")";
      break;
    case Kind::affine:
      text = fmt::format("({}*{}+{})", factor_, of_.front()->name, constant_);
      break;
  }
  static constexpr const char* kNames[] = {"up", "down", "pieces", "most"};
  for (const auto& [step, m] : steps_) text += fmt::format(".{}{}", kNames[static_cast<int>(step)], m);
  return text;
}

bool LengthFn::provably_at_most(const LengthFn& other) const {
  if (normal() == other.normal() || high() <= other.low()) return true;
  LengthFn a = *this, b = other;
  a.steps_.clear();
  b.steps_.clear();
  if (a.normal() != b.normal()) return false;
  // One function, rounded differently: up(x, m) <= up(x, n) when m divides n; down(x, m) <= x <= up(x, n).
  const auto rounding = [](const LengthFn& f, std::int64_t& up, std::int64_t& down) {
    up = down = 1;
    if (f.steps_.empty()) return true;
    if (f.steps_.size() > 1) return false;
    if (f.steps_[0].first == Step::ceil_mult)
      up = f.steps_[0].second;
    else if (f.steps_[0].first == Step::floor_mult)
      down = f.steps_[0].second;
    else
      return false;
    return true;
  };
  std::int64_t up_a, down_a, up_b, down_b;
  if (!rounding(*this, up_a, down_a) || !rounding(other, up_b, down_b)) return false;
  if (down_b != 1) return down_a != 1 && down_a % down_b == 0;
  return down_a != 1 || up_b % up_a == 0;
}

Expr LengthFn::apply(const Expr& base) const {
  Expr v = kind_ == Kind::constant ? Expr(constant_)
           : kind_ == Kind::affine ? base * Expr(factor_) + Expr(constant_)
                                   : base;
  for (const auto& [step, m] : steps_) {
    switch (step) {
      case Step::ceil_mult:
        v = loop::ceil_mult(v, m);
        break;
      case Step::floor_mult:
        v = loop::floordiv(v, Expr(m)) * Expr(m);
        break;
      case Step::ceil_div:
        v = loop::ceil_div(v, m);
        break;
      case Step::at_most:
        v = loop::min(v, Expr(m));
        break;
    }
  }
  return v;
}

const Expr& Index::operator[](const Dim& d) const {
  const auto found = values.find(d);
  if (found == values.end()) throw CompileError("dimension " + d->name + " has no index in this expression");
  return found->second;
}

namespace {

Index index_of(const std::vector<Axis>& axes, std::vector<Var>& vars) {
  Index index;
  for (const Axis& a : axes) {
    vars.push_back(loop::variable(a.dim->name));
    if (!index.values.emplace(a.dim, vars.back()).second)
      throw CompileError("dimension " + a.dim->name +
                         " appears twice; give the second one a name of its own");
  }
  return index;
}

Tensor make_stage(std::string name, std::vector<Axis> axes) {
  auto stage = std::make_shared<Stage>();
  stage->name = std::move(name);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    for (const Dim& of : axes[i].extent.all_of()) {
      const bool outer = std::any_of(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(i),
                                     [&](const Axis& a) { return a.dim == of; });
      if (!outer)
        throw CompileError(
            fmt::format("stage {}: the extent of {} depends on {}, which is no dimension outside it",
                        stage->name, axes[i].dim->name, of->name));
    }
    stage->storage.push_back(axes[i].extent);
  }
  stage->axes = std::move(axes);
  auto buffer = std::make_shared<TensorBuffer>();
  buffer->name = stage->name;
  buffer->space = loop::Space::tensor;
  buffer->owner = stage;
  stage->placeholder = buffer;
  return stage;
}

}  // namespace

Definition reduce(loop::Combine combine, std::vector<Axis> axes,
                  const std::function<Expr(const Index&)>& value, std::function<Expr(const Expr&)> epilogue) {
  Definition d;
  const Index index = index_of(axes, d.reduce_vars);
  d.value = value(index);
  d.reduce = std::move(axes);
  d.combine = combine;
  d.epilogue = std::move(epilogue);
  return d;
}

Definition sum(std::vector<Axis> axes, const std::function<Expr(const Index&)>& value,
               std::function<Expr(const Expr&)> epilogue) {
  return reduce(loop::Combine::sum, std::move(axes), value, std::move(epilogue));
}

Tensor input(std::string name, std::vector<Axis> axes) {
  Tensor t = make_stage(std::move(name), std::move(axes));
  t->is_input = true;
  return t;
}

Tensor compute(std::string name, std::vector<Axis> axes,
               const std::function<Definition(const Index&)>& body) {
  Tensor t = make_stage(std::move(name), std::move(axes));
  const Index index = index_of(t->axes, t->vars);
  t->definition = body(index);
  if (!t->definition.value) throw CompileError("stage " + t->name + " has no expression");
  for (const Axis& r : t->definition.reduce) {
    for (const Dim& of : r.extent.all_of())
      if (!index.values.contains(of))
        throw CompileError(fmt::format(
            "stage {}: the extent of the reduction {} depends on {}, which is no dimension of the stage",
            t->name, r.dim->name, of->name));
  }
  return t;
}

Expr read(const Tensor& tensor, std::vector<Expr> index) {
  if (index.size() != tensor->axes.size())
    throw CompileError(fmt::format("{} is read with {} indices and has {} dimensions", tensor->name,
                                   index.size(), tensor->axes.size()));
  auto n = std::make_shared<loop::ExprNode>();
  n->op = loop::Op::load;
  n->type = loop::DType::f32;
  n->buffer = loop::Buffer(tensor, tensor->placeholder.get());  // the reader keeps the tensor alive
  n->args = std::move(index);
  return Expr(n);
}

Expr length_of(const LengthFn& length, const Index& index) {
  auto buffer = std::make_shared<TensorBuffer>();
  buffer->name = length.normal();
  buffer->type = loop::DType::i64;
  buffer->space = loop::Space::tensor;
  buffer->low = length.low();
  buffer->high = length.high();
  buffer->length = length;
  auto n = std::make_shared<loop::ExprNode>();
  n->op = loop::Op::load;
  n->type = loop::DType::i64;
  for (const Dim& d : length.all_of()) n->args.push_back(index[d]);
  n->buffer = buffer;
  return Expr(n);
}

const LengthFn* length_read_by(const loop::ExprNode& load) {
  if (load.op != loop::Op::load || load.buffer->space != loop::Space::tensor) return nullptr;
  const auto& length = static_cast<const TensorBuffer*>(load.buffer.get())->length;
  return length ? &*length : nullptr;
}

void pad_storage(const Tensor& tensor, const Dim& d, std::int64_t m) {
  for (std::size_t i = 0; i < tensor->axes.size(); ++i) {
    if (tensor->axes[i].dim != d) continue;
    tensor->storage[i] = tensor->storage[i].ceil_mult(m);
    return;
  }
  throw CompileError(fmt::format("{} has no dimension {}: pad_storage", tensor->name, d->name));
}

void reorder_dims(const Tensor& tensor, const std::vector<Dim>& order) {
  if (tensor->layout) return reorder_dims(tensor->layout, order);
  std::vector<std::size_t> places;
  for (const Dim& d : order)
    for (std::size_t i = 0; i < tensor->axes.size(); ++i)
      if (tensor->axes[i].dim == d) places.push_back(i);
  std::vector<std::size_t> sorted = places;
  std::sort(sorted.begin(), sorted.end());
  if (places.size() != tensor->axes.size() ||
      std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    throw CompileError(tensor->name + ", reorder_dims: every dimension once is expected");
  for (std::size_t i = 0; i < order.size(); ++i)
    for (const Dim& of : tensor->axes[places[i]].extent.all_of())
      if (std::find(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(i), of) ==
          order.begin() + static_cast<std::ptrdiff_t>(i))
        throw CompileError(
            fmt::format("{}, reorder_dims: the extent of {} depends on {}, which must stay outside",
                        tensor->name, order[i]->name, of->name));
  tensor->order = places;
}

std::pair<Dim, Dim> split_dim(const Tensor& tensor, const Dim& d, std::int64_t factor) {
  const std::string where = tensor->name + ", dimension " + d->name + ", split_dim: ";
  if (factor <= 0) throw CompileError(where + fmt::format("factor {} is not positive", factor));
  if (tensor->layout) throw CompileError(where + "a dimension of this tensor was split before");
  if (!tensor->order.empty()) throw CompileError(where + "split before reorder_dims");
  const auto at = static_cast<std::size_t>(
      std::find_if(tensor->axes.begin(), tensor->axes.end(), [&](const Axis& a) { return a.dim == d; }) -
      tensor->axes.begin());
  if (at == tensor->axes.size()) throw CompileError(where + "there is no such dimension");
  for (const Axis& a : tensor->axes)
    if (a.extent.depends_on(d))
      throw CompileError(where + fmt::format("the extent of {} depends on it", a.dim->name));
  tensor->storage[at] = tensor->storage[at].ceil_mult(factor);
  const Dim tile = dim(d->name + "o"), inside = dim(d->name + "i");
  auto layout = std::make_shared<Stage>();
  layout->name = tensor->name;
  layout->axes = tensor->axes;
  layout->storage = tensor->storage;
  const LengthFn tiles = tensor->storage[at].ceil_div(factor);
  const auto place = static_cast<std::ptrdiff_t>(at);
  layout->axes[at] = {tile, tiles};
  layout->storage[at] = tiles;
  layout->axes.insert(layout->axes.begin() + place + 1, {inside, LengthFn(factor)});
  layout->storage.insert(layout->storage.begin() + place + 1, LengthFn(factor));
  tensor->layout = layout;
  tensor->split_dimension = at;
  tensor->split_factor = factor;
  return {tile, inside};
}

void fuse_dims(const Tensor& tensor, const Dim& outer, const Dim& inner) {
  const Stage& t = tensor->layout ? *tensor->layout : *tensor;
  const std::string where =
      fmt::format("{}, dimensions {} and {}, fuse_dims: ", tensor->name, outer->name, inner->name);
  std::vector<std::size_t> order = t.order;
  for (std::size_t i = order.size(); i < t.axes.size(); ++i) order.push_back(i);
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    if (t.axes[order[i]].dim != outer) continue;
    if (t.axes[order[i + 1]].dim != inner) break;
    if (!(t.storage[order[i + 1]] == t.axes[order[i + 1]].extent))
      throw CompileError(where + "the storage of the inner one is padded, so that slices do not meet");
    return;
  }
  throw CompileError(where + "they do not lie next to each other in memory, in this order");
}

}  // namespace ballast::ragged
