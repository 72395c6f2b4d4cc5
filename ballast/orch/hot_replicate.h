// The hot-key cache: the most wanted keys are found (every machine gives its 64 heaviest to machine 0), their
// items are sent to all machines, tasks for them run where they are; the rest is pushed. `hot_aware` is the
// same with our own rule: an item is copied only where that costs its owner less than being asked, which
// takes the exact counts of the keys and the sizes of all records.
#pragma once

#include "ballast/orch/runners.h"

namespace ballast::orch::internal {

template <typename C, typename S>
void run_hot_replicate(Stage<C, S>& stage, const RecordSizes& sizes) {
  using Key = typename C::Key;
  auto& me = stage.me;
  auto& batch = stage.batch;
  static constexpr std::size_t kHot = 64;
  using Count = std::pair<std::uint64_t, Key>;
  const auto heaviest = [](std::vector<Count>& counts) {
    const auto keep = std::min(counts.size(), kHot);
    std::partial_sort(counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(keep), counts.end(),
                      [](const Count& a, const Count& b) {
                        return a.first != b.first ? a.first > b.first : a.second < b.second;
                      });
    counts.resize(keep);
  };
  using Table = absl::flat_hash_map<Key, std::uint64_t, KeyHash<Key>>;
  const auto send = [&](BundleOutbox<1>& out) {
    stage.counters.header_bytes += out.header_bytes();
    return out.exchange();
  };

  // Which keys are hot.
  std::vector<Count> counts;
  {
    for (const auto& group : stage.groups().all()) counts.emplace_back(group.count, batch.key(group.first));
    heaviest(counts);
  }
  BundleOutbox<1> sketch(me);
  for (const auto& [count, key] : counts) {
    Buffer& buffer = sketch.record(0, 0);
    const std::size_t before = buffer.size();
    Wire<Key>::put(buffer, key);
    buffer.put(count);
    if (!stage.is_me(0)) stage.counters.request_bytes += buffer.size() - before;
  }
  BundleOutbox<1> chosen(me);
  {
    const cluster::Inbox in = send(sketch);
    Table table(0, KeyHash<Key>{stage.options.hash_mask});
    read_bundles<1>(in, [&](int, std::size_t, Reader& reader) {
      const Key key = Wire<Key>::get(reader);
      table[key] += reader.get<std::uint64_t>();
    });
    std::vector<Count> merged;
    for (const auto& [key, count] : table) {
      if (stage.options.method == Method::hot_replicate ||
          static_cast<double>(count) * (sizes.task + sizes.reply) > sizes.item * (me.machines() - 1))
        merged.emplace_back(count, key);
    }
    heaviest(merged);
    for (int d = 0; d < me.machines(); ++d) {
      for (const auto& [count, key] : merged) {
        Buffer& buffer = chosen.record(d, 0);
        const std::size_t before = buffer.size();
        Wire<Key>::put(buffer, key);
        if (!stage.is_me(d)) stage.counters.request_bytes += buffer.size() - before;
      }
    }
  }
  std::vector<Key> hot;
  {
    const cluster::Inbox in = send(chosen);
    read_bundles<1>(in, [&](int, std::size_t, Reader& reader) { hot.push_back(Wire<Key>::get(reader)); });
  }

  // Items to all, cold tasks to their owners: one superstep.
  absl::flat_hash_map<Key, std::uint32_t, KeyHash<Key>> place(0, KeyHash<Key>{stage.options.hash_mask});
  for (std::size_t h = 0; h < hot.size(); ++h) place.emplace(hot[h], static_cast<std::uint32_t>(h));
  BundleOutbox<2> out(me);
  for (std::uint32_t h = 0; h < hot.size(); ++h) {
    if (stage.store.owner(hot[h]) != me.id()) continue;
    for (int d = 0; d < me.machines(); ++d) {
      Buffer& buffer = out.record(d, 0);
      const std::size_t before = buffer.size();
      buffer.put(h);
      ItemWire<C>::put(buffer, stage.store.find(hot[h]));
      if (!stage.is_me(d)) stage.counters.item_bytes += buffer.size() - before;
    }
  }
  std::vector<std::vector<std::uint32_t>> local(hot.size());
  const auto& groups = stage.groups();
  constexpr auto kCold = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::uint32_t> hot_of(groups.all().size(), kCold);
  for (std::size_t g = 0; g < hot_of.size(); ++g) {
    const auto found = place.find(batch.key(groups.all()[g].first));
    if (found != place.end()) hot_of[g] = found->second;
  }
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const std::uint32_t g = groups.of(i);
    if (hot_of[g] != kCold) {
      local[hot_of[g]].push_back(static_cast<std::uint32_t>(i));
      continue;
    }
    const auto owner = static_cast<int>(groups.all()[g].owner);
    Buffer& buffer = out.record(owner, 1);
    const std::size_t before = buffer.size();
    Task<C>::put(buffer, batch.key(i), stage.id_of(i), batch.context(i));
    if (!stage.is_me(owner)) stage.counters.task_bytes += buffer.size() - before;
  }
  stage.counters.header_bytes += out.header_bytes();
  const cluster::Inbox in = out.exchange();
  RootTasks<C, S> cold(stage);
  ItemTasks copied(stage, [&](const Key& key, auto update, std::uint32_t source) {
    (stage.is_me(static_cast<int>(source)) ? stage.at_root : stage.elsewhere).add(key, std::move(update));
  });
  read_bundles<2>(in, [&](int source, std::size_t section, Reader& reader) {
    if (section == 1) return cold.add(Task<C>::get(reader), source);
    const auto h = reader.get<std::uint32_t>();
    copied.begin(hot.at(h), ItemWire<C>::get(reader), static_cast<std::uint32_t>(source));
    for (std::uint32_t i : local[h]) copied.add(stage.id_of(i), batch.context(i));
  });
  copied.finish();
  cold.finish();
  stage.close_directly();
}

}  // namespace ballast::orch::internal
