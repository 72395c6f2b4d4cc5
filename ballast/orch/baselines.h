// The plain ways to bring tasks and data together, behind the same interface and with the same accounting as
// TD-Orch.
//
//   push         every task goes to the owner of its item, runs there, replies
//   pull         every task asks for its item; no request is spared
//   pull-dedup   every machine asks once for each item it needs, runs its tasks, sends back one merged update
//                a key
//   reference    all tasks, and the items they ask for, to machine 0; one task after another in order of ids
//
// All but the reference run their tasks on Options::threads threads, as td-orch does.
#pragma once

#include "ballast/orch/runners.h"

namespace ballast::orch::internal {

template <typename C, typename S>
void run_push(Stage<C, S>& stage) {
  using Key = typename C::Key;
  auto& me = stage.me;
  RootTasks<C, S> tasks(stage);
  std::optional<BundleStream<1>> out;
  me.stream(
      [&](cluster::Stream& stream) {
        out.emplace(me, stream);
        for (std::size_t i = 0; i < stage.batch.size(); ++i) {
          const Key& key = stage.batch.key(i);
          const int owner = stage.store.owner(key);
          Buffer& buffer = out->record(owner, 0);
          const std::size_t before = buffer.size();
          Task<C>::put(buffer, key, stage.id_of(i), stage.batch.context(i));
          if (!stage.is_me(owner)) stage.counters.task_bytes += buffer.size() - before;
        }
      },
      [&](int source, Reader chunk) {
        read_bundle<1>(chunk, [&](std::size_t, Reader& reader) { tasks.add(Task<C>::get(reader), source); });
      },
      {.overlap = stage.options.overlap});
  stage.counters.header_bytes += out->header_bytes();
  tasks.finish();
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
  if (dedup) {
    const auto& keys = stage.groups();
    std::vector<std::uint32_t> last;
    for (const auto& group : keys.all()) {
      groups.push_back({group.first, group.owner});
      last.push_back(group.first);
    }
    for (std::uint32_t i = 0; i < batch.size(); ++i) {
      const std::uint32_t g = keys.of(i);
      if (i == groups[g].first) continue;
      next[last[g]] = i;
      last[g] = i;
    }
  } else {
    for (std::uint32_t i = 0; i < batch.size(); ++i)
      groups.push_back({i, static_cast<std::uint32_t>(stage.store.owner(batch.key(i)))});
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
  ItemTasks tasks(stage, [&](const Key& key, auto update, std::uint32_t source) {
    (stage.is_me(static_cast<int>(source)) ? stage.at_root : stage.elsewhere).add(key, std::move(update));
  });
  read_bundles<1>(in, [&](int source, std::size_t, Reader& reader) {
    const auto s = static_cast<std::size_t>(source);
    std::uint32_t i = groups[asked[s].at(answered[s]++)].first;
    tasks.begin(batch.key(i), ItemWire<C>::get(reader), static_cast<std::uint32_t>(source));
    for (; i != kNone; i = next[i]) tasks.add(stage.id_of(i), batch.context(i));
  });
  tasks.finish();
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
