// `--fanout auto`: every machine's 64 heaviest keys climb one tree of fan-out 4 (every node merges and keeps
// 64, so that nobody receives P sketches); its root evaluates the bytes model for flat, sqrt(P), 4 and 2, and
// the choice comes back down the same tree. Small batches (under 10^4 tasks a machine on average), for which
// the sketch would not be small beside the stage, take flat up to 16 machines and 4 above.
#pragma once

#include "ballast/orch/bytes_model.h"
#include "ballast/orch/stage.h"

namespace ballast::orch::internal {

template <typename C, typename S>
std::string auto_fanout(Stage<C, S>& stage, const RecordSizes& sizes) {
  using Key = typename C::Key;
  auto& me = stage.me;
  const int machines = me.machines();
  const std::uint64_t all = me.allreduce(std::uint64_t{stage.batch.size()}, std::plus<>());
  if (machines <= 4) return "flat";
  const std::uint64_t mean = all / static_cast<std::uint64_t>(machines);
  if (mean < 1000) return machines <= 16 ? "flat" : "4";

  const std::size_t sketch = std::clamp<std::size_t>(mean / 150, 8, 64);
  using Table = absl::flat_hash_map<Key, std::uint64_t, KeyHash<Key>>;
  Table table(0, KeyHash<Key>{stage.options.hash_mask});
  for (std::size_t i = 0; i < stage.batch.size(); ++i) ++table[stage.batch.key(i)];
  const auto heaviest = [&] {
    std::vector<std::pair<std::uint64_t, Key>> list;
    for (const auto& [key, count] : table) {
      if (count > 1) list.emplace_back(count, key);
    }
    const auto keep = std::min(list.size(), sketch);
    std::partial_sort(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(keep), list.end(),
                      [](const auto& a, const auto& b) {
                        return a.first != b.first ? a.first > b.first : a.second < b.second;
                      });
    list.resize(keep);
    return list;
  };
  // Another root each stage: no machine is the sketch's own hot spot.
  const int root = static_cast<int>(mix64(me.where().stage) % static_cast<std::uint64_t>(machines));
  const Forest tree = Forest::with_fanout(machines, 4);
  const auto parent = [&](int level, int from) { return tree.next_hop(root, level, from); };

  // A machine takes part in a level if it stands for itself (level 1) or is a node of the level below.
  const auto is_node = [&](int level, int machine) {
    for (int m = 0; m < machines; ++m) {
      int at = m;
      for (int l = 1; l <= level; ++l) at = parent(l, at);
      if (at == machine) return true;
    }
    return false;
  };
  for (int level = 1; level <= tree.height(); ++level) {
    BundleOutbox<1> out(me);
    if (level == 1 || is_node(level - 1, me.id())) {
      const int to = parent(level, me.id());
      for (const auto& [count, key] : heaviest()) {
        Buffer& buffer = out.record(to, 0);
        const std::size_t before = buffer.size();
        Wire<Key>::put(buffer, key);
        buffer.put(count);
        if (!stage.is_me(to)) stage.counters.request_bytes += buffer.size() - before;
      }
    }
    table.clear();
    stage.counters.header_bytes += out.header_bytes();
    const cluster::Inbox in = out.exchange();
    read_bundles<1>(in, [&](int, std::size_t, Reader& reader) {
      const Key key = Wire<Key>::get(reader);
      table[key] += reader.get<std::uint64_t>();
    });
  }
  std::int32_t choice = 0;  // 0: flat
  if (me.id() == root) {
    std::vector<std::pair<int, std::uint64_t>> hot;
    std::uint64_t others = all;
    for (const auto& [count, key] : heaviest()) {
      hot.emplace_back(stage.store.owner(key), count);
      others -= std::min(others, count);
    }
    const std::string word = choose_fanout(machines, hot, others, sizes, stage.options);
    choice = word == "flat" ? 0 : std::stoi(word);
  }
  // Down again: a node tells those that reported to it.
  for (int level = tree.height(); level >= 1; --level) {
    BundleOutbox<1> out(me);
    for (int child = 0; child < machines; ++child) {
      if (child == me.id() || parent(level, child) != me.id()) continue;
      if (level > 1 && !is_node(level - 1, child)) continue;
      if (level < tree.height() && !is_node(level, me.id())) continue;
      out.record(child, 0).put(choice);
      stage.counters.request_bytes += sizeof choice;
    }
    stage.counters.header_bytes += out.header_bytes();
    const cluster::Inbox in = out.exchange();
    read_bundles<1>(in, [&](int, std::size_t, Reader& reader) { choice = reader.get<std::int32_t>(); });
  }
  return choice == 0 ? "flat" : std::to_string(choice);
}

}  // namespace ballast::orch::internal
