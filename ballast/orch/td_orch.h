// TD-Orch: the four phases of a stage (arXiv:2511.11843).
//
//   1 contention detection  contention.h: which tasks reached the owner, which are parked, and where
//   2 co-location           the owner sends the item straight to the slots of the meta-tasks that reached it
//                           (pulled); a slot of meta-tasks passes it on, one superstep a level
//   3 execution             tasks run where they meet their item: pushed ones at the owner, parked ones in
//                           their slots. Replies ride with the next superstep
//   4 write-back            merged updates go back from slot to slot to the owner; updates to other keys
//   climb
//                           the forest of their owners, merging on the way
//
// With one level (flat) every group of tasks takes the cheaper of the two ways, exactly.
#pragma once

#include <map>

#include "ballast/orch/contention.h"

namespace ballast::orch::internal {

template <typename C, typename S>
class TdOrch {
 public:
  using Key = typename C::Key;
  using Item = typename C::Item;
  using Update = typename C::Update;

  TdOrch(Stage<C, S>& stage, const Forest& forest, const Limits& limits, const RecordSizes& sizes)
      : stage_(stage),
        me_(stage.me),
        forest_(forest),
        limits_(limits),
        sizes_(sizes),
        sent_(static_cast<std::size_t>(me_.machines())) {}

  void run() {
    parked_ = Contention<C, S>(stage_, forest_, limits_, sizes_).run();
    if (stage_.options.spill >= 0) choose_spill();
    stage_.execute_at_root(std::span<const Task<C>>(parked_.root_tasks));
    pull();
    write_back();
  }

  int levels() const { return parked_.levels; }

 private:
  // A message of phase 2: items for slots, pieces of large ones, items with tasks given back, replies.
  static constexpr std::size_t kItems = 0, kPieces = 1, kSpilled = 2, kReplies = 3;
  using Down = BundleOutbox<4>;
  using Job = typename Stage<C, S>::Job;
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  /// Where an item came from, as the sender remembers it: a slot, or (kNone) the root's meta-task of this
  /// number.
  struct Sent {
    std::uint32_t slot, root_meta;
  };
  /// A large item on its way to slots, a segment a superstep.
  struct Flow {
    Buffer bytes;        ///< at the root: all of it
    std::uint32_t slot;  ///< at a slot: whose pieces are passed on; kNone: at the root
    std::uint64_t total;
    std::vector<std::pair<Meta, Sent>> targets;
    std::uint64_t sent = 0;
  };
  /// Tasks that the owner gives back to the machine they came from, with their item.
  struct Spill {
    Key key;
    int origin;
    std::vector<std::uint64_t> sequences;
  };

  // The owner's own load, from its pushed tasks and what is parked here; whole groups leave, the largest
  // first, until it is at most (1 + spill) times the mean.
  void choose_spill() {
    double load = static_cast<double>(stage_.counters.root_tasks + parked_.root_tasks.size());
    for (const auto& slot : parked_.slots)
      load += static_cast<double>(slot.own_tasks.size() + slot.tasks.size());
    const double most = (1 + stage_.options.spill) * parked_.mean_load;
    if (load <= most) return;
    std::map<std::pair<Key, int>, std::size_t> place;
    for (const auto& task : parked_.root_tasks) {
      const auto [found, is_new] = place.try_emplace({task.key, origin_of(task.id)}, spills_.size());
      if (is_new) spills_.push_back({task.key, origin_of(task.id), {}});
      spills_[found->second].sequences.push_back(sequence_of(task.id));
    }
    std::stable_sort(spills_.begin(), spills_.end(),
                     [](const Spill& a, const Spill& b) { return a.sequences.size() > b.sequences.size(); });
    std::size_t leaving = 0;
    for (; leaving < spills_.size() && load > most; ++leaving)
      load -= static_cast<double>(spills_[leaving].sequences.size());
    spills_.resize(leaving);
    std::map<std::pair<Key, int>, bool> leaves;
    for (const auto& spill : spills_) leaves[{spill.key, spill.origin}] = true;
    std::erase_if(parked_.root_tasks, [&](const Task<C>& task) {
      return leaves.contains({task.key, origin_of(task.id)});
    });
  }

  // An item for a slot. In a flat forest the slot is known by the order of the meta-tasks that were sent.
  void put_item(Down& out, const Meta& to, const Item* item, Sent memory) {
    Buffer& buffer = out.record(static_cast<int>(to.machine), kItems);
    const std::size_t before = buffer.size();
    if (forest_.height() > 1) buffer.put(to.slot);
    ItemWire<C>::put(buffer, item);
    count_item(static_cast<int>(to.machine), buffer.size() - before);
    sent_[to.machine].push_back(memory);
  }
  void count_item(int to, std::size_t bytes) {
    if (!stage_.is_me(to)) stage_.counters.item_bytes += bytes;
  }

  void put_pieces(Down& out) {
    for (auto& flow : flows_) {
      const Buffer& from = flow.slot == kNone ? flow.bytes : parked_.slots[flow.slot].pieces;
      const std::uint64_t count = std::min(from.size() - flow.sent, stage_.options.segment_bytes);
      if (count == 0) continue;
      for (const auto& [meta, memory] : flow.targets) {
        if (flow.sent == 0) sent_[meta.machine].push_back(memory);
        Buffer& buffer = out.record(static_cast<int>(meta.machine), kPieces);
        const std::size_t before = buffer.size();
        buffer.put(meta.slot);
        buffer.put(flow.total);
        buffer.put(count);
        buffer.append(from.data() + flow.sent, count);
        count_item(static_cast<int>(meta.machine), buffer.size() - before);
      }
      flow.sent += count;
    }
    std::erase_if(flows_, [](const Flow& flow) { return flow.sent == flow.total; });
  }

  // Items that are too large for one message start to flow; the others are sent at once.
  void send_from_root(Down& out) {
    count_sends();
    absl::flat_hash_map<Key, std::size_t, KeyHash<Key>> flow_of(0, KeyHash<Key>{stage_.options.hash_mask});
    for (std::uint32_t i = 0; i < parked_.root_metas.size(); ++i) {
      const auto& [key, meta] = parked_.root_metas[i];
      const Item* item = stage_.store.find(key);
      if (forest_.height() == 1 || ItemWire<C>::size(item) <= stage_.options.segment_bytes) {
        put_item(out, meta, item, {kNone, i});
        continue;
      }
      const auto [found, is_new] = flow_of.try_emplace(key, flows_.size());
      if (is_new) {
        flows_.push_back({.bytes = {}, .slot = kNone, .total = 0, .targets = {}});
        ItemWire<C>::put(flows_.back().bytes, item);
        flows_.back().total = flows_.back().bytes.size();
      }
      flows_[found->second].targets.push_back({meta, {kNone, i}});
    }
  }

  void put_spills(Down& out) {
    for (const auto& spill : spills_) {
      parked_.root_metas.emplace_back(spill.key, Meta{});
      sent_[static_cast<std::size_t>(spill.origin)].push_back(
          {kNone, static_cast<std::uint32_t>(parked_.root_metas.size() - 1)});
      Buffer& buffer = out.record(spill.origin, kSpilled);
      const std::size_t before = buffer.size();
      Wire<Key>::put(buffer, spill.key);
      buffer.put_varint(spill.sequences.size());
      for (std::uint64_t sequence : spill.sequences) buffer.put_varint(sequence);
      ItemWire<C>::put(buffer, stage_.store.find(spill.key));
      count_item(spill.origin, buffer.size() - before);
      stage_.counters.spilled += spill.sequences.size();
    }
  }

  struct Arrival {
    std::uint32_t slot;
    std::optional<Item> item;
  };

  // Phases 2 and 3: one superstep a level, and one more for each further piece of the largest item.
  void pull() {
    if (parked_.levels == 0) return;
    const std::uint64_t steps = static_cast<std::uint64_t>(parked_.levels) + parked_.segments - 1;
    Down out(me_);
    send_from_root(out);
    for (std::uint64_t step = 0; step < steps; ++step) {
      put_pieces(out);
      if (step == 0) put_spills(out);
      if (limits_.fuse) stage_.move_replies(out, kReplies);
      stage_.counters.header_bytes += out.header_bytes();
      const cluster::Inbox in = out.exchange();
      out = Down(me_);
      const auto arrived = receive(in);
      run_slots(arrived);
      for (const auto& arrival : arrived) pass_on(out, arrival);
    }
  }

  std::vector<Arrival> receive(const cluster::Inbox& in) {
    std::vector<Arrival> arrived;
    answered_.resize(sent_.size(), 0);
    const auto arrive_from = [&](std::size_t source, std::uint32_t at) -> Slot<C>& {
      auto& slot = parked_.slots.at(at);
      slot.parent_machine = static_cast<std::uint32_t>(source);
      slot.parent_place = answered_[source]++;
      return slot;
    };
    read_bundles<4>(in, [&](int source, std::size_t section, Reader& reader) {
      const auto s = static_cast<std::size_t>(source);
      switch (section) {
        case kItems: {
          const std::uint32_t at =
              forest_.height() > 1 ? reader.get<std::uint32_t>() : parked_.leaves_for[s].at(answered_[s]);
          arrive_from(s, at);
          return arrived.push_back({at, ItemWire<C>::get(reader)});
        }
        case kPieces: {
          const auto at = reader.get<std::uint32_t>();
          const auto total = reader.get<std::uint64_t>();
          Slot<C>& slot = parked_.slots.at(at);
          if (slot.pieces.empty()) {
            arrive_from(s, at).item_bytes = total;
            start_flow(at, total);
          }
          slot.pieces.append(reader.take(reader.get<std::uint64_t>()));
          if (slot.pieces.size() < slot.item_bytes) return;
          Reader whole(slot.pieces.bytes());
          return arrived.push_back({at, ItemWire<C>::get(whole)});
        }
        case kSpilled: {
          const std::uint32_t at = parked_.park({.key = Wire<Key>::get(reader)});
          arrive_from(s, at);
          Slot<C>& slot = parked_.slots[at];
          for (auto n = reader.get_varint(); n > 0; --n) {
            const auto sequence = reader.get_varint();
            if (sequence >= stage_.batch.size())
              throw InvalidInput("a task that is not in the batch came back");
            slot.own_tasks.push_back(static_cast<std::uint32_t>(sequence));
          }
          return arrived.push_back({at, ItemWire<C>::get(reader)});
        }
        default:
          return stage_.read_reply(reader);
      }
    });
    return arrived;
  }

  void start_flow(std::uint32_t at, std::uint64_t total) {
    const auto& metas = parked_.slots[at].metas;
    if (metas.empty()) return;
    flows_.push_back({.bytes = {}, .slot = at, .total = total, .targets = {}});
    for (const auto& meta : metas) flows_.back().targets.push_back({meta, {at, kNone}});
  }

  void run_slots(const std::vector<Arrival>& arrived) {
    std::vector<Job> jobs;
    for (const auto& arrival : arrived) {
      const auto& slot = parked_.slots[arrival.slot];
      const Item* item = arrival.item ? &*arrival.item : nullptr;
      for (std::uint32_t i : slot.own_tasks)
        jobs.push_back({&slot.key, stage_.id_of(i), &stage_.batch.context(i), item, arrival.slot});
      for (const auto& task : slot.tasks)
        jobs.push_back({&slot.key, task.id, &task.context, item, arrival.slot});
    }
    stage_.execute_all(
        jobs, [&](const Job& job) -> std::optional<Update>& { return parked_.slots[job.group].update; });
  }

  void pass_on(Down& out, const Arrival& arrival) {
    const auto& slot = parked_.slots[arrival.slot];
    stage_.counters.most_item_sends =
        std::max<std::uint64_t>(stage_.counters.most_item_sends, slot.metas.size());
    if (slot.item_bytes > 0) return;  // it has flowed on by pieces
    for (const auto& meta : slot.metas)
      put_item(out, meta, arrival.item ? &*arrival.item : nullptr, {arrival.slot, kNone});
  }

  // Most often that a root sends one item to slots of one level.
  void count_sends() {
    absl::flat_hash_map<Key, std::vector<std::uint64_t>, KeyHash<Key>> sends(
        0, KeyHash<Key>{stage_.options.hash_mask});
    for (const auto& [key, meta] : parked_.root_metas) {
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
    for (const auto& slot : parked_.slots) {
      if (slot.update) own_levels = parked_.levels;
    }
    const auto all = stage_.agree(own_levels);
    const int steps =
        std::max({all.own_levels, all.foreign ? forest_.height() : 0, static_cast<int>(all.replies)});
    auto out = stage_.take_replies();
    for (int step = 0; step < steps; ++step) {
      if constexpr (kWrites<C>) {
        for (auto& slot : parked_.slots) {
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
      return stage_.at_root.add(parked_.root_metas[memory.root_meta].first, std::move(update));
    auto& have = parked_.slots[memory.slot].update;
    have = have ? C::merge(std::move(*have), std::move(update)) : std::move(update);
  }

  Stage<C, S>& stage_;
  cluster::Machine& me_;
  const Forest& forest_;
  const Limits& limits_;
  const RecordSizes& sizes_;
  Parked<C> parked_;
  std::vector<Flow> flows_;
  std::vector<Spill> spills_;
  std::vector<std::vector<Sent>> sent_;  ///< [machine]: items sent to it, in order
  std::vector<std::uint32_t> answered_;  ///< [machine]: items that came from it
};

}  // namespace ballast::orch::internal
