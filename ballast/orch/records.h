// What a stage handles: tasks and items as they look on the wire, and updates merged by key.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/orch/codec.h"
#include "ballast/orch/task.h"

namespace ballast::orch {

/// A stage was given up on all machines; the store is as before.
class StageFailed : public InvalidInput {
 public:
  explicit StageFailed(const std::string& sentence) : InvalidInput(sentence) {}
};

/// One merged update a key, in the order in which keys first came.
template <TaskClass C>
class Updates {
 public:
  using Key = typename C::Key;
  using Update = typename C::Update;

  explicit Updates(std::uint64_t hash_mask, bool merging = true)
      : merging_(merging), place_(0, KeyHash<Key>{hash_mask}) {}
  void add(const Key& key, Update update) {
    if constexpr (kWrites<C>) {
      if (merging_) {
        const auto [found, is_new] = place_.try_emplace(key, static_cast<std::uint32_t>(list_.size()));
        if (!is_new) {
          auto& have = list_[found->second].second;
          have = C::merge(std::move(have), std::move(update));
          return;
        }
      }
      list_.emplace_back(key, std::move(update));
    }
  }
  bool empty() const { return list_.empty(); }
  std::vector<std::pair<Key, Update>>& list() { return list_; }
  void clear() {
    list_.clear();
    place_.clear();
  }

 private:
  bool merging_;
  std::vector<std::pair<Key, Update>> list_;
  absl::flat_hash_map<Key, std::uint32_t, KeyHash<Key>> place_;
};

/// A task away from its batch.
template <TaskClass C>
struct Task {
  typename C::Key key;
  TaskId id;
  typename C::Context context;

  static std::size_t wire_size(const typename C::Key& key, const typename C::Context& context) {
    return Wire<typename C::Key>::size(key) + sizeof(TaskId) + Wire<typename C::Context>::size(context);
  }
  static void put(Buffer& out, const typename C::Key& key, TaskId id, const typename C::Context& context) {
    Wire<typename C::Key>::put(out, key);
    out.put(id);
    Wire<typename C::Context>::put(out, context);
  }
  static Task get(Reader& in) {
    auto key = Wire<typename C::Key>::get(in);
    const auto id = in.get<TaskId>();
    return {std::move(key), id, Wire<typename C::Context>::get(in)};
  }
};

/// An item on the wire: one byte says whether it is there.
template <TaskClass C>
struct ItemWire {
  using Item = typename C::Item;
  static std::size_t size(const Item* item) { return 1 + (item == nullptr ? 0 : Wire<Item>::size(*item)); }
  static void put(Buffer& out, const Item* item) {
    out.put(static_cast<std::uint8_t>(item != nullptr));
    if (item != nullptr) Wire<Item>::put(out, *item);
  }
  static std::optional<Item> get(Reader& in) {
    if (in.get<std::uint8_t>() == 0) return std::nullopt;
    return Wire<Item>::get(in);
  }
};

}  // namespace ballast::orch
