// From stages and schedules to loop IR: named-dimension bound inference, O(1) ragged storage, prelude tables.
//
// Storage (paper, section on storage lowering): dimension d has dependents D(d), the dimensions whose extent
// is a function of d's index. Offset table A_d(x) = sum over y < x of the product over D(d) of w(y), where w
// is the dependent's length, or its own offset table at that length. A flat position takes one table a
// dimension that others depend on, whatever the number of elements. Tables are shared by all tensors and
// kernels that need the same function.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "ballast/loop/kernel.h"
#include "ballast/ragged/schedule.h"

namespace ballast::ragged {

/// One int32 table that kernels read: frame.aux[slot].
struct TableSpec {
  enum class Kind : std::uint8_t {
    length,  ///< given by the caller: name(x)
    prefix,  ///< entry x = sum of element(y) over y < x; count + 1 entries
    map,     ///< entry f = the outer index of fused iteration f (f_fo); as many as the prefix's total
    order    ///< task permutation, by falling cost
  };
  Kind kind;
  std::string name, key;
  loop::Buffer buffer;
  loop::Expr count;    ///< over scalars: entries of a length table, terms of a prefix
  loop::Var variable;  ///< of `element`
  loop::Expr element;
  int prefix = -1;                 ///< of a map
  std::int64_t low = 0, high = 0;  ///< declared range of a length
};

/// Tables and scalars of a program; frames of all its kernels have these.
class Tables {
 public:
  loop::Expr scalar(const LengthFn& f);
  /// The value of a length function at an index of the dimension it depends on; `count` bounds that index.
  loop::Expr length(const LengthFn& f, const loop::Expr& index, const loop::Expr& count);
  /// A prefix-sum table of `element` over `variable` in [0, count); shared by its text.
  loop::Buffer prefix(const std::string& name, const loop::Expr& count, const loop::Var& variable,
                      const loop::Expr& element);
  loop::Buffer map(const loop::Buffer& prefix);
  loop::Buffer order(const std::string& kernel, const loop::Expr& count);

  const std::vector<TableSpec>& specs() const { return specs_; }
  const std::vector<loop::ScalarDesc>& scalars() const { return scalars_; }

 private:
  loop::Buffer add(TableSpec spec, loop::Expr extent, std::int64_t low, std::int64_t high);
  std::vector<TableSpec> specs_;
  std::vector<loop::ScalarDesc> scalars_;
};

/// The flat position of an element (specification 3.4), and the elements that must be allocated.
loop::Expr position(Tables& tables, const Stage& tensor, const std::vector<loop::Expr>& index);
loop::Expr volume(Tables& tables, const Stage& tensor);

struct LoweredKernel {
  loop::Function function;
  std::vector<Tensor> operands;     ///< in order of the frame's buffers; the last is written
  int order_table = -1;             ///< aux slot of the task permutation
  std::vector<std::string> guards;  ///< conditions that stayed in the code
};
/// Throws CompileError naming stage, loop, primitive and a hint.
LoweredKernel lower(Tables& tables, const Schedule& schedule);

}  // namespace ballast::ragged
