// The plain ways to bring tasks and data together, behind the same interface and with the same accounting as
// TD-Orch.
//
//   push         every task goes to the owner of its item, runs there, replies
//   pull         every task asks for its item; no request is spared
//   pull-dedup   every machine asks once for each item it needs, runs its tasks, sends back one merged update
//   a key reference    all tasks, and the items they ask for, to machine 0; one task after another in order
//   of ids
#pragma once

#include "ballast/orch/stage.h"

namespace ballast::orch::internal {

template <typename C, typename S>
void run_push(Stage<C, S>& stage) {
  using Key = typename C::Key;
  auto& me = stage.me;
  BundleOutbox<1> out(me);
  for (std::size_t i = 0; i < stage.batch.size(); ++i) {
    const Key& key = stage.batch.key(i);
    const int owner = stage.store.owner(key);
    Buffer& buffer = out.record(owner, 0);
    const std::size_t before = buffer.size();
    Task<C>::put(buffer, key, stage.id_of(i), stage.batch.context(i));
    if (!stage.is_me(owner)) stage.counters.task_bytes += buffer.size() - before;
  }
  stage.counters.header_bytes += out.header_bytes();
  const cluster::Inbox in = out.exchange();
  std::vector<Task<C>> tasks;
  read_bundles<1>(in, [&](int, std::size_t, Reader& reader) {
    auto task = Task<C>::get(reader);
    if (stage.options.threads > 1) return tasks.push_back(std::move(task));
    stage.execute_at_root(task.key, task.id, task.context);
  });
  stage.execute_at_root(std::span<const Task<C>>(tasks));
  stage.close_directly();
}

/// Sends the requests (one key a record) and puts the item of each into `items`, for its sender, in the same
/// order.
template <typename C, typename S>
void answer_requests(Stage<C, S>& stage, BundleOutbox<1>& requests, BundleOutbox<1>& items) {
  stage.counters.header_bytes += requests.header_bytes();
  const cluster::Inbox in = requests.exchange();
  read_bundles<1>(in, [&](int source, std::size_t, Reader& reader) {
    Buffer& buffer = items.record(source, 0);
    const std::size_t before = buffer.size();
    ItemWire<C>::put(buffer, stage.store.find(Wire<typename C::Key>::get(reader)));
    if (!stage.is_me(source)) stage.counters.item_bytes += buffer.size() - before;
  });
  stage.counters.header_bytes += items.header_bytes();
}

template <typename C, typename S>
void run_pull(Stage<C, S>& stage, bool dedup) {
  using Key = typename C::Key;
  auto& me = stage.me;
  auto& batch = stage.batch;

  // Tasks in the order of their requests, a group of them behind each request.
  struct Group {
    std::uint32_t first, owner;
  };
  std::vector<Group> groups;
  constexpr auto kNone = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::uint32_t> next(batch.size(), kNone);
  std::vector<std::uint32_t> last;
  absl::flat_hash_map<Key, std::uint32_t, KeyHash<Key>> place(0, KeyHash<Key>{stage.options.hash_mask});
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto task = static_cast<std::uint32_t>(i);
    if (dedup) {
      const auto [found, is_new] = place.try_emplace(batch.key(i), static_cast<std::uint32_t>(groups.size()));
      if (!is_new) {
        next[last[found->second]] = task;
        last[found->second] = task;
        continue;
      }
    }
    groups.push_back({task, static_cast<std::uint32_t>(stage.store.owner(batch.key(i)))});
    last.push_back(task);
  }

  BundleOutbox<1> requests(me);
  std::vector<std::vector<std::uint32_t>> asked(static_cast<std::size_t>(me.machines()));
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const auto owner = static_cast<int>(groups[g].owner);
    asked[groups[g].owner].push_back(static_cast<std::uint32_t>(g));
    Buffer& buffer = requests.record(owner, 0);
    const std::size_t before = buffer.size();
    Wire<Key>::put(buffer, batch.key(groups[g].first));
    if (stage.is_me(owner)) continue;
    ++stage.counters.groups;
    stage.counters.request_bytes += buffer.size() - before;
  }
  BundleOutbox<1> items(me);
  answer_requests(stage, requests, items);
  const cluster::Inbox in = items.exchange();
  std::vector<std::size_t> answered(asked.size(), 0);
  read_bundles<1>(in, [&](int source, std::size_t, Reader& reader) {
    const auto item = ItemWire<C>::get(reader);
    const auto s = static_cast<std::size_t>(source);
    std::optional<typename C::Update> own;
    std::uint32_t i = groups[asked[s][answered[s]++]].first;
    const Key& key = batch.key(i);
    for (; i != kNone; i = next[i])
      stage.execute(key, stage.id_of(i), batch.context(i), item ? &*item : nullptr, own);
    if (own) (stage.is_me(source) ? stage.at_root : stage.elsewhere).add(key, std::move(*own));
  });
  stage.close_directly();
}

template <typename C, typename S>
void run_reference(Stage<C, S>& stage) {
  using Key = typename C::Key;
  auto& me = stage.me;
  std::vector<Task<C>> tasks;
  {
    BundleOutbox<1> out(me);
    for (std::size_t i = 0; i < stage.batch.size(); ++i) {
      Buffer& buffer = out.record(0, 0);
      const std::size_t before = buffer.size();
      Task<C>::put(buffer, stage.batch.key(i), stage.id_of(i), stage.batch.context(i));
      if (!stage.is_me(0)) stage.counters.task_bytes += buffer.size() - before;
    }
    stage.counters.header_bytes += out.header_bytes();
    const cluster::Inbox in = out.exchange();
    read_bundles<1>(in, [&](int, std::size_t, Reader& reader) { tasks.push_back(Task<C>::get(reader)); });
  }
  std::sort(tasks.begin(), tasks.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  std::vector<Key> keys;
  for (const auto& task : tasks) keys.push_back(task.key);
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());

  BundleOutbox<1> requests(me);
  std::vector<std::vector<Key>> asked(static_cast<std::size_t>(me.machines()));
  for (const Key& key : keys) {
    const int owner = stage.store.owner(key);
    asked[static_cast<std::size_t>(owner)].push_back(key);
    Buffer& buffer = requests.record(owner, 0);
    const std::size_t before = buffer.size();
    Wire<Key>::put(buffer, key);
    if (!stage.is_me(owner)) stage.counters.request_bytes += buffer.size() - before;
  }
  BundleOutbox<1> items(me);
  answer_requests(stage, requests, items);
  absl::flat_hash_map<Key, std::optional<typename C::Item>, KeyHash<Key>> there;
  {
    const cluster::Inbox in = items.exchange();
    std::vector<std::size_t> answered(asked.size(), 0);
    read_bundles<1>(in, [&](int source, std::size_t, Reader& reader) {
      const auto s = static_cast<std::size_t>(source);
      there.emplace(asked[s][answered[s]++], ItemWire<C>::get(reader));
    });
  }
  for (const auto& task : tasks) {
    const auto& item = there.at(task.key);
    std::optional<typename C::Update> own;
    stage.execute(task.key, task.id, task.context, item ? &*item : nullptr, own);
    if (own)
      (stage.store.owner(task.key) == me.id() ? stage.at_root : stage.elsewhere)
          .add(task.key, std::move(*own));
  }
  stage.close_directly();
}

}  // namespace ballast::orch::internal
