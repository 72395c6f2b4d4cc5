// Which batch belongs to which model: the weights w[step][slot][client] of the method, kept per client and
// step.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "ballast/federate/archive.h"

namespace ballast::federate {

using SlotId = int;
using ClientId = int;

class Assignment {
 public:
  explicit Assignment(int clients = 0) : rows_(static_cast<std::size_t>(clients)) {}

  int clients() const { return static_cast<int>(rows_.size()); }

  /// Batch (client, step) belongs to `slot` alone.
  void assign(ClientId client, int step, SlotId slot);
  /// Every batch of slot `from` now belongs to `to`.
  void relabel(SlotId from, SlotId to);
  /// Batches of `slot` belong to nobody any more.
  void erase(SlotId slot);

  /// The owner of a batch, or -1.
  SlotId owner(ClientId client, int step) const;
  /// Whether any batch before `step_end` belongs to the slot.
  bool used_before(SlotId slot, int step_end) const;
  bool used_at(SlotId slot, int step) const;
  /// Steps of this client whose batches belong to the slot.
  std::vector<int> steps_of(ClientId client, SlotId slot) const;
  /// The latest step with a batch of the slot, or -1.
  int last_use(SlotId slot) const;
  void archive(Archive& a) { a& rows_; }

 private:
  std::vector<std::vector<SlotId>> rows_;  // [client][step], -1: none
};

}  // namespace ballast::federate
