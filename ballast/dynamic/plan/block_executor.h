// A static block as batches of its operators over memory that was planned (ED-Batch, section 4.5 of the
// specification): what the layout of memory_plan.h is worth in time. Variable v of N instances lies at
// offset(v) * N, lanes side by side, so variables that are neighbours in the plan's order form one operand of
// m * N lanes. Operand lists that are not side by side are copied together first, results copied apart after.
//
//   BlockExecutor e(cell, weights, 3);
//   e.run(64, inputs);                  // inputs[i]: [64][size of lane input i]
//   e.copies(), e.output(0)             // [64][size]
//
// Levels: 0 declaration order, agenda; 1 planned order, fewest batches; 2 and 3 the same with every address
// resolved once for a batch size; 4 and 5 the same as 2 and 3 with weights arranged in
// panels once, where the others read them as they lie.
// The compiled models do not run this way (a block is one fused kernel): it is the ablation of Table E.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ballast/dynamic/compiler/kernels.h"
#include "ballast/dynamic/plan/memory_plan.h"

namespace ballast::dynamic {

class BlockExecutor {
 public:
  /// `weights`: of each shared input of the cell its numbers, of others nothing. Throws InvalidInput for a
  /// cell with keyed weights, indices or add_n, and for a level beyond 5.
  BlockExecutor(const Cell& cell, std::vector<std::vector<float>> weights, int level);
  ~BlockExecutor();

  void run(std::int64_t lanes, const std::vector<std::vector<float>>& inputs);
  const float* output(int which) const;

  int batches() const;
  int copies() const;  ///< lists copied together or apart in one run
  std::int64_t copied_bytes_per_lane() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::dynamic
