// Operators over ragged tensors as the paper's users write them: named dimensions, length functions, one
// scalar expression an element.
//
//   Dim b = dim("b"), i = dim("i"), j = dim("j"), h = dim("h"), k = dim("k");
//   LengthFn B = LengthFn::scalar("B"), len = LengthFn::data("len", b, 0, 512);
//   Tensor Q = input("Q", {{b, B}, {i, len}, {h, 8}, {k, 64}});
//   Tensor K = input("K", {{b, B}, {j, len}, {h, 8}, {k, 64}});
//   Tensor S = compute("S", {{b, B}, {i, len}, {h, 8}, {j, len}}, [&](const Index& x) {
//     return sum({{k, 64}}, [&](const Index& r) { return read(Q, {x[b], x[i], x[h], r[k]}) * read(K, {x[b],
//     x[j], x[h], r[k]}); });
//   });
//
// An extent may depend on one dimension outside it, or on several: then it has one length a *fiber*, a
// combination of their indices (words of a paragraph of a document). Changes of whole stages are in
// transform.h; schedules (schedule.h) and lowering (lower.h) come after.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "ballast/loop/ir.h"

namespace ballast::ragged {

/// A program or schedule that cannot be compiled: stage, loop, primitive, and what would be accepted.
class CompileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct DimNode {
  std::string name;
};
/// A named axis; identity, not the name, makes two dimensions equal.
using Dim = std::shared_ptr<const DimNode>;
Dim dim(std::string name);

/// The extent of a dimension or loop: a constant, a run-time scalar, or a function of an outer dimension's
/// index.
class LengthFn {
 public:
  LengthFn(std::int64_t value);                                        // NOLINT: a constant extent
  LengthFn(int value) : LengthFn(static_cast<std::int64_t>(value)) {}  // NOLINT
  /// The same for all slices, known when the kernel runs.
  static LengthFn scalar(std::string name, std::int64_t low = 0, std::int64_t high = loop::kNoMaximum);
  /// One value an index of `of`, bound to data when the kernel is prepared; always within [low, high].
  static LengthFn data(std::string name, Dim of, std::int64_t low, std::int64_t high);
  /// One value a fiber: a combination of indices of `of`, which are the first dimensions of every tensor that
  /// has this extent, from the outermost; the data lie in the order of the fibers.
  static LengthFn data(std::string name, std::vector<Dim> of, std::int64_t low, std::int64_t high);
  /// Closed form: factor * index of `of` + constant.
  static LengthFn affine(Dim of, std::int64_t factor, std::int64_t constant, std::int64_t high);

  LengthFn ceil_mult(std::int64_t m) const;   ///< the least multiple of m that is not below
  LengthFn floor_mult(std::int64_t m) const;  ///< the largest multiple of m that is not above
  LengthFn ceil_div(std::int64_t m) const;
  LengthFn at_most(std::int64_t c) const;

  bool is_constant() const { return kind_ == Kind::constant && steps_.empty(); }
  std::int64_t constant() const { return constant_; }
  /// The dimension it depends on, of several the innermost; null when there is none.
  Dim of() const { return of_.empty() ? nullptr : of_.back(); }
  const std::vector<Dim>& all_of() const { return of_; }
  bool depends_on(const Dim& d) const;
  std::int64_t low() const, high() const;
  /// Without the roundings.
  LengthFn base() const;
  /// Equal texts, equal functions: what tables are shared by.
  std::string normal() const;
  /// Whether this is never above `other`, for every index: by their normal forms.
  bool provably_at_most(const LengthFn& other) const;
  bool operator==(const LengthFn& other) const { return normal() == other.normal(); }

  enum class Kind : std::uint8_t { constant, scalar, data, affine };
  enum class Step : std::uint8_t { ceil_mult, floor_mult, ceil_div, at_most };
  Kind kind() const { return kind_; }
  const std::string& name() const { return name_; }
  /// The value from the base's value: `base` is a scalar or table read, empty for a constant.
  loop::Expr apply(const loop::Expr& base) const;
  std::int64_t factor() const { return factor_; }

 private:
  LengthFn with(Step step, std::int64_t m) const;
  Kind kind_ = Kind::constant;
  std::string name_;
  std::vector<Dim> of_;
  std::int64_t constant_ = 0, factor_ = 0, low_ = 0, high_ = 0;
  std::vector<std::pair<Step, std::int64_t>> steps_;
};

struct Axis {
  Dim dim;
  LengthFn extent;
};

/// The index of an element by dimension.
class Index {
 public:
  std::map<Dim, loop::Expr> values;
  /// Throws CompileError naming the dimension when it has no index here.
  const loop::Expr& operator[](const Dim& d) const;
};

/// What an element is: a plain expression, or a reduction with an optional expression around it.
struct Definition {
  Definition() = default;
  Definition(loop::Expr e) : value(std::move(e)) {}  // NOLINT
  loop::Expr value;
  std::vector<Axis> reduce;
  std::vector<loop::Var> reduce_vars;
  loop::Combine combine = loop::Combine::sum;
  std::function<loop::Expr(const loop::Expr&)> epilogue;
  /// Empty, or a condition under which an element of the reduction counts; nothing is read where it is false.
  loop::Expr where;
};
Definition reduce(loop::Combine combine, std::vector<Axis> axes,
                  const std::function<loop::Expr(const Index&)>& value,
                  std::function<loop::Expr(const loop::Expr&)> epilogue = {});
Definition sum(std::vector<Axis> axes, const std::function<loop::Expr(const Index&)>& value,
               std::function<loop::Expr(const loop::Expr&)> epilogue = {});

struct Stage {
  std::string name;
  std::vector<Axis> axes;
  std::vector<LengthFn> storage;   ///< extents in memory: at least the axes' (pad_storage)
  std::vector<std::size_t> order;  ///< axes in memory from the outermost; empty: as declared (reorder_dims)
  /// split_dim: how this tensor lies in memory, with the axis cut in two; null: as its own axes say.
  std::shared_ptr<Stage> layout;
  std::size_t split_dimension = 0;  ///< of the axes: the one that `layout` has in two
  std::int64_t split_factor = 0;
  bool is_input = false;
  std::vector<loop::Var> vars;  ///< of the axes
  Definition definition;
  loop::Buffer placeholder;  ///< reads of this tensor in other stages' expressions name it
  /// Operation splitting (transform.h): this stage computes only [min, extent) of the axis `split_axis`, into
  /// `target`'s memory; for a reduction it adds to what is there.
  int split_axis = -1;
  bool split_reduction = false, adds = false;
  std::vector<LengthFn> split_from;
  std::shared_ptr<Stage> target;
};
using Tensor = std::shared_ptr<Stage>;

/// What reads of a tensor, or of a length, name before lowering.
struct TensorBuffer : loop::BufferNode {
  std::weak_ptr<Stage> owner;
  std::optional<LengthFn> length;
};
/// The length that a load in a stage's expression stands for; null: it reads a tensor or a table.
const LengthFn* length_read_by(const loop::ExprNode& load);

/// The value of a length function inside an expression, such as a condition: at the index of the dimensions
/// it depends on.
loop::Expr length_of(const LengthFn& length, const Index& index);

Tensor input(std::string name, std::vector<Axis> axes);
Tensor compute(std::string name, std::vector<Axis> axes, const std::function<Definition(const Index&)>& body);
/// An element of another tensor, by index expressions in the order of its axes.
loop::Expr read(const Tensor& tensor, std::vector<loop::Expr> index);
/// Rounds the extent of a dimension in memory up to a multiple of m.
void pad_storage(const Tensor& tensor, const Dim& d, std::int64_t m);

/// The order of the dimensions in memory, from the outermost; computations do not change. Throws CompileError
/// when an extent would come before the dimension that it depends on.
void reorder_dims(const Tensor& tensor, const std::vector<Dim>& order);

/// Cuts a dimension of a tensor in memory into tiles of `factor`: {number of the tile, place in it}. The
/// extent in memory is rounded up to whole tiles; with reorder_dims the tiles can be put next to each other
/// (blocked storage). Computations do not change. Throws CompileError when another extent depends on d.
std::pair<Dim, Dim> split_dim(const Tensor& tensor, const Dim& d, std::int64_t factor);

/// States that two dimensions lie in memory as one, so that a loop fused over both runs over consecutive
/// slices and its positions need no table. Row-major storage already has them so; throws CompileError where
/// they do not: not next to each other, or with padding between the slices.
void fuse_dims(const Tensor& tensor, const Dim& outer, const Dim& inner);

}  // namespace ballast::ragged
