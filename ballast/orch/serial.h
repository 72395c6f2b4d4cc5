// Tasks that must see each other's effect: compare-and-set, counters whose every reply is another. They are
// sent to the owner of their key and run there, one after another, in the order of their ids, each on what
// the ones before it left. There is no promise of balance: what a hot key asks of its owner, its owner does.
//
//   struct Increment {
//     using Key = std::string;  using Context = std::int64_t;  using Item = std::int64_t;  using Reply =
//     std::int64_t; static Reply run(const Context& by, orch::SerialCell<Item>& cell) { return cell.make() +=
//     by; }
//   };
//   orch::SerialBatch<Increment> batch;  batch.add(key, 1);
//   orch::run_serial(me, store, batch);  batch.reply(0);
//
// A task that throws leaves what it had done; its text is batch.error(i).
#pragma once

#include <algorithm>
#include <concepts>
#include <exception>
#include <string>
#include <vector>

#include "ballast/orch/bundle.h"
#include "ballast/orch/task.h"

namespace ballast::orch {

/// The place of one key in its store, for a task that may write it.
template <typename Item>
class SerialCell {
 public:
  virtual ~SerialCell() = default;
  virtual Item* get() = 0;  ///< nullptr: not there
  virtual Item& make() = 0;
  virtual void erase() = 0;
};

template <typename C>
concept SerialClass = requires(const typename C::Context& c, SerialCell<typename C::Item>& cell) {
  { C::run(c, cell) } -> std::same_as<typename C::Reply>;
};

template <SerialClass C>
class SerialBatch {
 public:
  using Key = typename C::Key;
  using Context = typename C::Context;
  using Reply = typename C::Reply;

  void add(Key key, Context context) {
    keys_.push_back(std::move(key));
    contexts_.push_back(std::move(context));
  }
  std::size_t size() const { return keys_.size(); }
  const Reply& reply(std::size_t i) const { return replies_[i]; }
  /// What task i threw; empty: it did not.
  const std::string& error(std::size_t i) const { return errors_[i]; }
  void clear() {
    keys_.clear();
    contexts_.clear();
  }

 private:
  template <SerialClass D, typename S>
  friend void run_serial(cluster::Machine&, S&, SerialBatch<D>&);
  std::vector<Key> keys_;
  std::vector<Context> contexts_;
  std::vector<Reply> replies_;
  std::vector<std::string> errors_;
};

namespace internal {

template <typename S, typename Key, typename Item>
class StoreCell : public SerialCell<Item> {
 public:
  StoreCell(S& store, const Key& key) : store_(store), key_(key) {}
  Item* get() override { return store_.find(key_) == nullptr ? nullptr : &store_.make(key_); }
  Item& make() override { return store_.make(key_); }
  void erase() override { store_.erase(key_); }

 private:
  S& store_;
  const Key& key_;
};

}  // namespace internal

/// Collective: every machine gives its own batch. Two supersteps.
template <SerialClass C, typename S>
void run_serial(cluster::Machine& me, S& store, SerialBatch<C>& batch) {
  using Key = typename C::Key;
  using Context = typename C::Context;
  using Reply = typename C::Reply;
  me.begin_stage("serial");
  batch.replies_.assign(batch.size(), Reply{});
  batch.errors_.assign(batch.size(), {});
  BundleOutbox<1> out(me);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Buffer& buffer = out.record(store.owner(batch.keys_[i]), 0);
    Wire<Key>::put(buffer, batch.keys_[i]);
    buffer.put(static_cast<std::uint32_t>(i));
    Wire<Context>::put(buffer, batch.contexts_[i]);
  }
  BundleOutbox<2> answers(me);
  {
    // Messages come in the order of machines and hold tasks in the order of their sequence: the order of ids.
    struct Failure {
      int origin;
      std::uint32_t index;
      std::string text;
    };
    std::vector<Failure> failures;
    const cluster::Inbox in = out.exchange();
    read_bundles<1>(in, [&](int origin, std::size_t, Reader& reader) {
      const Key key = Wire<Key>::get(reader);
      const auto index = reader.get<std::uint32_t>();
      const Context context = Wire<Context>::get(reader);
      internal::StoreCell<S, Key, typename C::Item> cell(store, key);
      try {
        const Reply reply = C::run(context, cell);
        Buffer& buffer = answers.record(origin, 0);
        buffer.put(index);
        Wire<Reply>::put(buffer, reply);
      } catch (const std::exception& error) {
        failures.push_back({origin, index, error.what()});
      }
    });
    for (const auto& failure : failures) {
      Buffer& buffer = answers.record(failure.origin, 1);
      buffer.put(failure.index);
      Wire<std::string>::put(buffer, failure.text);
    }
  }
  const cluster::Inbox in = answers.exchange();
  read_bundles<2>(in, [&](int, std::size_t section, Reader& reader) {
    const auto index = reader.get<std::uint32_t>();
    if (section == 0) {
      batch.replies_.at(index) = Wire<Reply>::get(reader);
    } else {
      batch.errors_.at(index) = Wire<std::string>::get(reader);
    }
  });
}

}  // namespace ballast::orch
