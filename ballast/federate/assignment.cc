#include "ballast/federate/assignment.h"

#include <algorithm>

namespace ballast::federate {

void Assignment::assign(ClientId client, int step, SlotId slot) {
  auto& row = rows_[static_cast<std::size_t>(client)];
  if (row.size() <= static_cast<std::size_t>(step)) row.resize(static_cast<std::size_t>(step) + 1, -1);
  row[static_cast<std::size_t>(step)] = slot;
}

void Assignment::relabel(SlotId from, SlotId to) {
  for (auto& row : rows_) std::replace(row.begin(), row.end(), from, to);
}

void Assignment::erase(SlotId slot) {
  relabel(slot, -1);
}

SlotId Assignment::owner(ClientId client, int step) const {
  const auto& row = rows_[static_cast<std::size_t>(client)];
  return static_cast<std::size_t>(step) < row.size() ? row[static_cast<std::size_t>(step)] : -1;
}

bool Assignment::used_before(SlotId slot, int step_end) const {
  return std::any_of(rows_.begin(), rows_.end(), [&](const auto& row) {
    const auto end =
        row.begin() + std::min<std::ptrdiff_t>(step_end, static_cast<std::ptrdiff_t>(row.size()));
    return std::find(row.begin(), end, slot) != end;
  });
}

bool Assignment::used_at(SlotId slot, int step) const {
  for (ClientId c = 0; c < clients(); ++c) {
    if (owner(c, step) == slot) return true;
  }
  return false;
}

std::vector<int> Assignment::steps_of(ClientId client, SlotId slot) const {
  std::vector<int> steps;
  const auto& row = rows_[static_cast<std::size_t>(client)];
  for (std::size_t step = 0; step < row.size(); ++step) {
    if (row[step] == slot) steps.push_back(static_cast<int>(step));
  }
  return steps;
}

int Assignment::last_use(SlotId slot) const {
  int last = -1;
  for (const auto& row : rows_) {
    for (std::size_t step = 0; step < row.size(); ++step) {
      if (row[step] == slot) last = std::max(last, static_cast<int>(step));
    }
  }
  return last;
}

}  // namespace ballast::federate
