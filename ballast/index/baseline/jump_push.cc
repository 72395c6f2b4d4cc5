#include "ballast/index/baseline/jump_push.h"

#include <algorithm>
#include <bit>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/index/batch.h"

namespace ballast::index::baseline {

using pim::Address;
using pim::module_of;
using pim::offset_of;

JumpPush::JumpPush(pim::Machine& machine, std::uint64_t seed, bool push_pull)
    : machine_(machine),
      seed_(seed),
      levels_(std::max(1u, static_cast<std::uint32_t>(std::bit_width(machine.modules())) - 1)),
      push_pull_(push_pull) {}

std::uint32_t JumpPush::place(Key key, std::uint32_t level) const {
  return static_cast<std::uint32_t>(mix64(mix64(key ^ mix64(seed_)) + level) % machine_.modules());
}

// Level by level from the bottom: the nodes of a level, then their links to the right. Level `levels_` of a
// key that is taller stands in L3. The leftmost node of each level belongs to no key.
void JumpPush::bulk_load(std::span<const Entry> sorted) {
  if (size_ != 0) throw InvalidInput("bulk load", "an index that is not empty", "an empty one");
  require_ascending(sorted);
  machine_.reset_cost();
  std::vector<std::uint32_t> heights(sorted.size());
  Random random(mix64(seed_), 3);
  for (auto& height : heights)
    height = static_cast<std::uint32_t>(std::countr_zero(random() | std::uint64_t{1} << 63)) + 1;
  std::vector<Address> down(sorted.size());
  Address down_left = 0;
  for (std::uint32_t level = 1; level <= levels_; ++level) {
    std::vector<std::size_t> members;
    for (std::size_t i = 0; i < sorted.size(); ++i)
      if (heights[i] >= level) members.push_back(i);
    pim::Round& round = machine_.begin("build");
    const std::uint32_t left_module = place(0x1ef7e057u, level);
    round.add(left_module, TASK_NEW_NODE, {0, 0, 0, 0, down_left});
    for (const std::size_t i : members)
      round.add(place(sorted[i].key, level), TASK_NEW_NODE, {sorted[i].key, sorted[i].value, 0, 0, down[i]});
    machine_.run(round);
    down_left = pim::address_of(left_module, *round.next(left_module, 1));
    if (level == 1) leftmost_ = down_left;
    for (const std::size_t i : members) {
      const std::uint32_t module = place(sorted[i].key, level);
      down[i] = pim::address_of(module, *round.next(module, 1));
    }
    pim::Round& links = machine_.begin("build");
    Address left = down_left;
    for (const std::size_t i : members) {
      links.add(module_of(left), TASK_SET_NODE, {offset_of(left), down[i], sorted[i].key});
      left = down[i];
    }
    machine_.run(links);
  }
  pim::Round& top = machine_.begin("build");
  top.broadcast(TASK_L3_FIRST, {down_left});
  for (std::size_t i = 0; i < sorted.size(); ++i)
    if (heights[i] > levels_) top.broadcast(TASK_L3_PUT, {sorted[i].key, down[i]});
  machine_.run(top);
  size_ = sorted.size();
}

std::vector<Address> JumpPush::walk(const std::vector<Key>& keys, std::vector<Address> starts,
                                    std::vector<Path>* paths) {
  std::vector<std::size_t> active(keys.size());
  for (std::size_t i = 0; i < active.size(); ++i) active[i] = i;
  std::vector<Address>& at = starts;
  while (!active.empty()) {
    pim::Round& round = machine_.begin("hop");
    for (const std::size_t i : active) round.add(module_of(at[i]), TASK_HOP, {offset_of(at[i]), keys[i]});
    machine_.run(round);
    std::vector<std::size_t> still;
    for (const std::size_t i : active) {
      const std::uint64_t* reply = round.next(module_of(at[i]), 2);
      if (paths != nullptr) (*paths)[i].push_back(at[i]);
      if (reply[1] != 0) continue;
      at[i] = reply[0];
      still.push_back(i);
    }
    active = std::move(still);
  }
  return at;
}

// The last node that both neighbours' paths share; without two neighbours, from L3.
std::vector<Address> JumpPush::starts_of(const std::vector<Key>& keys, const std::vector<const Path*>& left,
                                         const std::vector<const Path*>& right, std::vector<Path>* prefixes) {
  std::vector<Address> starts(keys.size());
  std::vector<std::size_t> from_top;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::size_t shared = 0;
    if (left[i] != nullptr && right[i] != nullptr)
      while (shared < std::min(left[i]->size(), right[i]->size()) &&
             (*left[i])[shared] == (*right[i])[shared])
        ++shared;
    if (shared == 0) {
      from_top.push_back(i);
      continue;
    }
    starts[i] = (*left[i])[shared - 1];
    if (prefixes != nullptr)
      (*prefixes)[i].assign(left[i]->begin(), left[i]->begin() + static_cast<std::ptrdiff_t>(shared) - 1);
  }
  pim::Round& round = machine_.begin("L3");
  const auto lane = [&](std::size_t t) {
    return static_cast<std::uint32_t>(t * machine_.modules() / from_top.size());
  };
  for (std::size_t t = 0; t < from_top.size(); ++t) round.add(lane(t), TASK_L3_FIND, {keys[from_top[t]]});
  machine_.run(round);
  for (std::size_t t = 0; t < from_top.size(); ++t) starts[from_top[t]] = *round.next(lane(t), 1);
  return starts;
}

// All keys go down at once, one node a round. Sorted keys at one node stand together: one alone is pushed,
// several pull the node.
std::vector<Address> JumpPush::search_push_pull(const std::vector<Key>& sorted) {
  const std::vector<const Path*> none(sorted.size(), nullptr);
  std::vector<Address> at = starts_of(sorted, none, none, nullptr);
  std::vector<std::size_t> active(sorted.size());
  for (std::size_t i = 0; i < active.size(); ++i) active[i] = i;
  while (!active.empty()) {
    struct Group {
      std::size_t begin, end;
    };
    std::vector<Group> groups;
    for (std::size_t a = 0; a < active.size(); ++a) {
      if (groups.empty() || at[active[a]] != at[active[groups.back().begin]]) groups.push_back({a, a});
      groups.back().end = a + 1;
    }
    pim::Round& round = machine_.begin("hop");
    for (const auto& [begin, end] : groups) {
      const Address node = at[active[begin]];
      if (end - begin == 1) {
        round.add(module_of(node), TASK_HOP, {offset_of(node), sorted[active[begin]]});
      } else {
        round.add(module_of(node), TASK_NODE, {offset_of(node)});
      }
    }
    machine_.run(round);
    std::vector<std::size_t> still;
    for (const auto& [begin, end] : groups) {
      const std::uint32_t module = module_of(at[active[begin]]);
      const std::uint64_t* reply = round.next(module, end - begin == 1 ? 2 : 5);
      for (std::size_t a = begin; a < end; ++a) {
        const std::size_t i = active[a];
        const bool right = end - begin > 1 && reply[2] != 0 && reply[3] <= sorted[i];
        const Address next = end - begin == 1 ? (reply[1] != 0 ? 0 : reply[0]) : right ? reply[2] : reply[4];
        if (next == 0) continue;
        at[i] = next;
        still.push_back(i);
      }
    }
    active = std::move(still);
  }
  return at;
}

std::vector<Address> JumpPush::search(const std::vector<Key>& sorted) {
  if (push_pull_) return search_push_pull(sorted);
  constexpr std::size_t kLastStride = 16;
  const std::size_t count = sorted.size();
  std::vector<Address> nodes(count);
  std::vector<Path> paths(count);  // of the pivots
  std::vector<bool> known(count);
  const auto path_at = [&](std::size_t i) { return i < count && known[i] ? &paths[i] : nullptr; };
  for (std::size_t stride = std::bit_ceil(std::max<std::size_t>(count, 1)); stride >= kLastStride;
       stride /= 2) {
    std::vector<std::size_t> pivots;
    for (std::size_t i = 0; i < count; i += stride)
      if (!known[i]) pivots.push_back(i);
    std::vector<Key> keys;
    std::vector<const Path*> left, right;
    for (const std::size_t i : pivots) {
      keys.push_back(sorted[i]);
      left.push_back(i >= stride ? path_at(i - stride) : nullptr);
      right.push_back(path_at(i + stride));
    }
    std::vector<Path> own(pivots.size());
    const std::vector<Address> ends = walk(keys, starts_of(keys, left, right, &own), &own);
    for (std::size_t p = 0; p < pivots.size(); ++p) {
      paths[pivots[p]] = std::move(own[p]);
      nodes[pivots[p]] = ends[p];
      known[pivots[p]] = true;
    }
  }
  std::vector<Key> keys;
  std::vector<std::size_t> rest;
  std::vector<const Path*> left, right;
  for (std::size_t i = 0; i < count; ++i) {
    if (known[i]) continue;
    rest.push_back(i);
    keys.push_back(sorted[i]);
    left.push_back(path_at(i / kLastStride * kLastStride));
    right.push_back(path_at((i / kLastStride + 1) * kLastStride));
  }
  const std::vector<Address> ends = walk(keys, starts_of(keys, left, right, nullptr), nullptr);
  for (std::size_t r = 0; r < rest.size(); ++r) nodes[rest[r]] = ends[r];
  return nodes;
}

std::vector<std::optional<Entry>> JumpPush::predecessor(std::span<const Key> questions) {
  machine_.reset_cost();
  const SortedKeys batch = sort_keys(questions);
  const std::vector<Address> nodes = search(batch.keys);
  pim::Round& round = machine_.begin("data");
  for (const Address node : nodes) round.add(module_of(node), TASK_DATA, {offset_of(node)});
  machine_.run(round);
  std::vector<std::optional<Entry>> found(batch.keys.size()), out(questions.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::uint64_t* reply = round.next(module_of(nodes[i]), 2);
    if (nodes[i] != leftmost_) found[i] = Entry{reply[0], reply[1]};
  }
  for (std::size_t i = 0; i < questions.size(); ++i) out[i] = found[batch.place[i]];
  return out;
}

std::vector<std::optional<Value>> JumpPush::get(std::span<const Key> questions) {
  const auto before = predecessor(questions);
  std::vector<std::optional<Value>> out(questions.size());
  for (std::size_t i = 0; i < questions.size(); ++i)
    if (before[i] && before[i]->key == questions[i]) out[i] = before[i]->value;
  return out;
}

namespace {
[[noreturn]] void refuse(const char* what) {
  throw InvalidInput(std::string(what) + ": jump-push is a baseline for get and predecessor only");
}
}  // namespace

std::vector<std::optional<Entry>> JumpPush::successor(std::span<const Key>) {
  refuse("successor");
}
InsertReport JumpPush::insert(std::span<const Entry>) {
  refuse("insert");
}
std::vector<bool> JumpPush::update(std::span<const Entry>) {
  refuse("update");
}
std::vector<bool> JumpPush::erase(std::span<const Key>) {
  refuse("erase");
}
Rows JumpPush::scan(std::span<const KeyRange>) {
  refuse("scan");
}
std::vector<std::uint64_t> JumpPush::count(std::span<const KeyRange>) {
  refuse("count");
}

}  // namespace ballast::index::baseline
