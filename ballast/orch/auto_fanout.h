// `--fanout auto`. First one allreduce of four numbers: is there an owner that would send so much more than
// the mean that a forest could pay at all? If not, flat. Else every machine's 64 heaviest keys climb one tree
// of fan-out 4 (every node merges and keeps 64, so that nobody receives P sketches); its root evaluates the
// bytes model for flat, sqrt(P), 4 and 2, and the choice comes back down the same tree. Small batches (under
// 1000 tasks a machine on average), for which the sketch would not be small beside the stage, take flat up to
// 16 machines and 4 above; so does everything without `sketch`.
#pragma once

#include "ballast/orch/bytes_model.h"
#include "ballast/orch/stage.h"

namespace ballast::orch::internal {

template <typename C, typename S>
std::string auto_fanout(Stage<C, S>& stage, const RecordSizes& sizes) {
  using Key = typename C::Key;
  auto& me = stage.me;
  const int machines = me.machines();
  if (machines <= 4) return "flat";
  const std::string plain = machines <= 16 ? "flat" : "4";
  if (!stage.options.sketch) return plain;

  // What a flat stage would move, from this machine's own groups: the same decision that its leaves would
  // take.
  using Table = absl::flat_hash_map<Key, std::uint64_t, KeyHash<Key>>;
  Table table(0, KeyHash<Key>{stage.options.hash_mask});
  for (std::size_t i = 0; i < stage.batch.size(); ++i) ++table[stage.batch.key(i)];
  Options flat = stage.options;
  flat.fanout = "flat";
  const Limits limits = make_limits(flat, sizes, Forest::flat(machines));
  std::vector<double> pulled(static_cast<std::size_t>(machines), 0);
  struct Facts {
    std::uint64_t tasks;
    double moved, pulled, busiest_owner;
  };
  Facts facts{stage.batch.size(), 0, 0, 0};
  for (const auto& [key, count] : table) {
    if (count > limits.leaf) {
      const auto owner = static_cast<std::size_t>(stage.store.owner(key));
      pulled[owner] += sizes.item;
      facts.pulled += sizes.item;
      facts.busiest_owner = std::max(facts.busiest_owner, pulled[owner] * (machines - 1));
    } else {
      facts.moved += static_cast<double>(count) * (sizes.task + sizes.reply);
    }
  }
  facts.moved += facts.pulled;
  facts = me.allreduce(facts, [](Facts a, const Facts& b) {
    return Facts{a.tasks + b.tasks, a.moved + b.moved, a.pulled + b.pulled,
                 std::max(a.busiest_owner, b.busiest_owner)};
  });
  const std::uint64_t all = facts.tasks, mean = all / static_cast<std::uint64_t>(machines);
  if (mean < 1000) return plain;
  // A forest can spare the busiest owner no more than what it sends above the mean.
  if (facts.busiest_owner - facts.pulled / machines < 0.1 * facts.moved / machines) return "flat";

  const std::size_t sketch = std::clamp<std::size_t>(mean / 150, 8, 64);
  const auto heaviest = [&] {
    std::vector<std::pair<std::uint64_t, Key>> list;
    for (const auto& [key, count] : table) {
      if (count > limits.leaf) list.emplace_back(count, key);
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
