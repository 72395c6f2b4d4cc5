// The pass behind lower.h: walks the leaf loops of one stage from the outermost, keeps the values of all
// loops that are determined, and leaves guards, lets and searches where they become possible.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ballast/loop/simplify.h"
#include "ballast/ragged/lower.h"

namespace ballast::ragged {

using loop::Buffer;
using loop::BufferNode;
using loop::Expr;
using loop::ExprNode;
using loop::Stmt;
using loop::Substitution;
using loop::Var;

/// The factor of a variable in an expression linear in it; empty when it is not linear.
std::optional<Expr> coefficient(const Expr& e, const ExprNode* v);

class StageLowering {
 public:
  StageLowering(Tables& tables, const Schedule& s)
      : tables_(tables), s_(s), stage_(*s.stage()), target_(stage_.target ? *stage_.target : stage_) {}

  LoweredKernel run();

 private:
  using Info = Schedule::Info;
  const Info& info(int id) const { return s_.loops_[static_cast<std::size_t>(id)]; }
  [[noreturn]] void refuse(int id, const char* primitive, const std::string& why) const;

  // ---- loops ----

  const Axis& axis(int id) const;

  /// Where the loop of a dimension begins (operation splitting), as a length function; null: at zero.
  const LengthFn* begin_of(int id) const;

  int root_of(const Dim& d) const { return s_[d].id; }

  Expr length_at(const LengthFn& f, int id);

  Expr unpadded(int id);

  Expr extent(int id);

  struct Fusion {
    Buffer prefix;  ///< null: the inner extent does not depend on the outer index
    Expr count;     ///< of the outer loop
  };
  /// Whether a loop is `id` or was fused into it.
  bool below(int loop, int id) const;
  /// Gives a loop, and those that were fused into it, the values that follow from v; for the prelude.
  void assume(int id, const Expr& v);
  Fusion fusion(int id);

  static bool other_variable(const Expr& e, const ExprNode* allowed);

  // ---- values ----

  /// Load hoisting: binds an expression that reads tables at the outermost loop that determines its index.
  Expr bound(const Expr& e, const std::string& name);

  /// The cost model runs without the kernel's guards: its table reads are kept inside the tables.
  static Expr clamped(const Expr& e);

  std::size_t depth_of(const Expr& e) const;

  /// Every table read inside an expression, bound.
  Expr hoisted(const Expr& e);

  static bool reads_memory(const Expr& e);

  /// `depth` loops are open. Depth 0 is outside all of them.
  void wrap_at(std::size_t depth, std::function<Stmt(Stmt)> f);

  Expr inlined(Expr e) const;

  void guard(const Expr& condition, int id);
  /// Proves a condition from the loops that are open, and keeps the proof.
  bool proved(const Expr& condition);

  void set_value(int id, const Expr& v);

  /// The outer index of iteration v of a fused loop, by the schedule's maps.
  Expr outer_index(int id, const Fusion& f, const Expr& v);
  Expr walk(const Buffer& prefix, const Expr& count, const Expr& v);
  /// Largest o with prefix[o] <= v by halving steps; empty slices are passed over.
  Expr search(const Buffer& prefix, const Expr& count, const Expr& v);
  Stmt searched(const Buffer& found, const Buffer& prefix, const Expr& count, const Expr& v, Stmt body);

  // ---- bodies ----

  void bind_operands();

  static Tensor find_tensor(const Buffer& placeholder);

  /// A stage's expression with indices in place of its variables and flat positions in place of tensor reads.
  Expr flat(const Expr& e);

  Substitution indices() const;
  /// A position in its one form; notes what bulk padded iterations touch behind the tensor.
  Expr place(std::size_t operand, const Expr& position);
  /// Each length in an expression, as a table read.
  Expr length_value(const Expr& e, const std::vector<Expr>& index);

  Expr target_position();

  /// Padded spatial loops whose surplus is provably harmless: every tensor touched has room for it, and the
  /// surplus rows of the output are no real element's.
  void find_unguarded();

  Stmt open(std::size_t p, Stmt body);

  /// Loops [from, ...) around the element's computation. With a reduction, the loops inside its outermost
  /// loop are written three times: start, update, epilogue.
  Stmt nest(std::size_t from);

  /// The copies of the spatial loops around start and epilogue must not need the reduction's index.
  void check_spatial_inside(std::size_t r);

  Stmt with_outside(Stmt s);

  Stmt product(std::size_t from, const Expr& at);

  // ---- local copies: cache_read, compute_at, cache_write ----

  struct LocalCopy {
    Tensor tensor;
    Buffer local;
    std::vector<Expr> low;  ///< first element of each dimension
    std::vector<std::int64_t> size;
  };
  void make_copies();
  void find_region(LocalCopy& copy, const Expr& e, std::size_t depth, int loop);
  Stmt filled(const LocalCopy& copy, bool compute);
  const LocalCopy* copy_of(const BufferNode* placeholder) const;
  static Expr local_index(const LocalCopy& copy, const std::vector<Expr>& index);
  /// Start, update and epilogue of a reduction whose loops begin at r.
  Stmt reduced(std::size_t r, const Expr& at);
  static constexpr std::int64_t kMostLocal = 16384;  ///< elements of a local array

  Tables& tables_;
  const Schedule& s_;
  const Stage& stage_;
  const Stage& target_;
  std::vector<Tensor> operands_;
  std::map<const BufferNode*, std::shared_ptr<BufferNode>> buffers_;
  std::shared_ptr<BufferNode> output_;
  std::map<const BufferNode*, std::size_t> slots_;  ///< of placeholders
  std::map<int, Expr> value_;
  std::set<int> unguarded_, full_;
  std::set<int> exact_;    ///< outer parts of splits whose extent knows the inner part
  std::set<int> virtual_;  ///< dimensions whose index may be the slice behind the last one (bulk padding)
  struct Bulk {
    Expr value;  ///< of the fused loop
    std::int64_t multiple;
    int loop;
  };
  std::vector<Bulk> bulk_;
  std::vector<std::int64_t> slack_;
  bool prelude_ = false;
  loop::Facts facts_;
  std::vector<loop::Proof> proofs_;
  std::vector<LocalCopy> copies_;
  std::vector<Expr> extents_;
  std::vector<Var> vars_;
  std::vector<std::vector<std::function<Stmt(Stmt)>>> wrap_;
  std::map<std::size_t, int> hard_;  ///< what is wrapped at a depth and is no let
  std::vector<std::function<Stmt(Stmt)>> outside_;
  struct Let {
    Var var;
    Expr value;
    std::size_t depth;
  };
  std::vector<Let> lets_;
  std::map<std::string, Expr> bindings_;
  std::vector<std::pair<Var, std::size_t>>
      found_;  ///< results of searches and the depth at which they are known
  std::vector<std::string> guards_;
  int missing_ = -1;
};

}  // namespace ballast::ragged
