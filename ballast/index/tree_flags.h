// The flags that the verbs share: the tree's options, each technique with its off switch, and one batch of a
// kind of operation under a skew.
#pragma once

#include <string>

#include "ballast/base/cli.h"
#include "ballast/index/methods.h"

namespace ballast::index {

struct TreeFlags {
  std::uint32_t chunk = 16, levels = 0, limit = 0;
  std::string search = "push-pull", plan = "adaptive", root_place = "choices", l3 = "modules", leaf = "hash",
              chunking = "geometric", record = "tall";
  bool no_shadow = false, no_dedup = false, no_merge_ranges = false, no_cut_ranges = false;

  void add_to(cli::Verb& verb);
  /// Throws InvalidInput naming the nearest word.
  PimTreeOptions options(std::uint64_t seed) const;
};

/// One batch on a simulated machine: what `explain` and `model` look at.
struct OneBatch {
  std::string keys = "1M", batch = "64K", op = "predecessor", method = "pim-tree";
  std::uint32_t modules = 256;
  double alpha = 0.99;
  TreeFlags tree;

  struct Outcome {
    Method method;
    std::uint64_t keys, operations;
  };
  void add_to(cli::Verb& verb);
  /// Loads the index and runs the batch; method.index->cost() is its cost. Throws InvalidInput.
  Outcome run(std::uint64_t seed, bool trace_modules) const;
};

}  // namespace ballast::index
