#include "ballast/ragged/storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace ballast::ragged {

using namespace loop;

Expr Tables::scalar(const LengthFn& f) {
  for (std::size_t i = 0; i < scalars_.size(); ++i)
    if (scalars_[i].name == f.name())
      return loop::scalar(f.name(), static_cast<int>(i), scalars_[i].low, scalars_[i].high);
  scalars_.push_back({f.name(), f.base().low(), f.base().high()});
  return loop::scalar(f.name(), static_cast<int>(scalars_.size()) - 1, scalars_.back().low,
                      scalars_.back().high);
}

Buffer Tables::add(TableSpec spec, Expr extent, std::int64_t low, std::int64_t high) {
  for (const TableSpec& have : specs_)
    if (have.key == spec.key) return have.buffer;
  const auto buffer = std::make_shared<BufferNode>(
      *aux_buffer(spec.name, static_cast<int>(specs_.size()), std::move(extent), low, high));
  if (options_.wide && spec.kind == TableSpec::Kind::prefix) buffer->type = DType::i64;
  spec.buffer = buffer;
  specs_.push_back(spec);
  return spec.buffer;
}

Expr Tables::length(const LengthFn& f, const Expr& index, const Expr& count) {
  switch (f.kind()) {
    case LengthFn::Kind::constant:
      return f.apply(Expr());
    case LengthFn::Kind::scalar:
      return f.apply(scalar(f));
    case LengthFn::Kind::affine:
      return f.apply(index);
    case LengthFn::Kind::data:
      break;
  }
  TableSpec spec{TableSpec::Kind::length, f.name(), "length " + f.name(), {}, count};
  for (const TableSpec& have : specs_)
    if (have.key == spec.key) return f.apply(load(have.buffer, index));
  spec.low = f.base().low();
  spec.high = f.base().high();
  return f.apply(load(add(spec, count, spec.low, spec.high), index));
}

Buffer Tables::prefix(const std::string& name, const Expr& count, const std::vector<Var>& variables,
                      const std::vector<Expr>& extents, const Expr& element) {
  TableSpec spec{TableSpec::Kind::prefix, fmt::format("{}.{}", name, specs_.size()), "", {}, count};
  // One name for each variable, so that equal functions have equal texts.
  Substitution rename;
  for (std::size_t i = 0; i < variables.size(); ++i) {
    spec.variables.push_back(loop::variable(i == 0 ? "x" : fmt::format("x{}", i)));
    rename.pairs.emplace_back(variables[i].get(), spec.variables.back());
  }
  spec.key = "prefix ";
  for (const Expr& e : extents) {
    spec.extents.push_back(rename(e));
    spec.key += to_text(spec.extents.back()) + ", ";
  }
  spec.element = rename(element);
  spec.key += ": " + to_text(spec.element);
  return add(spec, count + Expr(1), 0, kNoMaximum);
}

Buffer Tables::map(const Buffer& of, std::int64_t bulk) {
  TableSpec spec{TableSpec::Kind::map, of->name + ".fo", "map " + of->name, {}, {}};
  spec.prefix = of->slot;
  const Buffer buffer = add(spec, Expr(), 0, kNoMaximum);
  if (bulk > 1) specs_[static_cast<std::size_t>(buffer->slot)].bulk.push_back(bulk);
  return buffer;
}

Buffer Tables::next(const Buffer& of, const Expr& count) {
  TableSpec spec{TableSpec::Kind::next, of->name + ".next", "next " + of->name, {}, count};
  spec.prefix = of->slot;
  return add(spec, count, 0, kNoMaximum);
}

Buffer Tables::order(const std::string& kernel, const Expr& count) {
  return add({TableSpec::Kind::order, kernel + ".order", "order " + kernel, {}, count}, count, 0, kNoMaximum);
}

namespace {

/// Some dimensions with their extents in memory: who depends on whom, and the offset tables.
class Storage {
 public:
  Storage(Tables& tables, std::string name, std::vector<Axis> axes, std::vector<LengthFn> storage)
      : tables_(tables),
        name_(std::move(name)),
        axes_(std::move(axes)),
        storage_(std::move(storage)),
        dependents_(axes_.size()) {
    for (std::size_t j = 0; j < axes_.size(); ++j) {
      fiber_ = std::max(fiber_, storage_[j].all_of().size());
      for (std::size_t i = 0; i < j; ++i)
        if (storage_[j].depends_on(axes_[i].dim)) dependents_[i].push_back(j);
    }
    for (std::size_t i = 0; i < axes_.size(); ++i)
      if (!dependents_[i].empty() && storage_[i].normal() != axes_[i].extent.normal())
        throw CompileError(fmt::format(
            "{}, dimension {}, pad_storage: other extents depend on it, which have no value beyond its end",
            name_, axes_[i].dim->name));
    if (fiber_ > 1) check_fibers();
  }

  Expr position(const std::vector<Expr>& index) {
    if (fiber_ > 1) return fiber_position(index);
    Expr sum = 0;
    for (std::size_t i = 0; i < axes_.size(); ++i) sum = sum + term(i, index[i], index);
    return sum;
  }

  Expr volume() {
    if (axes_.empty()) return 1;
    std::vector<Expr> index(axes_.size(), Expr(0));
    if (fiber_ <= 1) return term(0, extent(0, index), index);
    Expr inside = load(fiber_offsets(), prefix().volume());
    for (std::size_t j = fiber_; j < axes_.size(); ++j)
      if (storage_[j].all_of().empty()) inside = inside * extent(j, index);
    return inside;
  }

  Expr extent(std::size_t j, const std::vector<Expr>& index) { return at(storage_[j], index); }

  /// A length function of these dimensions at an index.
  Expr at(const LengthFn& f, const std::vector<Expr>& index) {
    const std::size_t n = f.all_of().size();
    if (n == 0) return tables_.length(f, Expr(), Expr());
    if (n == 1) {
      const std::size_t i = axis_of(f.of());
      return tables_.length(f, index[i], most(i));
    }
    std::vector<Axis> axes;
    std::vector<LengthFn> extents;
    std::vector<Expr> places;
    for (const Dim& d : f.all_of()) {
      const std::size_t i = axis_of(d);
      axes.push_back(axes_[i]);
      extents.push_back(axes_[i].extent);
      places.push_back(index[i]);
    }
    Storage fibers(tables_, name_, axes, extents);
    return tables_.length(f, fibers.position(places), fibers.volume());
  }

 private:
  /// The volume of all slices before coordinate i, scaled by everything inside (specification 3.4).
  Expr term(std::size_t i, const Expr& at, const std::vector<Expr>& index) {
    std::set<std::size_t> handled;
    Expr c = at;
    if (!dependents_[i].empty()) {
      c = offset(i, at);
      handled = transitive(i);
    }
    for (std::size_t j = i + 1; j < axes_.size(); ++j) {
      if (handled.contains(j)) continue;
      if (dependents_[j].empty()) {
        c = c * extent(j, index);
      } else {
        c = c * offset(j, extent(j, index));
        const auto more = transitive(j);
        handled.insert(more.begin(), more.end());
      }
    }
    return c;
  }

  std::size_t axis_of(const Dim& d) const {
    for (std::size_t i = 0; i < axes_.size(); ++i)
      if (axes_[i].dim == d) return i;
    throw CompileError(fmt::format("{} has no dimension {}", name_, d->name));
  }

  /// An upper bound of a dimension's extent that depends on no index.
  Expr most(std::size_t i) {
    const LengthFn& f = axes_[i].extent;
    if (!f.of()) return tables_.length(f, Expr(), Expr());
    return Expr(f.high());
  }

  std::set<std::size_t> transitive(std::size_t i) const {
    std::set<std::size_t> all;
    for (const std::size_t d : dependents_[i]) {
      all.insert(d);
      const auto more = transitive(d);
      all.insert(more.begin(), more.end());
    }
    return all;
  }

  /// A_i(x).
  Expr offset(std::size_t i, const Expr& x) {
    if (tables_.options().closed_offsets && dependents_[i].size() == 1) {
      const std::size_t d = dependents_[i][0];
      const LengthFn& f = storage_[d];
      // The sum of factor * y + c over y < x.
      if (dependents_[d].empty() && f.kind() == LengthFn::Kind::affine && f.normal() == f.base().normal() &&
          f.low() >= 0)
        return floordiv(x * (x - Expr(1)) * Expr(f.factor()), Expr(2)) + x * Expr(f.constant());
    }
    return load(offsets(i), x);
  }

  Buffer offsets(std::size_t i) {
    const Var x = loop::variable("x");
    Expr product = 1;
    for (const std::size_t d : dependents_[i]) {
      const Expr length = tables_.length(storage_[d], x, most(i));
      product = product * (dependents_[d].empty() ? length : offset(d, length));
    }
    return tables_.prefix("offset", most(i), {x}, {most(i)}, product);
  }

  // ---- fibers: the first dimensions are enumerated as one ----

  void check_fibers() const {
    for (std::size_t j = 0; j < axes_.size(); ++j) {
      const std::vector<Dim>& of = storage_[j].all_of();
      for (std::size_t i = 0; of.size() > 1 && i < of.size(); ++i)
        if (axes_[i].dim != of[i])
          throw CompileError(
              fmt::format("{}, dimension {}: its extent depends on several dimensions, which must be the "
                          "first ones, in the "
                          "order of the length function",
                          name_, axes_[j].dim->name));
      for (const Dim& d : of)
        if (j >= fiber_ && axis_of(d) >= fiber_)
          throw CompileError(
              fmt::format("{}, dimension {}: its extent depends on {}, which lies inside a fiber", name_,
                          axes_[j].dim->name, d->name));
    }
  }

  Storage prefix() {
    const auto n = static_cast<std::ptrdiff_t>(fiber_);
    return {tables_, name_, {axes_.begin(), axes_.begin() + n}, {storage_.begin(), storage_.begin() + n}};
  }

  /// Entry f: the volume of all fibers before f, without the dimensions that depend on nothing.
  Buffer fiber_offsets() {
    Storage outer = prefix();
    std::vector<Expr> places(axes_.size(), Expr(0)), extents;
    std::vector<Var> variables;
    for (std::size_t i = 0; i < fiber_; ++i) {
      extents.push_back(outer.extent(i, places));
      variables.push_back(loop::variable("x"));
      places[i] = variables.back();
    }
    Expr product = 1;
    for (std::size_t j = fiber_; j < axes_.size(); ++j)
      if (!storage_[j].all_of().empty()) product = product * extent(j, places);
    return tables_.prefix("fibers", outer.volume(), variables, extents, product);
  }

  Expr fiber_position(const std::vector<Expr>& index) {
    Expr start = load(fiber_offsets(), prefix().position(index)), inside = 0;
    for (std::size_t j = fiber_; j < axes_.size(); ++j) {
      const Expr e = extent(j, index);
      if (storage_[j].all_of().empty()) start = start * e;
      inside = inside * e + index[j];
    }
    return start + inside;
  }

  Tables& tables_;
  std::string name_;
  std::vector<Axis> axes_;
  std::vector<LengthFn> storage_;
  std::vector<std::vector<std::size_t>> dependents_;
  std::size_t fiber_ = 0;  ///< most dimensions that one extent depends on
};

/// Axes and extents in memory order.
Storage storage_of(Tables& tables, const Stage& t) {
  if (t.order.empty()) return {tables, t.name, t.axes, t.storage};
  std::vector<Axis> axes;
  std::vector<LengthFn> storage;
  for (const std::size_t i : t.order) {
    axes.push_back(t.axes[i]);
    storage.push_back(t.storage[i]);
  }
  return {tables, t.name, axes, storage};
}

}  // namespace

Expr position(Tables& tables, const Stage& tensor, const std::vector<Expr>& index) {
  std::vector<Expr> places = index;
  if (tensor.layout) {
    const auto at = static_cast<std::ptrdiff_t>(tensor.split_dimension);
    places.insert(places.begin() + at + 1,
                  floormod(places[tensor.split_dimension], Expr(tensor.split_factor)));
    places[tensor.split_dimension] = floordiv(places[tensor.split_dimension], Expr(tensor.split_factor));
    return position(tables, *tensor.layout, places);
  }
  for (std::size_t i = 0; i < tensor.order.size(); ++i) places[i] = index[tensor.order[i]];
  return storage_of(tables, tensor).position(places);
}

Expr volume(Tables& tables, const Stage& tensor) {
  return storage_of(tables, tensor.layout ? *tensor.layout : tensor).volume();
}

Expr extent_at(Tables& tables, const LengthFn& f, const std::vector<Axis>& axes,
               const std::vector<Expr>& index) {
  std::vector<LengthFn> extents;
  for (const Axis& a : axes) extents.push_back(a.extent);
  return Storage(tables, "loops", axes, extents).at(f, index);
}

}  // namespace ballast::ragged
