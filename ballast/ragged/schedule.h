// How one stage is computed: a list of loops, made from its dimensions by the paper's primitives. The result
// never depends on the schedule; an illegal one is refused with the stage, the loop and what would be
// accepted.
//
//   Schedule s(S);
//   auto [io, ii] = s.split(s[i], 64);
//   auto [jo, ji] = s.split(s[j], 64);
//   Loop t = s.fuse(s[b], s.fuse(io, jo));                  // after s.reorder({s[b], io, jo, ...})
//   s.microkernel(ii, ji, s[k]).parallel(t);
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "ballast/loop/kernel.h"
#include "ballast/ragged/stage.h"

namespace ballast::ragged {

/// A loop of a schedule.
struct Loop {
  int id = -1;
};

/// How a fused loop finds the two loops that it came from.
enum class FuseMaps : std::uint8_t {
  table,   ///< the paper's: one entry an iteration of the fused loop
  search,  ///< binary search in the prefix sums: no table of the fused loop's size
  walk     ///< a search where a run of iterations begins, then one step at a time; tasks and lanes search
};

class Schedule {
 public:
  explicit Schedule(Tensor stage);

  const Tensor& stage() const { return stage_; }
  /// The loop of a dimension (or reduction dimension) as it stands before any split or fusion.
  Loop operator[](const Dim& d) const;

  /// outer * factor + inner. The last inner loop ends where the dimension ends; no guard, no padding.
  std::pair<Loop, Loop> split(Loop loop, std::int64_t factor);
  /// split into `parts` outer iterations; the loop's extent must be a constant.
  std::pair<Loop, Loop> split_parts(Loop loop, std::int64_t parts);
  /// Splits two loops and puts the inner ones inside: {outer a, outer b, inner a, inner b}.
  std::vector<Loop> tile(Loop a, Loop b, std::int64_t factor_a, std::int64_t factor_b);
  /// One loop over all iterations of two adjacent ones; the inner extent may depend on the outer index. With
  /// `bulk` the number of iterations is rounded up to a multiple of it: the surplus belongs to a slice behind
  /// the last one, for which every tensor gets room (bulk padding); a split by a divisor of it has no tail.
  Loop fuse(Loop outer, Loop inner, std::int64_t bulk = 1);
  /// Puts these loops, which hold some positions of the nest, into this order at the same positions.
  Schedule& reorder(const std::vector<Loop>& order);
  /// Rounds a loop's extent up to a multiple of m. Iterations beyond the dimension are guarded unless it is
  /// proved that they stay in allocated memory and touch no real element.
  Schedule& pad_loop(const Dim& d, std::int64_t m);
  Schedule& vectorize(Loop loop);
  Schedule& unroll(Loop loop);
  /// The outer loop of a split runs its last iteration apart from the others: those need no tail, so the
  /// inner loop has a constant extent in them. The loop must not be the parallel one.
  Schedule& peel(Loop outer);
  /// The outermost loop becomes the kernel's tasks.
  Schedule& parallel(Loop loop);
  /// The innermost three loops (rows, columns, reduction) become one matrix product.
  Schedule& microkernel(Loop rows, Loop columns, Loop reduction);
  /// Heavy tasks first, by the modelled cost.
  Schedule& remap_by_cost();
  /// Task t runs what task f(t, number of tasks) would: a permutation in closed form, checked when lengths
  /// are bound (InvalidInput names the task that is missing or twice).
  using Remap = std::function<loop::Expr(const loop::Expr& task, const loop::Expr& tasks)>;
  Schedule& remap(Remap order);
  /// How tasks are cut over the workers; the stage's, or of a horizontally fused group its first stage's.
  Schedule& balance(loop::Balance policy);
  /// At each iteration of `at`, the part of an input (or of another stage's result) that the loops inside
  /// read is copied to a local array of constant size first.
  Schedule& cache_read(const Tensor& tensor, Loop at);
  /// The same, but the producer's elements are computed there and never stored as a whole.
  Schedule& compute_at(const Tensor& producer, Loop at);
  /// A reduction adds up in a local array and writes each element once.
  Schedule& cache_write();
  Schedule& fuse_maps(FuseMaps maps);
  /// Loads of auxiliary tables are bound once, at the outermost loop that determines them (default), or read
  /// at each use.
  Schedule& hoist_loads(bool on);
  /// Makes a guard that cannot be proved unnecessary a CompileError.
  Schedule& elide_guards();

  /// Leaf loops from the outermost, for messages and tests.
  std::vector<Loop> leaves() const;
  std::string name(Loop loop) const { return loops_[static_cast<std::size_t>(loop.id)].name; }
  loop::Balance balance() const { return balance_; }
  bool is_reduction(Loop loop) const { return loops_[static_cast<std::size_t>(loop.id)].reduction; }

 private:
  friend class StageLowering;
  enum class Kind : std::uint8_t { root, outer, inner, fused };
  struct Info {
    std::string name;
    Kind kind = Kind::root;
    int axis = 0;  ///< root: of the stage's axes or its reduction's
    bool reduction = false;
    int parent = -1, sibling = -1;  ///< of a split
    int first = -1, second = -1;    ///< of a fusion
    std::int64_t factor = 1, padding = 1;
    std::int64_t bulk = 1;  ///< of a fusion
    bool peeled = false;
    loop::LoopKind annotation = loop::LoopKind::serial;
  };
  std::size_t position(Loop loop, const char* primitive) const;
  [[noreturn]] void refuse(const char* primitive, Loop loop, const std::string& why) const;

  Tensor stage_;
  std::vector<Info> loops_;
  std::vector<int> leaves_;
  int parallel_ = -1;
  int micro_[3] = {-1, -1, -1};
  struct Cache {
    Tensor tensor;
    int loop = -1;
    bool compute = false;
  };
  std::vector<Cache> caches_;
  Remap remap_order_;
  bool remap_ = false, hoist_ = true, elide_ = false, cache_write_ = false;
  loop::Balance balance_ = loop::Balance::cost_prefix;
  FuseMaps maps_ = FuseMaps::table;
};

}  // namespace ballast::ragged
