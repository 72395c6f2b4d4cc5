// The tasks that one machine brings to a stage, and their replies.
//
//   Batch<Bump> batch;
//   batch.add(key, {.delta = 1});
//   orch::run(me, store, batch, options);
//   for (std::size_t i = 0; i < batch.size(); ++i) use(batch.reply(i));      // in the order of add()
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/orch/groups.h"
#include "ballast/orch/task.h"

namespace ballast::orch {

template <TaskClass C>
class Batch {
 public:
  using Key = typename C::Key;
  using Context = typename C::Context;
  using Reply = typename C::Reply;

  /// Throws InvalidInput for a key of more than 255 bytes or a context of more than 64 KiB.
  void add(Key key, Context context) {
    if constexpr (!Wire<Key>::kFixed) {
      if (key.size() > kMostKeyBytes)
        throw InvalidInput("key", fmt::format("{} bytes long", key.size()), "at most 255 bytes");
    }
    if (const auto size = Wire<Context>::size(context); size > kMostContextBytes)
      throw InvalidInput("context", fmt::format("{} bytes long", size), "at most 64 KiB");
    keys_.push_back(std::move(key));
    contexts_.push_back(std::move(context));
  }
  void reserve(std::size_t tasks) {
    keys_.reserve(tasks);
    contexts_.reserve(tasks);
  }
  void clear() {
    keys_.clear();
    contexts_.clear();
    replies_.clear();
    state_.clear();
    errors_.clear();
    follow_ups_.clear();
  }

  std::size_t size() const { return keys_.size(); }
  const Key& key(std::size_t i) const { return keys_[i]; }
  const Context& context(std::size_t i) const { return contexts_[i]; }

  /// After a stage: replies in the order of add(). That of an absent key is Reply{}.
  const std::vector<Reply>& replies() const { return replies_; }
  const Reply& reply(std::size_t i) const { return replies_[i]; }
  /// Whether task i did not run because its key was not in the store.
  bool absent(std::size_t i) const { return state_[i] == State::absent; }
  /// With Options::collect_errors: what task i threw; empty: it did not.
  std::string error(std::size_t i) const {
    for (const auto& [index, text] : errors_) {
      if (index == i) return text;
    }
    return {};
  }
  std::size_t errors() const { return errors_.size(); }

  /// Tasks emitted by tasks that ran on this machine: the batch of the next stage.
  Batch follow_ups() {
    Batch next;
    for (auto& [key, context] : follow_ups_) next.add(std::move(key), std::move(context));
    follow_ups_.clear();
    return next;
  }

 private:
  template <typename, typename>
  friend class Stage;
  enum class State : std::uint8_t { waiting, done, absent, failed };

  void begin_stage() {
    if constexpr (kReplies<C>) replies_.assign(size(), Reply{});
    state_.assign(size(), State::waiting);
    errors_.clear();
    follow_ups_.clear();
  }

  std::vector<Key> keys_;
  std::vector<Context> contexts_;
  std::vector<Reply> replies_;
  std::vector<State> state_;
  std::vector<std::pair<std::size_t, std::string>> errors_;
  std::vector<std::pair<Key, Context>> follow_ups_;
  internal::Groups<Key> groups_;  ///< of the stage that runs it
};

}  // namespace ballast::orch
