#include "ballast/index/pim_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "ballast/base/errors.h"
#include "ballast/index/batch.h"
#include "ballast/index/pim_tree_space.h"

namespace ballast::index {

using pim::Address;

std::uint32_t automatic_levels(std::uint32_t modules, std::uint32_t chunk) {
  const double fan = chunk;
  return 3.0 * modules / (fan * fan) <= 4 ? 2 : 3;
}

PimTree::PimTree(pim::Machine& machine, PimTreeOptions options)
    : machine_(machine),
      options_(options),
      levels_(options.levels == 0 ? automatic_levels(machine.modules(), options.chunk) : options.levels),
      limit_(options.limit == 0 ? options.chunk : options.limit),
      heights_(mix64(options.seed), 1),
      choices_(mix64(options.seed), 2) {
  if (options.chunk < 2 || options.chunk > 256 || !std::has_single_bit(options.chunk))
    throw InvalidInput("chunk", std::to_string(options.chunk), "a power of two from 2 to 256");
  if (levels_ < 1 || levels_ > 3)
    throw InvalidInput("levels", std::to_string(options.levels), "1 to 3, or 0 for automatic");
  if (limit_ > 256) throw InvalidInput("push-pull limit", std::to_string(limit_), "1 to 256");
  options_.shadow = options.shadow && levels_ == 3;
  start_empty();
  machine_.reset_cost();
}

void PimTree::start_empty() {
  size_ = 0;
  chunk_counts_.assign(levels_, 0);
  roots_on_.assign(machine_.modules(), 0);
  keys_on_.assign(machine_.modules(), 0);
  l3_.clear();
  loaded_ = 0;
  bounded_ = true;
  space_.clear();
  credit_bytes_ = 0;
  make_leftmost();
}

std::uint32_t PimTree::place(Key key, std::uint32_t level) const {
  std::uint64_t hash = mix64(mix64(key ^ mix64(options_.seed)) + level);
  if (options_.hash_bits < 64) hash &= (std::uint64_t{1} << options_.hash_bits) - 1;
  return static_cast<std::uint32_t>(hash % machine_.modules());
}

std::uint32_t PimTree::place_root(Key key) {
  std::uint32_t chosen = place(key, levels_ - 1);
  if (options_.four_choices) {
    for (int i = 0; i < 3; ++i) {
      const auto other = static_cast<std::uint32_t>(choices_.below(machine_.modules()));
      if (roots_on_[other] < roots_on_[chosen]) chosen = other;
    }
  }
  ++roots_on_[chosen];
  return chosen;
}

// t = 1 + trailing zero coin flips; height ceil(t / b) up to the chunk levels, one a flip above (3.2).
std::uint32_t PimTree::draw_height() {
  const std::uint64_t flips = heights_() | std::uint64_t{1} << 63;
  const auto t = static_cast<std::uint32_t>(std::countr_zero(flips)) + 1;
  const auto bits = static_cast<std::uint32_t>(std::countr_zero(options_.chunk));
  if (t <= levels_ * bits) return (t - 1) / bits + 1;
  return std::min(levels_ + (t - levels_ * bits), levels_ + 14);
}

// Chunks of B from the start: every B-th key is taller by one level than those between.
std::uint32_t PimTree::height_by_position(std::uint64_t position) const {
  std::uint32_t height = 1;
  for (; position != 0 && position % options_.chunk == 0 && height <= levels_; position /= options_.chunk)
    ++height;
  return height;
}

// The leftmost chunk of every level: it covers all keys below the first head, and is there from the start.
void PimTree::make_leftmost() {
  leftmost_.resize(levels_);
  pim::Round& round = machine_.begin("set-up");
  for (std::uint32_t level = 0; level < levels_; ++level) {
    const std::uint32_t module = place(0x1ef7e057u, level);
    const bool root = level == levels_ - 1;
    round.add(module, TASK_NEW_CHUNK, {level | static_cast<std::uint64_t>(root && options_.shadow) << 32});
    leftmost_[level] = pim::address_of(module, 0);
    if (root) ++roots_on_[module];
  }
  machine_.run(round);
  for (auto& address : leftmost_)
    address = pim::address_of(pim::module_of(address), *round.next(pim::module_of(address), 1));
  pim::Round& links = machine_.begin("set-up");
  if (!options_.l3_host) links.broadcast(TASK_L3_FIRST, {leftmost_.back()});
  for (std::uint32_t level = 1; level < levels_; ++level)
    links.add(pim::module_of(leftmost_[level]), TASK_SET_FIRST,
              {pim::offset_of(leftmost_[level]), leftmost_[level - 1]});
  if (options_.shadow)
    links.add(pim::module_of(leftmost_[2]), TASK_COPY_SET,
              {pim::offset_of(leftmost_[2]), leftmost_[1], leftmost_[0]});
  machine_.run(links);
}

void PimTree::bulk_load(std::span<const Entry> sorted) {
  if (size_ != 0) throw InvalidInput("bulk load", "an index that is not empty", "an empty one");
  require_ascending(sorted);
  machine_.reset_cost();
  try {
    load_pieces(sorted);
  } catch (const pim::ModuleFull&) {
    machine_.clear();  // as it was: empty
    start_empty();
    throw;
  }
}

void PimTree::restart() {
  machine_.clear();
  start_empty();
}

void PimTree::load_pieces(std::span<const Entry> sorted) {
  pim::Round& round = machine_.begin("reserve");
  round.broadcast(TASK_RESERVE,
                  {sorted.size() / machine_.modules() + sorted.size() / machine_.modules() / 16 + 16});
  machine_.run(round);
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  std::vector<Key> keys;
  std::vector<Value> values;
  for (std::size_t begin = 0; begin < sorted.size(); begin += kPiece) {
    const auto piece = sorted.subspan(begin, std::min(kPiece, sorted.size() - begin));
    keys.clear();
    values.clear();
    for (const auto& [key, value] : piece) {
      keys.push_back(key);
      values.push_back(value);
    }
    know_space(keys.size(), nullptr);
    loading_ = true;
    insert_absent(keys, values, {});
    loading_ = false;
  }
}

std::vector<std::optional<Value>> PimTree::get(std::span<const Key> questions) {
  machine_.reset_cost();
  SortedKeys batch = options_.dedup ? sort_keys(questions) : as_they_are(questions);
  pim::Round& round = machine_.begin("get");
  for (const Key key : batch.keys) round.add(place(key, 0), TASK_GET, {key});
  machine_.run(round);
  std::vector<std::optional<Value>> answers(batch.keys.size()), out(questions.size());
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    const std::uint64_t* reply = round.next(place(batch.keys[i], 0), 2);
    if (reply[0] != 0) answers[i] = reply[1];
  }
  for (std::size_t i = 0; i < questions.size(); ++i) out[i] = answers[batch.place[i]];
  return out;
}

// The height of each key, 0 for one that is absent: the first round of every change.
std::vector<std::uint32_t> PimTree::look_up_heights(std::span<const Key> keys, const char* phase) {
  pim::Round& round = machine_.begin(phase);
  for (const Key key : keys) round.add(place(key, 0), TASK_HEIGHT, {key});
  const bool asked = know_space(keys.size(), &round);
  if (!asked) machine_.run(round);
  std::vector<std::uint32_t> heights(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i)
    heights[i] = static_cast<std::uint32_t>(*round.next(place(keys[i], 0), 1));
  if (asked) take_space(round);
  return heights;
}

std::vector<bool> PimTree::update_present(std::span<const Entry> entries) {
  pim::Round& round = machine_.begin("update");
  for (const auto& [key, value] : entries) round.add(place(key, 0), TASK_UPDATE, {key, value});
  machine_.run(round);
  std::vector<bool> found(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) found[i] = *round.next(place(entries[i].key, 0), 1) != 0;
  if (options_.leaf == Leaf::in_line) {
    std::vector<Entry> present;
    for (std::size_t i = 0; i < entries.size(); ++i)
      if (found[i]) present.push_back(entries[i]);
    update_inline(present);
  }
  return found;
}

std::vector<bool> PimTree::update(std::span<const Entry> entries) {
  machine_.reset_cost();
  const SortedEntries batch = sort_entries(entries);
  std::vector<Entry> distinct(batch.keys.size());
  for (std::size_t i = 0; i < distinct.size(); ++i) distinct[i] = {batch.keys[i], batch.values[i]};
  const std::vector<bool> found = update_present(distinct);
  std::vector<bool> out(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) out[i] = found[batch.place[i]];
  return out;
}

std::vector<std::optional<Entry>> PimTree::predecessor(std::span<const Key> questions) {
  machine_.reset_cost();
  const SortedKeys batch = options_.dedup ? sort_keys(questions) : sort_all(questions);
  Paths paths;
  search_to_leaves(batch.keys, nullptr, paths);
  std::vector<std::optional<Entry>> out(questions.size());
  if (options_.leaf == Leaf::in_line) {
    const auto answers = inline_entries(batch.keys, paths.at[0], false);
    for (std::size_t i = 0; i < questions.size(); ++i) out[i] = answers[batch.place[i]];
    return out;
  }
  const std::vector<Address> nodes = search_leaves(batch.keys, paths.at[0]);
  const std::vector<Entry> found = read_data(nodes);
  for (std::size_t i = 0; i < questions.size(); ++i)
    if (nodes[batch.place[i]] != 0) out[i] = found[batch.place[i]];
  return out;
}

std::vector<std::optional<Entry>> PimTree::successor(std::span<const Key> questions) {
  machine_.reset_cost();
  const SortedKeys batch = options_.dedup ? sort_keys(questions) : sort_all(questions);
  Paths paths;
  search_to_leaves(batch.keys, nullptr, paths);
  std::vector<std::optional<Entry>> out(questions.size());
  if (options_.leaf == Leaf::in_line) {
    const auto answers = inline_entries(batch.keys, paths.at[0], true);
    for (std::size_t i = 0; i < questions.size(); ++i) out[i] = answers[batch.place[i]];
    return out;
  }
  const std::vector<Address> nodes = search_after(batch.keys, paths.at[0]);
  const std::vector<Entry> found = read_data(nodes);
  for (std::size_t i = 0; i < questions.size(); ++i)
    if (nodes[batch.place[i]] != 0) out[i] = found[batch.place[i]];
  return out;
}

}  // namespace ballast::index
