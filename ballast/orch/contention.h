// Phase 1 of TD-Orch (arXiv:2511.11843): contention detection. Sets of tasks climb the forest; where one key
// has more than C of them they are parked in a slot and a meta-task of 16 bytes goes on in their place; more
// than M meta-tasks of one level are parked in turn, under one of the next level. What reaches the owner is
// the exact demand for each of its keys, although no machine heard more than its children say.
#pragma once

#include "ballast/orch/runners.h"

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

/// A pile that stays here until its item comes: tasks (level 1) or meta-tasks of the levels below.
template <typename C>
struct Slot {
  typename C::Key key;
  std::uint32_t level = 1;
  std::vector<std::uint32_t> own_tasks = {};  ///< indices of this machine's batch
  std::vector<Task<C>> tasks = {};            ///< tasks of others, at a transit node
  std::vector<Meta> metas = {};
  std::optional<typename C::Update> update = {};
  std::uint32_t parent_machine = 0, parent_place = 0;
  Buffer pieces = {};            ///< of an item that comes in segments
  std::uint64_t item_bytes = 0;  ///< of which this many are to come
};

/// What phase 1 leaves on a machine.
template <typename C>
struct Parked {
  std::vector<Slot<C>> slots;
  std::vector<std::vector<std::uint32_t>> leaves_for;        ///< [owner]: slots of own tasks, in order
  std::vector<std::pair<typename C::Key, Meta>> root_metas;  ///< meta-tasks that reached this owner
  std::vector<Task<C>> root_tasks;                           ///< pushed tasks that have not run yet
  int levels = 0;                                            ///< L: depth of co-location, of all machines
  std::uint64_t segments = 1;                                ///< most pieces of an item, of all machines
  double mean_load = 0;                                      ///< tasks of a machine

  std::uint32_t park(Slot<C> slot) {
    slots.push_back(std::move(slot));
    return static_cast<std::uint32_t>(slots.size() - 1);
  }
};

template <typename C, typename S>
class Contention {
 public:
  using Key = typename C::Key;

  Contention(Stage<C, S>& stage, const Forest& forest, const Limits& limits, const RecordSizes& sizes)
      : stage_(stage), me_(stage.me), forest_(forest), limits_(limits), sizes_(sizes) {
    parked_.leaves_for.resize(static_cast<std::size_t>(me_.machines()));
  }

  /// Collective.
  Parked<C> run() {
    Root root(*this);
    if (forest_.height() == 1) {
      flat(root);
    } else {
      Up up(me_);
      park_at_leaf(up);
      for (int level = 1; level < forest_.height(); ++level) {
        const cluster::Inbox in = send(up);
        Up next(me_);
        pass_node(in, level, next);
        up = std::move(next);
      }
      const cluster::Inbox in = send(up);
      root.run_own();
      read_bundles<2>(
          in, [&](int source, std::size_t section, Reader& reader) { root.take(section, reader, source); });
    }
    agree(root.finish());
    return std::move(parked_);
  }

 private:
  class Root;
  static constexpr std::size_t kTasks = 0, kMetas = 1;
  using Up = BundleOutbox<2>;
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  // A class whose tasks differ in what they carry and reply says so: its groups are weighed in bytes, not
  // counted.
  static constexpr bool kWeighs = requires(const typename C::Context& c) { C::reply_bytes(c, 1.0); };
  double push_bytes(std::size_t i) const {
    double bytes = static_cast<double>(Task<C>::wire_size(stage_.batch.key(i), stage_.batch.context(i)));
    if constexpr (kWeighs)
      bytes += (8 + C::reply_bytes(stage_.batch.context(i), sizes_.item)) / forest_.height();
    return bytes;
  }
  bool weighing() const {
    const Options& options = stage_.options;
    return kWeighs && options.push_limit.empty() && options.method == Method::td_orch && options.park &&
           !options.always_pull;
  }

  template <typename Out>
  void put_task(Out& up, int to, const Key& key, TaskId id, const typename C::Context& context) {
    Buffer& buffer = up.record(to, kTasks);
    const std::size_t before = buffer.size();
    Task<C>::put(buffer, key, id, context);
    if (!stage_.is_me(to)) stage_.counters.task_bytes += buffer.size() - before;
  }
  template <typename Out>
  void put_meta(Out& up, int to, const Key& key, const Meta& meta) {
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

  // At the leaves. Groups of this machine's tasks: what it owns itself waits for the root's turn, small
  // groups start to climb, large ones stay.
  template <typename Out>
  void park_at_leaf(Out& up) {
    auto& batch = stage_.batch;
    auto& counters = stage_.counters;
    const auto& groups = stage_.groups();
    // What becomes of each group: kOwn, kClimbs, or the slot in which it stays.
    constexpr std::uint32_t kOwn = kNone, kClimbs = kNone - 1;
    std::vector<std::uint32_t> fate(groups.all().size());
    std::vector<double> bytes;  // of pushing a group, replies included
    if (weighing()) {
      bytes.resize(fate.size(), 0);
      for (std::size_t i = 0; i < batch.size(); ++i) bytes[groups.of(i)] += push_bytes(i);
    }
    for (std::size_t g = 0; g < fate.size(); ++g) {
      const KeyGroup& group = groups.all()[g];
      if (stage_.is_me(static_cast<int>(group.owner))) {
        fate[g] = kOwn;
        continue;
      }
      ++counters.groups;
      if (bytes.empty() ? group.count <= limits_.leaf : bytes[g] <= sizes_.item + sizes_.meta) {
        fate[g] = kClimbs;
        counters.most_tasks_of_key = std::max<std::uint64_t>(counters.most_tasks_of_key, group.count);
        continue;
      }
      fate[g] = parked_.park({.key = batch.key(group.first)});
      parked_.slots.back().own_tasks.reserve(group.count);
      parked_.leaves_for[group.owner].push_back(fate[g]);
      ++counters.leaf_slots;
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::uint32_t g = groups.of(i);
      if (fate[g] == kClimbs) {
        put_task(up, forest_.next_hop(static_cast<int>(groups.all()[g].owner), 1, me_.id()), batch.key(i),
                 stage_.id_of(i), batch.context(i));
      } else if (fate[g] == kOwn) {
        own_keys_.push_back(static_cast<std::uint32_t>(i));
      } else {
        parked_.slots[fate[g]].own_tasks.push_back(static_cast<std::uint32_t>(i));
      }
    }
    // Meta-tasks in the order of slots, so that a flat root can answer by position.
    for (std::size_t owner = 0; owner < parked_.leaves_for.size(); ++owner) {
      const int to = forest_.next_hop(static_cast<int>(owner), 1, me_.id());
      for (std::uint32_t slot : parked_.leaves_for[owner]) {
        const auto& pile = parked_.slots[slot];
        put_meta(up, to, pile.key, {machine(), slot, 1, pile.own_tasks.size()});
      }
    }
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

  // At the transit nodes of `level`: what is too much for one key stays, the rest goes on.
  void pass_node(const cluster::Inbox& in, int level, Up& up) {
    auto piles = collect(in);
    const auto to = [&](const Pile& pile) {
      return forest_.next_hop(stage_.store.owner(pile.key), level + 1, me_.id());
    };
    for (auto& pile : piles) {
      if (pile.tasks.size() > limits_.inner) {
        const std::uint64_t count = pile.tasks.size();
        const std::uint32_t slot = parked_.park({.key = pile.key, .tasks = std::move(pile.tasks)});
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
      if (!limits_.direct) keep_all_metas(pile);
      for (std::size_t j = 0; j < pile.metas.size(); ++j) {
        if (limits_.direct && pile.metas[j].size() > limits_.metas) {
          const Meta above = park_metas(pile, std::move(pile.metas[j]), static_cast<std::uint32_t>(j + 2));
          pile.metas[j].clear();
          if (pile.metas.size() == j + 1) pile.metas.emplace_back();
          pile.metas[j + 1].push_back(above);
        }
        stage_.counters.most_metas_of_key =
            std::max<std::uint64_t>(stage_.counters.most_metas_of_key, pile.metas[j].size());
        for (const auto& meta : pile.metas[j]) put_meta(up, to(pile), pile.key, meta);
      }
    }
  }

  Meta park_metas(const Pile& pile, std::vector<Meta> metas, std::uint32_t level) {
    Meta above{machine(), 0, level, 0};
    for (const auto& meta : metas) above.count += meta.count;
    above.slot = parked_.park({.key = pile.key, .level = level, .metas = std::move(metas)});
    ++stage_.counters.meta_slots;
    return above;
  }

  // Without direct pull every node keeps what came and sends one meta-task of its own: the item will come
  // back by the same hops.
  void keep_all_metas(Pile& pile) {
    std::vector<Meta> all;
    for (const auto& metas : pile.metas) all.insert(all.end(), metas.begin(), metas.end());
    if (all.empty()) return;
    const auto level = static_cast<std::uint32_t>(pile.metas.size() + 1);
    const Meta above = park_metas(pile, std::move(all), level);
    pile.metas.assign(level, {});
    pile.metas[level - 1].push_back(above);
  }

  // The only superstep of a flat phase 1: chunks travel while the leaf still sorts out its tasks, and are
  // taken as they come.
  void flat(Root& root) {
    std::optional<BundleStream<2>> up;
    me_.stream(
        [&](cluster::Stream& out) {
          up.emplace(me_, out);
          park_at_leaf(*up);
          root.run_own();
        },
        [&](int source, Reader chunk) {
          read_bundle<2>(chunk,
                         [&](std::size_t section, Reader& reader) { root.take(section, reader, source); });
        },
        {.overlap = stage_.options.overlap});
    stage_.counters.header_bytes += up->header_bytes();
  }

  // The end of phase 1: pushed tasks run (or wait for what is decided about them), meta-tasks wait for their
  // item to be sent.
  class Root {
   public:
    explicit Root(Contention& c)
        : c_(c),
          stage_(c.stage_),
          tasks_(stage_),
          demand_(0, KeyHash<Key>{stage_.options.hash_mask}),
          counting_(stage_.options.hot_keys > 0),
          spilling_(stage_.options.spill >= 0) {}

    // Tasks of this machine whose items lie here.
    void run_own() {
      std::vector<typename Stage<C, S>::Job> own;
      own.reserve(c_.own_keys_.size());
      for (std::size_t begin = 0; begin < c_.own_keys_.size(); begin += Stage<C, S>::kTogether) {
        const std::size_t end = std::min(c_.own_keys_.size(), begin + Stage<C, S>::kTogether);
        if constexpr (requires(const Key& key) { stage_.store.prefetch(key); }) {
          for (std::size_t j = begin; j < end; ++j) stage_.store.prefetch(stage_.batch.key(c_.own_keys_[j]));
        }
        for (std::size_t j = begin; j < end; ++j) {
          const std::uint32_t i = c_.own_keys_[j];
          const Key& key = stage_.batch.key(i);
          if (counting_) ++demand_[key];
          own.push_back({&key, stage_.id_of(i), &stage_.batch.context(i), stage_.store.find(key)});
        }
      }
      stage_.execute_jobs_at_root(own);
    }

    void take(std::size_t section, Reader& reader, int source) {
      if (section == kTasks) {
        auto task = Task<C>::get(reader);
        if (counting_) ++demand_[task.key];
        if (!spilling_) return tasks_.add(std::move(task), source);
        return c_.parked_.root_tasks.push_back(std::move(task));
      }
      Key key = Wire<Key>::get(reader);
      const Meta meta = Meta::unpack(reader.get<std::uint64_t>());
      stage_.counters.root_meta_count += meta.count;
      if (counting_) demand_[key] += meta.count;
      levels_ = std::max(levels_, static_cast<int>(meta.level));
      c_.parked_.root_metas.emplace_back(std::move(key), meta);
    }

    /// The number of levels below this owner.
    int finish() {
      tasks_.finish();
      for (const auto& [key, wanted] : demand_) stage_.note_demand(key, wanted);
      return levels_;
    }

   private:
    Contention& c_;
    Stage<C, S>& stage_;
    RootTasks<C, S> tasks_;
    absl::flat_hash_map<Key, std::uint64_t, KeyHash<Key>> demand_;
    const bool counting_, spilling_;
    int levels_ = 0;
  };

  // In a flat forest there is nothing to agree on: phase 2 is one superstep, in one piece.
  void agree(int levels) {
    if (forest_.height() == 1 && stage_.options.spill < 0) {
      parked_.levels = 1;
      return;
    }
    struct Facts {
      std::int64_t levels;
      std::uint64_t segments, tasks;
    };
    Facts facts{levels, 1, stage_.batch.size()};
    if (forest_.height() > 1) {
      for (const auto& [key, meta] : parked_.root_metas) {
        const std::uint64_t bytes = ItemWire<C>::size(stage_.store.find(key));
        facts.segments = std::max(facts.segments,
                                  (bytes + stage_.options.segment_bytes - 1) / stage_.options.segment_bytes);
      }
    }
    facts = me_.allreduce(facts, [](Facts a, const Facts& b) {
      return Facts{std::max(a.levels, b.levels), std::max(a.segments, b.segments), a.tasks + b.tasks};
    });
    parked_.levels = static_cast<int>(facts.levels);
    if (stage_.options.spill >= 0) parked_.levels = std::max(parked_.levels, 1);
    parked_.segments = facts.segments;
    parked_.mean_load = static_cast<double>(facts.tasks) / me_.machines();
  }

  std::uint32_t machine() const { return static_cast<std::uint32_t>(me_.id()); }

  Stage<C, S>& stage_;
  cluster::Machine& me_;
  const Forest& forest_;
  const Limits& limits_;
  const RecordSizes& sizes_;
  Parked<C> parked_;
  std::vector<std::uint32_t> own_keys_;  ///< tasks of the batch whose item lies here
};

}  // namespace ballast::orch::internal
