// Batches of mixed operations (specification 3.6): which operation sees which.
//
//   phase     reads see the state before the batch; then it deletes, updates and inserts (what the reference
//             implementation does): one batch a kind
//   program   every operation sees those before it: the batch is cut at the first operation whose keys or
//   range
//             meet an earlier one that the order of phases would put on the wrong side; every piece is run in
//             phases
#pragma once

#include <string>
#include <vector>

#include "ballast/index/operations_file.h"

namespace ballast::index {

enum class Order { phase, program };
/// Throws InvalidInput naming the nearest word.
Order order_from(const std::string& flag, const std::string& word);

struct OperationAnswer {
  bool found = false;            ///< get, predecessor, update, remove: whether there was such a key
  Entry entry = {};              ///< get, predecessor
  std::vector<Entry> rows = {};  ///< scan
  bool operator==(const OperationAnswer&) const = default;
};

struct MixedReport {
  std::vector<OperationAnswer> answers;  ///< by operation
  std::uint64_t batches = 0;             ///< that the index was given
  std::uint64_t pieces = 0;              ///< that `program` cut
};

/// `limit`: most rows of a scan (0: all).
MixedReport run_mixed(OrderedIndex& index, std::span<const Operation> operations, Order order,
                      std::uint64_t limit = 0);

/// Of all answers; the same for the same answers.
std::uint64_t digest_of(std::span<const OperationAnswer> answers);

}  // namespace ballast::index
