// Whether a batch of changes fits into the modules' memories, asked before anything changes (specification
// section 10): the CPU side knows what a batch allocates, block by block, up to the lengths of the chunks
// that it touches. These are first bounded by the longest chunk there is; only when that bound does not fit
// are the lengths asked for.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ballast/index/pim/machine.h"

namespace ballast::index {

/// What a module said about its memory (TASK_SPACE).
struct ModuleSpace {
  std::uint64_t untouched = 0;              ///< bytes that were never allocated
  std::uint32_t longest = 0;                ///< most room of a chunk's array so far
  std::uint32_t table_log = 0;              ///< log2 of the slots of its hash table
  std::array<std::uint64_t, 23> free = {};  ///< free blocks of 4 << i words
};

/// Asks all modules, in the same round as whatever else is asked. Replies come last.
void ask_space(pim::Round& round, std::uint32_t modules);
std::vector<ModuleSpace> read_space(pim::Round& round, std::uint32_t modules);

/// The blocks that a batch may take, by module.
class Demand {
 public:
  explicit Demand(std::uint32_t modules) : blocks_(modules) {}

  void block(std::uint32_t module, std::uint64_t words, std::uint64_t times = 1);
  /// A chunk's array that must hold `entries` entries of `columns` words; `had`: those that it surely holds.
  void array(std::uint32_t module, std::uint64_t entries, std::uint32_t columns, std::uint64_t had = 0);
  /// A hash table of 2^from slots that grows until `keys` keys fit.
  void table(std::uint32_t module, std::uint32_t from, std::uint64_t keys);
  /// `puts` keys into the B+-tree of every module.
  void tree(std::uint64_t puts);

  /// Bytes beyond what free blocks serve: what the module must have untouched.
  std::uint64_t need(std::uint32_t module, const ModuleSpace& space) const;
  /// The first module that lacks space when `kept` bytes are to stay, or modules().
  std::uint32_t first_that_lacks(std::span<const ModuleSpace> space, std::uint64_t kept = 0) const;
  std::uint32_t modules() const { return static_cast<std::uint32_t>(blocks_.size()); }

 private:
  std::vector<std::array<std::uint64_t, 23>> blocks_;
  std::uint64_t tree_nodes_ = 0;
};

}  // namespace ballast::index
