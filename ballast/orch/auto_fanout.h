// `--fanout auto`. First four numbers of all machines (outlook.h: of the stage before, or by one allreduce):
// is there an owner that would send so much more than the mean that a forest could pay at all? If not, flat.
// Else, once in 16 stages of a store, every machine's 64 heaviest keys climb one tree of fan-out 4 (every
// node merges and keeps 64, so that nobody receives P sketches); its root evaluates the bytes model for flat,
// sqrt(P), 4 and 2, and the choice comes back down the same tree. Small batches (under 1000 tasks a machine
// on average), for which the sketch would not be small beside the stage, take flat up to 16 machines and 4
// above; so does everything without `sketch`.
#pragma once

#include "ballast/orch/bytes_model.h"
#include "ballast/orch/stage.h"

namespace ballast::orch::internal {

/// Of this machine. Items are counted, not weighed: their mean size may be known only later.
template <typename C, typename S>
SkewFacts skew_facts(Stage<C, S>& stage, const RecordSizes& sizes) {
  const int machines = stage.me.machines();
  Options flat = stage.options;
  flat.fanout = "flat";
  const Limits limits = make_limits(flat, sizes, Forest::flat(machines));
  std::vector<std::uint64_t> pulled(static_cast<std::size_t>(machines), 0);
  SkewFacts facts{.tasks = stage.batch.size()};
  for (const auto& group : stage.groups().all()) {
    if (group.count > limits.leaf) {
      ++facts.pulled;
      facts.busiest_owner_pulled = std::max(facts.busiest_owner_pulled, ++pulled[group.owner]);
    } else {
      facts.pushed += group.count;
    }
  }
  return facts;
}

/// `facts`: of all machines. `memory`: of the store; nullptr: it keeps none.
template <typename C, typename S>
std::string auto_fanout(Stage<C, S>& stage, const RecordSizes& sizes, const SkewFacts& facts,
                        StageMemory* memory) {
  using Key = typename C::Key;
  auto& me = stage.me;
  const int machines = me.machines();
  if (machines <= 4) return "flat";
  const std::string plain = machines <= 16 ? "flat" : "4";
  if (!stage.options.sketch) return plain;
  const std::uint64_t all = facts.tasks, mean = all / static_cast<std::uint64_t>(machines);
  if (mean < 1000) return plain;
  // A forest can spare the busiest owner no more than what it sends above the mean.
  const double pulled = static_cast<double>(facts.pulled) * sizes.item;
  const double moved = pulled + static_cast<double>(facts.pushed) * (sizes.task + sizes.reply);
  const double busiest = static_cast<double>(facts.busiest_owner_pulled) * sizes.item * (machines - 1);
  if (busiest - pulled / machines < 0.1 * moved / machines) return "flat";
  if (memory != nullptr && memory->stages_left > 0) {
    --memory->stages_left;
    return memory->fanout;
  }

  Options flat = stage.options;
  flat.fanout = "flat";
  const Limits limits = make_limits(flat, sizes, Forest::flat(machines));
  using Table = absl::flat_hash_map<Key, std::uint64_t, KeyHash<Key>>;
  Table table(0, KeyHash<Key>{stage.options.hash_mask});
  for (const auto& group : stage.groups().all()) {
    if (group.count > limits.leaf) table.emplace(stage.batch.key(group.first), group.count);
  }
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
  const std::string word = choice == 0 ? "flat" : std::to_string(choice);
  if (memory != nullptr) {
    memory->fanout = word;
    memory->stages_left = StageMemory::kStagesASketchServes - 1;
  }
  return word;
}

}  // namespace ballast::orch::internal
