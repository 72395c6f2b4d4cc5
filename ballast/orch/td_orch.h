// TD-Orch: the four phases of a stage (arXiv:2511.11843).
//
//   1 contention detection  sets of tasks climb the forest; where one key has more than C of them they are
//   parked
//                           in a slot and a meta-task of 16 bytes goes on in their place; more than M
//                           meta-tasks of one level are parked in turn, under one of the next level
//   2 co-location           the owner runs the tasks that reached it (pushed) and sends the item straight to
//   the
//                           slots of the meta-tasks that did (pulled); a slot of meta-tasks passes it on
//   3 execution             tasks run where they meet their item
//   4 write-back            merged updates go back from slot to slot to the owner; updates to other keys
//   climb the
//                           forest of their owners, merging on the way; replies go straight to the origins
//
// With one level (flat) every group of tasks takes the cheaper of the two ways, exactly.
#pragma once

#include "ballast/orch/stage.h"

namespace ballast::orch::internal {

/// Stands for `count` tasks parked in `slot` of `machine`: 8 bytes behind its key on the wire.
struct Meta {
  std::uint32_t machine = 0, slot = 0, level = 1;
  std::uint64_t count = 0;

  static constexpr std::uint32_t kMostSlots = 1u << 22, kMostLevels = 15;
  static constexpr std::uint64_t kMostCount = (1u << 26) - 1;

  std::uint64_t pack() const {
    if (slot >= kMostSlots || count > kMostCount)
      throw InvalidInput(
          "a stage with more than 4194304 groups of tasks on one machine, or 67108863 tasks of one key; "
          "give it in several batches");
    return std::uint64_t{machine} << 52 | std::uint64_t{slot} << 30 | std::uint64_t{level} << 26 | count;
  }
  static Meta unpack(std::uint64_t bits) {
    return {static_cast<std::uint32_t>(bits >> 52), static_cast<std::uint32_t>(bits >> 30) & (kMostSlots - 1),
            static_cast<std::uint32_t>(bits >> 26) & kMostLevels, bits & kMostCount};
  }
};

template <typename C, typename S>
class TdOrch {
 public:
  using Key = typename C::Key;
  using Update = typename C::Update;

  TdOrch(Stage<C, S>& stage, const Forest& forest, const Limits& limits, const RecordSizes& sizes)
      : stage_(stage),
        me_(stage.me),
        forest_(forest),
        limits_(limits),
        sizes_(sizes),
        sent_(static_cast<std::size_t>(me_.machines())),
        parked_for_(static_cast<std::size_t>(me_.machines())) {}

  void run() {
    Up up(me_);
    park_at_leaf(up);
    for (int level = 1; level < forest_.height(); ++level) {
      const cluster::Inbox in = send(up);
      Up next(me_);
      pass_node(in, level, next);
      up = std::move(next);
    }
    reach_root(send(up));
    pull();
    write_back();
  }

  int levels() const { return levels_; }

 private:
  static constexpr std::size_t kTasks = 0, kMetas = 1;
  using Up = BundleOutbox<2>;
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  /// A pile that stays here until its item comes: tasks (level 1) or meta-tasks of the level below.
  struct Slot {
    Key key;
    std::uint32_t level = 1;
    std::vector<std::uint32_t> own_tasks = {};  ///< indices of this machine's batch
    std::vector<Task<C>> tasks = {};            ///< tasks of others, at a transit node
    std::vector<Meta> metas = {};
    std::optional<Update> update = {};
    std::uint32_t parent_machine = 0, parent_place = 0;
  };
  /// Where an item came from, as the sender remembers it: a slot, or (kNone) the root's meta-task of this
  /// number.
  struct Sent {
    std::uint32_t slot, root_meta;
  };

  // A class whose tasks differ in what they carry and reply says so: its groups are weighed in bytes, not
  // counted.
  static constexpr bool kWeighs = requires(const typename C::Context& c) { C::reply_bytes(c, 1.0); };
  double push_bytes(std::size_t i) const {
    double bytes = static_cast<double>(Task<C>::wire_size(stage_.batch.key(i), stage_.batch.context(i)));
    if constexpr (kWeighs)
      bytes += (8 + C::reply_bytes(stage_.batch.context(i), sizes_.item)) / forest_.height();
    return bytes;
  }

  std::uint32_t park(Slot slot) {
    slots_.push_back(std::move(slot));
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }

  void put_task(Up& up, int to, const Key& key, TaskId id, const typename C::Context& context) {
    Buffer& buffer = up.record(to, kTasks);
    const std::size_t before = buffer.size();
    Task<C>::put(buffer, key, id, context);
    if (!stage_.is_me(to)) stage_.counters.task_bytes += buffer.size() - before;
  }
  void put_meta(Up& up, int to, const Key& key, const Meta& meta) {
    Buffer& buffer = up.record(to, kMetas);
    const std::size_t before = buffer.size();
    Wire<Key>::put(buffer, key);
    buffer.put(meta.pack());
    if (!stage_.is_me(to)) stage_.counters.meta_bytes += buffer.size() - before;
  }
  cluster::Inbox send(Up& up) {
    stage_.counters.header_bytes += up.header_bytes();
    return up.exchange();
  }

  // Phase 1 at the leaves. Groups of this machine's tasks: what it owns itself waits for the root's turn,
  // small groups start to climb, large ones stay.
  void park_at_leaf(Up& up) {
    auto& batch = stage_.batch;
    struct Group {
      std::uint32_t count = 0, owner = 0, slot = kNone;
      double bytes = 0;  ///< of pushing the group, replies included
    };
    std::vector<Group> groups;
    std::vector<std::uint32_t> group_of(batch.size());
    const bool weighing =
        kWeighs && stage_.options.push_limit.empty() && stage_.options.method == Method::td_orch;
    absl::flat_hash_map<Key, std::uint32_t, KeyHash<Key>> place(0, KeyHash<Key>{stage_.options.hash_mask});
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto [found, is_new] = place.try_emplace(batch.key(i), static_cast<std::uint32_t>(groups.size()));
      if (is_new) groups.push_back({.owner = static_cast<std::uint32_t>(stage_.store.owner(batch.key(i)))});
      group_of[i] = found->second;
      ++groups[found->second].count;
      if (weighing) groups[found->second].bytes += push_bytes(i);
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Group& group = groups[group_of[i]];
      const auto owner = static_cast<int>(group.owner);
      if (stage_.is_me(owner)) {
        own_keys_.push_back(static_cast<std::uint32_t>(i));
        continue;
      }
      if (weighing ? group.bytes <= sizes_.item + sizes_.meta : group.count <= limits_.leaf) {
        put_task(up, forest_.next_hop(owner, 1, me_.id()), batch.key(i), stage_.id_of(i), batch.context(i));
        stage_.counters.most_tasks_of_key =
            std::max<std::uint64_t>(stage_.counters.most_tasks_of_key, group.count);
        continue;
      }
      if (group.slot == kNone) {
        group.slot = park({.key = batch.key(i)});
        slots_.back().own_tasks.reserve(group.count);
        parked_for_[group.owner].push_back(group.slot);
        ++stage_.counters.leaf_slots;
      }
      slots_[group.slot].own_tasks.push_back(static_cast<std::uint32_t>(i));
    }
    // Meta-tasks in the order of slots, so that a flat root can answer by position.
    for (std::size_t owner = 0; owner < parked_for_.size(); ++owner) {
      const int to = forest_.next_hop(static_cast<int>(owner), 1, me_.id());
      for (std::uint32_t slot : parked_for_[owner])
        put_meta(up, to, slots_[slot].key, {machine(), slot, 1, slots_[slot].own_tasks.size()});
    }
    for (const auto& group : groups) stage_.counters.groups += !stage_.is_me(static_cast<int>(group.owner));
  }

  /// What came to a transit node for one key.
  struct Pile {
    Key key;
    std::vector<Task<C>> tasks = {};
    std::vector<std::vector<Meta>> metas = {};  ///< by level - 1
  };

  std::vector<Pile> collect(const cluster::Inbox& in) {
    std::vector<Pile> piles;
    absl::flat_hash_map<Key, std::uint32_t, KeyHash<Key>> place(0, KeyHash<Key>{stage_.options.hash_mask});
    const auto pile_of = [&](const Key& key) -> Pile& {
      const auto [found, is_new] = place.try_emplace(key, static_cast<std::uint32_t>(piles.size()));
      if (is_new) piles.push_back({.key = key});
      return piles[found->second];
    };
    read_bundles<2>(in, [&](int, std::size_t section, Reader& reader) {
      if (section == kTasks) {
        auto task = Task<C>::get(reader);
        auto& pile = pile_of(task.key);
        pile.tasks.push_back(std::move(task));
        return;
      }
      const Key key = Wire<Key>::get(reader);
      const Meta meta = Meta::unpack(reader.get<std::uint64_t>());
      if (meta.level == 0) throw InvalidInput("a meta-task of level 0 arrived");
      auto& metas = pile_of(key).metas;
      if (metas.size() < meta.level) metas.resize(meta.level);
      metas[meta.level - 1].push_back(meta);
    });
    return piles;
  }

  // Phase 1 at the transit nodes of `level`: what is too much for one key stays, the rest goes on.
  void pass_node(const cluster::Inbox& in, int level, Up& up) {
    auto piles = collect(in);
    const auto to = [&](const Pile& pile) {
      return forest_.next_hop(stage_.store.owner(pile.key), level + 1, me_.id());
    };
    for (auto& pile : piles) {
      if (pile.tasks.size() > limits_.inner) {
        const std::uint64_t count = pile.tasks.size();
        const std::uint32_t slot = park({.key = pile.key, .tasks = std::move(pile.tasks)});
        pile.tasks.clear();
        if (pile.metas.empty()) pile.metas.resize(1);
        pile.metas[0].push_back({machine(), slot, 1, count});
        ++stage_.counters.inner_slots;
      }
      stage_.counters.most_tasks_of_key =
          std::max<std::uint64_t>(stage_.counters.most_tasks_of_key, pile.tasks.size());
      for (const auto& task : pile.tasks) put_task(up, to(pile), task.key, task.id, task.context);
    }
    for (auto& pile : piles) {
      for (std::size_t j = 0; j < pile.metas.size(); ++j) {
        if (pile.metas[j].size() > limits_.metas) {
          Meta above{machine(), 0, static_cast<std::uint32_t>(j + 2), 0};
          for (const auto& meta : pile.metas[j]) above.count += meta.count;
          above.slot = park({.key = pile.key, .level = above.level, .metas = std::move(pile.metas[j])});
          pile.metas[j].clear();
          if (pile.metas.size() == j + 1) pile.metas.emplace_back();
          pile.metas[j + 1].push_back(above);
          ++stage_.counters.meta_slots;
        }
        stage_.counters.most_metas_of_key =
            std::max<std::uint64_t>(stage_.counters.most_metas_of_key, pile.metas[j].size());
        for (const auto& meta : pile.metas[j]) put_meta(up, to(pile), pile.key, meta);
      }
    }
  }

  // The end of phase 1: pushed tasks run, meta-tasks wait for their item to be sent.
  void reach_root(const cluster::Inbox& in) {
    absl::flat_hash_map<Key, std::uint64_t, KeyHash<Key>> demand(0, KeyHash<Key>{stage_.options.hash_mask});
    const bool counting = stage_.options.hot_keys > 0;
    for (std::uint32_t i : own_keys_) {
      if (counting) ++demand[stage_.batch.key(i)];
      stage_.execute_at_root(stage_.batch.key(i), stage_.id_of(i), stage_.batch.context(i));
    }
    read_bundles<2>(in, [&](int, std::size_t section, Reader& reader) {
      if (section == kTasks) {
        const auto task = Task<C>::get(reader);
        if (counting) ++demand[task.key];
        return stage_.execute_at_root(task.key, task.id, task.context);
      }
      Key key = Wire<Key>::get(reader);
      const Meta meta = Meta::unpack(reader.get<std::uint64_t>());
      stage_.counters.root_meta_count += meta.count;
      if (counting) demand[key] += meta.count;
      levels_ = std::max(levels_, static_cast<int>(meta.level));
      root_metas_.emplace_back(std::move(key), meta);
    });
    for (const auto& [key, tasks] : demand) stage_.note_demand(key, tasks);
    levels_ = me_.allreduce(levels_, [](int a, int b) { return std::max(a, b); });
  }

  // An item for a slot. In a flat forest the slot is known by the order of the meta-tasks that were sent.
  void put_item(BundleOutbox<1>& out, const Meta& to, const typename C::Item* item, Sent memory) {
    Buffer& buffer = out.record(static_cast<int>(to.machine), 0);
    const std::size_t before = buffer.size();
    if (forest_.height() > 1) buffer.put(to.slot);
    ItemWire<C>::put(buffer, item);
    if (!stage_.is_me(static_cast<int>(to.machine))) stage_.counters.item_bytes += buffer.size() - before;
    sent_[to.machine].push_back(memory);
  }

  // Phases 2 and 3: one superstep a level.
  void pull() {
    if (levels_ == 0) return;
    std::vector<std::uint32_t> answered(sent_.size(), 0);
    BundleOutbox<1> out(me_);
    count_sends(root_metas_);
    for (std::size_t i = 0; i < root_metas_.size(); ++i) {
      const auto& [key, meta] = root_metas_[i];
      put_item(out, meta, stage_.store.find(key), {kNone, static_cast<std::uint32_t>(i)});
    }
    for (int step = 0; step < levels_; ++step) {
      stage_.counters.header_bytes += out.header_bytes();
      const cluster::Inbox in = out.exchange();
      out = BundleOutbox<1>(me_);
      read_bundles<1>(in, [&](int source, std::size_t, Reader& reader) {
        const auto s = static_cast<std::size_t>(source);
        const std::uint32_t place = answered[s]++;
        const std::uint32_t at =
            forest_.height() > 1 ? reader.get<std::uint32_t>() : parked_for_[s].at(place);
        const auto item = ItemWire<C>::get(reader);
        Slot& slot = slots_.at(at);
        slot.parent_machine = static_cast<std::uint32_t>(source);
        slot.parent_place = place;
        const auto* datum = item ? &*item : nullptr;
        for (std::uint32_t i : slot.own_tasks)
          stage_.execute(slot.key, stage_.id_of(i), stage_.batch.context(i), datum, slot.update);
        for (const auto& task : slot.tasks)
          stage_.execute(slot.key, task.id, task.context, datum, slot.update);
        stage_.counters.most_item_sends =
            std::max<std::uint64_t>(stage_.counters.most_item_sends, slot.metas.size());
        for (const auto& meta : slot.metas) put_item(out, meta, datum, {at, kNone});
      });
    }
  }

  // Most often that a root sends one item to slots of one level.
  void count_sends(const std::vector<std::pair<Key, Meta>>& metas) {
    absl::flat_hash_map<Key, std::vector<std::uint64_t>, KeyHash<Key>> sends(
        0, KeyHash<Key>{stage_.options.hash_mask});
    for (const auto& [key, meta] : metas) {
      auto& by_level = sends[key];
      if (by_level.size() < meta.level) by_level.resize(meta.level, 0);
      stage_.counters.most_item_sends = std::max(stage_.counters.most_item_sends, ++by_level[meta.level - 1]);
    }
  }

  // Phase 4. Superstep t carries the updates of the slots of level t + 1 to their parents, and moves updates
  // to other keys to the nodes of level t + 1 of their owners' trees.
  void write_back() {
    using Section = Stage<C, S>;
    int own_levels = 0;
    for (const auto& slot : slots_) {
      if (slot.update) own_levels = levels_;
    }
    const auto all = stage_.agree(own_levels);
    const int steps =
        std::max({all.own_levels, all.foreign ? forest_.height() : 0, static_cast<int>(all.replies)});
    auto out = stage_.take_replies();
    for (int step = 0; step < steps; ++step) {
      if constexpr (kWrites<C>) {
        for (auto& slot : slots_) {
          if (!slot.update || slot.level != static_cast<std::uint32_t>(step + 1)) continue;
          Buffer& buffer = out.record(static_cast<int>(slot.parent_machine), Section::kSlotSection);
          const std::size_t before = buffer.size();
          buffer.put(slot.parent_place);
          Wire<Update>::put(buffer, *slot.update);
          if (!stage_.is_me(static_cast<int>(slot.parent_machine)))
            stage_.counters.update_bytes += buffer.size() - before;
        }
        if (step < forest_.height()) {
          for (auto& [key, update] : stage_.elsewhere.list())
            stage_.put_update(out, forest_.next_hop(stage_.store.owner(key), step + 1, me_.id()), key,
                              update);
          stage_.elsewhere.clear();
        }
      }
      const cluster::Inbox in = stage_.close(out);
      out = typename Section::Closing(me_);
      read_bundles<3>(in, [&](int source, std::size_t section, Reader& reader) {
        if (section == Section::kReplySection) return stage_.read_reply(reader);
        if constexpr (kWrites<C>) {
          if (section == Section::kSlotSection) {
            const Sent& memory = sent_[static_cast<std::size_t>(source)].at(reader.get<std::uint32_t>());
            return take_update(memory, Wire<Update>::get(reader));
          }
          Key key = Wire<Key>::get(reader);
          const bool mine = stage_.store.owner(key) == me_.id();
          (mine ? stage_.at_root : stage_.elsewhere).add(key, Wire<Update>::get(reader));
        }
      });
    }
    stage_.apply();
  }

  void take_update(const Sent& memory, Update update) {
    if (memory.slot == kNone)
      return stage_.at_root.add(root_metas_[memory.root_meta].first, std::move(update));
    auto& have = slots_[memory.slot].update;
    have = have ? C::merge(std::move(*have), std::move(update)) : std::move(update);
  }

  std::uint32_t machine() const { return static_cast<std::uint32_t>(me_.id()); }

  Stage<C, S>& stage_;
  cluster::Machine& me_;
  const Forest& forest_;
  const Limits& limits_;
  const RecordSizes& sizes_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> own_keys_;                 ///< tasks of the batch whose item lies here
  std::vector<std::pair<Key, Meta>> root_metas_;        ///< meta-tasks that reached this owner
  std::vector<std::vector<Sent>> sent_;                 ///< [machine]: items sent to it, in order
  std::vector<std::vector<std::uint32_t>> parked_for_;  ///< [owner]: slots of the leaf, in order
  int levels_ = 0;
};

}  // namespace ballast::orch::internal
