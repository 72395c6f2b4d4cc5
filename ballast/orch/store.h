// The items of a task class, spread over machines by their keys. A stage works with anything that has
//
//   int owner(const Key&) const;           // the same on every machine
//   const Item* find(const Key&) const;    // at the owner; nullptr: not there
//   Item& make(const Key&);                // at the owner; finds or inserts Item{}
//   void erase(const Key&);
//   void prefetch(const Key&) const;       // optional: find() will be called soon
//   StageMemory& memory();                 // optional: kept from stage to stage (outlook.h)
//   std::uint64_t items() const;  std::uint64_t item_bytes() const;     // of this machine, for the mean size
//   B
//
// Store is the general one (hashed keys); ArrayStore holds the keys 0..n-1 in arrays.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <vector>

#include "ballast/cluster/machine.h"
#include "ballast/orch/outlook.h"
#include "ballast/orch/task.h"

namespace ballast::orch {

/// How keys find their owner. `modulo` (integers only) deals keys out in turn: for models, and for keys that
/// are hashes already.
enum class Ownership { hashed, modulo };

template <typename Key>
class Owners {
 public:
  Owners(int machines, std::uint64_t seed, Ownership ownership)
      : machines_(static_cast<std::uint64_t>(machines)),
        seed_(mix64(seed ^ 0x6f776e6572ull)),
        ownership_(ownership) {}
  int operator()(const Key& key) const {
    if constexpr (std::integral<Key>) {
      if (ownership_ == Ownership::modulo)
        return static_cast<int>(static_cast<std::uint64_t>(key) % machines_);
    }
    const auto product = static_cast<ballast::internal::uint128>(hash_key(key, seed_)) * machines_;
    return static_cast<int>(static_cast<std::uint64_t>(product >> 64));
  }

 private:
  std::uint64_t machines_, seed_;
  Ownership ownership_;
};

template <TaskClass C>
class Store {
 public:
  using Key = typename C::Key;
  using Item = typename C::Item;

  explicit Store(const cluster::Machine& me, Ownership ownership = Ownership::hashed,
                 std::uint64_t hash_mask = ~std::uint64_t{0})
      : me_(me.id()), owners_(me.machines(), me.shared_seed(), ownership), map_(0, KeyHash<Key>{hash_mask}) {}

  int owner(const Key& key) const { return owners_(key); }
  bool owns(const Key& key) const { return owners_(key) == me_; }
  const Item* find(const Key& key) const {
    const auto found = map_.find(key);
    return found == map_.end() ? nullptr : &found->second;
  }
  /// Asks for the memory of an item ahead of find().
  void prefetch(const Key& key) const { map_.prefetch(key); }
  /// Every machine calls it with the same keys 0..n-1 and keeps those it owns.
  template <typename Function>
  void load_owned(std::uint64_t n, Function item) {
    map_.reserve(n / 2 + 16);
    for (std::uint64_t key = 0; key < n; ++key) {
      if (owns(static_cast<Key>(key))) put(static_cast<Key>(key), item(static_cast<Key>(key)));
    }
  }
  void put(const Key& key, Item item) { map_.insert_or_assign(key, std::move(item)); }
  Item& make(const Key& key) { return map_[key]; }
  void erase(const Key& key) { map_.erase(key); }

  std::uint64_t items() const { return map_.size(); }
  /// Exact for types of one size; for others the mean of up to 1024 items, times their number.
  std::uint64_t item_bytes() const {
    if constexpr (Wire<Item>::kFixed) {
      return map_.size() * Wire<Item>::kBytes;
    } else {
      std::uint64_t bytes = 0, looked_at = 0;
      for (auto it = map_.begin(); it != map_.end() && looked_at < 1024; ++it, ++looked_at)
        bytes += Wire<Item>::size(it->second);
      return looked_at == 0 ? 0 : bytes * map_.size() / looked_at;
    }
  }
  const absl::flat_hash_map<Key, Item, KeyHash<Key>>& all() const { return map_; }
  StageMemory& memory() { return memory_; }

 private:
  StageMemory memory_;
  int me_;
  Owners<Key> owners_;
  absl::flat_hash_map<Key, Item, KeyHash<Key>> map_;
};

/// Integer keys 0..n-1 in equal contiguous ranges: machine m owns [n*m/P, n*(m+1)/P).
template <TaskClass C>
class ArrayStore {
 public:
  using Key = typename C::Key;
  using Item = typename C::Item;
  static_assert(std::integral<Key>);

  ArrayStore(const cluster::Machine& me, std::uint64_t n, const Item& initial = Item{})
      : machines_(static_cast<std::uint64_t>(me.machines())),
        n_(n),
        first_(begin_of(static_cast<std::uint64_t>(me.id()))),
        items_(begin_of(static_cast<std::uint64_t>(me.id()) + 1) - first_, initial) {}

  std::uint64_t first() const { return first_; }
  std::uint64_t end() const { return first_ + items_.size(); }
  std::vector<Item>& local() { return items_; }
  const std::vector<Item>& local() const { return items_; }

  int owner(const Key& key) const {
    // The inverse of begin_of: the last machine whose range begins at or before the key.
    const auto k = static_cast<std::uint64_t>(key);
    auto m = static_cast<std::uint64_t>((static_cast<ballast::internal::uint128>(k) * machines_) /
                                        (n_ == 0 ? 1 : n_));
    while (m + 1 < machines_ && begin_of(m + 1) <= k) ++m;
    while (m > 0 && begin_of(m) > k) --m;
    return static_cast<int>(m < machines_ ? m : machines_ - 1);
  }
  const Item* find(const Key& key) const {
    const std::uint64_t at = static_cast<std::uint64_t>(key) - first_;
    return at < items_.size() ? &items_[at] : nullptr;
  }
  Item& make(const Key& key) {
    const std::uint64_t at = static_cast<std::uint64_t>(key) - first_;
    if (at >= items_.size()) throw InvalidInput("key", std::to_string(key), "0 to " + std::to_string(n_ - 1));
    return items_[at];
  }
  void erase(const Key& key) { make(key) = Item{}; }
  std::uint64_t items() const { return items_.size(); }
  std::uint64_t item_bytes() const {
    std::uint64_t bytes = 0;
    if constexpr (Wire<Item>::kFixed) {
      bytes = items_.size() * Wire<Item>::kBytes;
    } else {
      for (const auto& item : items_) bytes += Wire<Item>::size(item);
    }
    return bytes;
  }
  StageMemory& memory() { return memory_; }

 private:
  StageMemory memory_;
  std::uint64_t begin_of(std::uint64_t machine) const {
    return static_cast<std::uint64_t>(static_cast<ballast::internal::uint128>(n_) * machine / machines_);
  }
  std::uint64_t machines_, n_, first_;
  std::vector<Item> items_;
};

}  // namespace ballast::orch
