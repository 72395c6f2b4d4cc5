// What a user writes: a task class.
//
//   struct Bump {
//     using Key = std::uint64_t;                    // an integer or std::string
//     struct Context { std::int32_t delta; };       // what a task carries
//     using Item = std::int64_t;                    // the datum under a key
//     using Update = std::int64_t;                  // what a task writes; orch::None: nothing
//     using Reply = std::int64_t;                   // what goes back to its origin; orch::None: nothing
//     static Reply run(const Context& c, const Item& x, orch::Emit<Bump>& out) { out.self(c.delta); return x;
//     } static Update merge(Update a, Update b) { return a + b; }      // associative and commutative static
//     void apply(Item& x, Update u) { x += u; }               // ends the stage, at the owner
//   };
//
// Optional:
//   static constexpr orch::Absent kAbsent = orch::Absent::create;    // tasks whose key is not in the store
//   static bool erased(const Item&);                                 // after apply: drop the item
//   static double reply_bytes(const Context&, double item);          // of its reply, given the mean item's:
//   where tasks
//                                                                    // of one class differ, td-orch weighs
//                                                                    each
//   run(const Context&, const Item*, Emit&)                          // nullptr: no such key
//
// Snapshot rule: all tasks of a stage read the state from before it; each key gets one merged update at its
// end.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ballast/base/random.h"
#include "ballast/orch/codec.h"

namespace ballast::orch {

/// "Nothing": a type of no bytes for updates, replies and contexts that a class does not need.
struct None {
  auto operator<=>(const None&) const = default;
};

/// What becomes of a task whose key is not in the store.
enum class Absent {
  reply,   ///< it does not run; its reply is marked absent
  create,  ///< it runs on Item{}, and an update makes the item
  fail     ///< the stage fails, and names up to ten such keys
};

/// (origin machine << 40) | sequence: unique in a stage, the same on every transport.
using TaskId = std::uint64_t;
constexpr TaskId task_id(int machine, std::uint64_t sequence) {
  return static_cast<TaskId>(machine) << 40 | sequence;
}
constexpr int origin_of(TaskId id) {
  return static_cast<int>(id >> 40 & 0xffff);
}
constexpr std::uint64_t sequence_of(TaskId id) {
  return id & ((TaskId{1} << 40) - 1);
}

/// An update without a natural merge: the task with the larger id wins, whatever the order of merging.
template <typename T>
struct LastWriter {
  TaskId id = 0;
  T value{};
  static LastWriter merge(LastWriter a, LastWriter b) { return a.id < b.id ? std::move(b) : std::move(a); }
};

/// Where a running task puts what it writes.
template <typename C>
class Emit {
 public:
  using Key = typename C::Key;
  using Update = typename C::Update;

  /// To the task's own input key.
  void self(Update update) {
    if (own_) {
      own_ = C::merge(std::move(*own_), std::move(update));
    } else {
      own_ = std::move(update);
    }
  }
  /// To any key.
  void to(const Key& key, Update update) { others_.emplace_back(key, std::move(update)); }
  /// A follow-up task for the next stage; it starts on the machine where this one ran (Batch::follow_ups).
  void task(const Key& key, typename C::Context context) { tasks_.emplace_back(key, std::move(context)); }

  /// Whether the task wrote nothing and made no other.
  bool empty() const { return !own_ && others_.empty() && tasks_.empty(); }
  TaskId id() const { return id_; }
  const Key& key() const { return *key_; }
  int machine() const { return machine_; }

 private:
  template <typename, typename>
  friend class Stage;
  TaskId id_ = 0;
  const Key* key_ = nullptr;
  int machine_ = 0;
  std::optional<Update> own_;
  std::vector<std::pair<Key, Update>> others_;
  std::vector<std::pair<Key, typename C::Context>> tasks_;
};

template <typename C>
concept TakesAbsent = requires(const typename C::Context& c, const typename C::Item* x, Emit<C>& out) {
  { C::run(c, x, out) } -> std::same_as<typename C::Reply>;
};
template <typename C>
concept TakesItem = requires(const typename C::Context& c, const typename C::Item& x, Emit<C>& out) {
  { C::run(c, x, out) } -> std::same_as<typename C::Reply>;
};
template <typename C>
concept TaskClass = (TakesAbsent<C> || TakesItem<C>)&&(std::same_as<typename C::Update, None> ||
                                                       requires(typename C::Item & x, typename C::Update a,
                                                                typename C::Update b) {
                                                         {
                                                           C::merge(std::move(a), std::move(b))
                                                           } -> std::same_as<typename C::Update>;
                                                         C::apply(x, std::move(a));
                                                       });

template <typename C>
constexpr bool kWrites = !std::same_as<typename C::Update, None>;
template <typename C>
constexpr bool kReplies = !std::same_as<typename C::Reply, None>;

template <typename C>
constexpr Absent absent_policy() {
  if constexpr (requires { C::kAbsent; }) return C::kAbsent;
  return Absent::reply;
}

/// The hash that places keys on machines.
template <std::integral K>
constexpr std::uint64_t hash_key(K key, std::uint64_t seed) {
  return mix64(static_cast<std::uint64_t>(key) ^ seed);
}
std::uint64_t hash_key(const std::string& key, std::uint64_t seed);

/// For tables inside a machine. `Mask` keeps only some bits: the tests force collisions with it.
template <typename K>
struct KeyHash {
  std::uint64_t mask = ~std::uint64_t{0};
  std::size_t operator()(const K& key) const { return hash_key(key, 0x51ed270b35ae11ull) & mask; }
};

}  // namespace ballast::orch
