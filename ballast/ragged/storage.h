// O(1) ragged storage (paper, section on storage lowering) and the tables that kernels read.
//
// Dimension d has dependents D(d), the dimensions whose extent is a function of d's index. Offset table
// A_d(x) = sum over y < x of the product over D(d) of w(y), where w is the dependent's length, or its own
// offset table at that length. A flat position takes one table a dimension that others depend on, whatever
// the number of elements. An extent that depends on several dimensions (a fiber) has a table over the flat
// position of their indices: still one read. Tables are shared by all tensors and kernels that need the same
// function; where all lengths are one closed form, a polynomial stands in the table's place.
#pragma once

#include <string>
#include <vector>

#include "ballast/loop/kernel.h"
#include "ballast/ragged/stage.h"

namespace ballast::ragged {

/// One table that kernels read: frame.aux[slot].
struct TableSpec {
  enum class Kind : std::uint8_t {
    length,  ///< given by the caller: name(x)
    prefix,  ///< entry x = sum of element(y) over y < x; count + 1 entries
    map,     ///< entry f = the outer index of fused iteration f (f_fo); as many as the prefix's total
    next,    ///< entry o = the next index after o whose slice is not empty
    order    ///< task permutation, by falling cost
  };
  Kind kind;
  std::string name, key;
  loop::Buffer buffer;
  loop::Expr count;  ///< over scalars and tables: entries of a length table, terms of a prefix
  /// Of a prefix: the terms are enumerated by these nested loops, from the outermost.
  std::vector<loop::Var> variables = {};
  std::vector<loop::Expr> extents = {};
  loop::Expr element = {};
  int prefix = -1;                      ///< of a map or next table
  std::vector<std::int64_t> bulk = {};  ///< of a map: it also covers the total rounded up to these multiples
  std::int64_t low = 0, high = 0;       ///< declared range of a length
};

/// Tables and scalars of a program; frames of all its kernels have these.
class Tables {
 public:
  struct Options {
    bool wide = false;           ///< prefix tables of 64 bits
    bool closed_offsets = true;  ///< polynomials in place of tables where lengths are closed forms
  };
  Tables() = default;
  explicit Tables(Options options) : options_(options) {}

  loop::Expr scalar(const LengthFn& f);
  /// The value of a length function at an index (of the dimension it depends on, or of the fiber); `count`
  /// bounds that index.
  loop::Expr length(const LengthFn& f, const loop::Expr& index, const loop::Expr& count);
  /// A prefix-sum table of `element` over nested loops; shared by its text.
  loop::Buffer prefix(const std::string& name, const loop::Expr& count,
                      const std::vector<loop::Var>& variables, const std::vector<loop::Expr>& extents,
                      const loop::Expr& element);
  loop::Buffer map(const loop::Buffer& prefix, std::int64_t bulk);
  loop::Buffer next(const loop::Buffer& prefix, const loop::Expr& count);
  loop::Buffer order(const std::string& kernel, const loop::Expr& count);

  const Options& options() const { return options_; }
  const std::vector<TableSpec>& specs() const { return specs_; }
  const std::vector<loop::ScalarDesc>& scalars() const { return scalars_; }

 private:
  loop::Buffer add(TableSpec spec, loop::Expr extent, std::int64_t low, std::int64_t high);
  Options options_;
  std::vector<TableSpec> specs_;
  std::vector<loop::ScalarDesc> scalars_;
};

/// The flat position of an element (specification 3.4), and the elements that must be allocated.
loop::Expr position(Tables& tables, const Stage& tensor, const std::vector<loop::Expr>& index);
loop::Expr volume(Tables& tables, const Stage& tensor);
/// The value of an extent where the indices of `axes` are known. Throws CompileError when it depends on a
/// dimension that is none of them.
loop::Expr extent_at(Tables& tables, const LengthFn& f, const std::vector<Axis>& axes,
                     const std::vector<loop::Expr>& index);

}  // namespace ballast::ragged
