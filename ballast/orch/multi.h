// Tasks that ask for several items at once.
//
//   struct Common {                                     // how many neighbours two vertices share
//     using Key = std::uint32_t;  using Context = orch::None;  using Item = std::vector<std::uint32_t>;
//     using Update = std::uint64_t;  using Reply = std::uint64_t;
//     static Reply run(const Context&, std::span<const Item* const> items, orch::MultiEmit<Common>& out);
//     static Update merge(Update, Update);  static void apply(Item&, Update);
//     static std::size_t anchor(const std::vector<Key>& keys, const Context&);       // optional
//   };
//   orch::MultiBatch<Common> batch;
//   batch.add({u, v}, {});
//   orch::run_multi(me, store, batch, {.method = ..., .multi = orch::Multi::gather});
//
// Two plans with equal results:
//   gather  every machine fetches each item that its tasks ask for once, by a stage of single-item tasks, and
//   runs
//           its tasks at home
//   anchor  a task moves to one of its items (by a stage, so that a hot one is parked and pulled), and the
//   machine
//           where it lands fetches the others; the anchor's bytes do not travel unless it is contended
// Multi::automatic takes anchor where a task is smaller than the mean item.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "ballast/orch/orch.h"

namespace ballast::orch {

enum class Multi { gather, anchor, automatic };

/// Where a running task of several items puts what it writes.
template <typename C>
class MultiEmit {
 public:
  void to(const typename C::Key& key, typename C::Update update) {
    list_.emplace_back(key, std::move(update));
  }
  TaskId id() const { return id_; }

 private:
  template <typename, typename>
  friend class MultiStage;
  TaskId id_ = 0;
  std::vector<std::pair<typename C::Key, typename C::Update>> list_;
};

template <typename C>
class MultiBatch {
 public:
  using Key = typename C::Key;
  using Context = typename C::Context;
  using Reply = typename C::Reply;

  /// Throws InvalidInput for a task without a key, or with more than 255.
  void add(std::vector<Key> keys, Context context) {
    if (keys.empty() || keys.size() > 255)
      throw InvalidInput("a task's keys", fmt::format("{} keys", keys.size()), "1 to 255");
    keys_.push_back(std::move(keys));
    contexts_.push_back(std::move(context));
  }
  std::size_t size() const { return keys_.size(); }
  const Reply& reply(std::size_t i) const { return replies_[i]; }

 private:
  template <typename, typename>
  friend class MultiStage;
  std::vector<std::vector<Key>> keys_;
  std::vector<Context> contexts_;
  std::vector<Reply> replies_;
};

struct MultiOptions {
  Options stage = {};  ///< of the stages underneath
  Multi multi = Multi::automatic;
};

struct MultiReport {
  bool anchored = false;
  std::vector<StageReport> stages;  ///< those underneath, in order
};

template <typename C, typename S>
class MultiStage {
 public:
  using Key = typename C::Key;
  using Context = typename C::Context;
  using Item = typename C::Item;
  using Update = typename C::Update;
  using Reply = typename C::Reply;

  MultiStage(cluster::Machine& me, S& store, MultiBatch<C>& batch, const MultiOptions& options)
      : me_(me), store_(store), batch_(batch), options_(options), updates_(options.stage.hash_mask) {}

  MultiReport run() {
    batch_.replies_.assign(batch_.size(), Reply{});
    report_.anchored =
        options_.multi == Multi::anchor || (options_.multi == Multi::automatic && anchor_is_cheaper());
    report_.anchored ? land_at_anchors() : stay_home();
    fetch();
    execute();
    write();
    return std::move(report_);
  }

 private:
  /// A task where it will run.
  struct Placed {
    TaskId id;
    std::vector<Key> keys;
    Context context;
    std::size_t anchor = 0;
    std::optional<Item> anchor_item = {};  ///< came along
    bool has_anchor = false;
  };

  /// An item as a reply: it may not be there.
  struct Fetched {
    std::optional<Item> item = {};
    std::size_t encoded_size() const { return ItemWire<Fetch>::size(item ? &*item : nullptr); }
    void encode(Buffer& out) const { ItemWire<Fetch>::put(out, item ? &*item : nullptr); }
    static Fetched decode(Reader& in) { return {ItemWire<Fetch>::get(in)}; }
  };
  struct Fetch {
    using Key = typename C::Key;
    using Context = None;
    using Item = typename C::Item;
    using Update = None;
    using Reply = Fetched;
    static Fetched run(const None&, const Item* item, Emit<Fetch>&) {
      return item == nullptr ? Fetched{} : Fetched{*item};
    }
  };
  /// A task on its way to its anchor, and (after it has landed) with the anchor's item.
  struct Travel {
    TaskId id = 0;
    std::vector<Key> keys = {};
    std::uint8_t anchor = 0;
    typename C::Context context = {};
    std::optional<Item> item = {};

    std::size_t encoded_size() const {
      std::size_t size = sizeof id + 2 + Wire<typename C::Context>::size(context);
      for (const auto& key : keys) size += Wire<Key>::size(key);
      return size;
    }
    void encode(Buffer& out) const {
      out.put(id);
      out.put(anchor);
      out.put(static_cast<std::uint8_t>(keys.size()));
      for (const auto& key : keys) Wire<Key>::put(out, key);
      Wire<typename C::Context>::put(out, context);
    }
    static Travel decode(Reader& in) {
      Travel travel;
      travel.id = in.get<TaskId>();
      travel.anchor = in.get<std::uint8_t>();
      for (auto n = in.get<std::uint8_t>(); n > 0; --n) travel.keys.push_back(Wire<Key>::get(in));
      if (travel.anchor >= travel.keys.size()) throw InvalidInput("a task without its anchor arrived");
      travel.context = Wire<typename C::Context>::get(in);
      return travel;
    }
  };
  struct Visit {
    using Key = typename C::Key;
    using Context = Travel;
    using Item = typename C::Item;
    using Update = None;
    using Reply = None;
    static None run(const Travel& travel, const Item* item, Emit<Visit>& out) {
      Travel landed = travel;
      if (item != nullptr) landed.item = *item;
      out.task(out.key(), std::move(landed));
      return {};
    }
  };
  struct Deliver {
    using Key = typename C::Key;
    using Context = typename C::Update;
    using Item = typename C::Item;
    using Update = typename C::Update;
    using Reply = None;
    static constexpr Absent kAbsent = absent_policy<C>();
    static None run(const Context& update, const Item*, Emit<Deliver>& out) {
      out.self(update);
      return {};
    }
    static Update merge(Update a, Update b) { return C::merge(std::move(a), std::move(b)); }
    static void apply(Item& item, Update update) { C::apply(item, std::move(update)); }
  };

  bool anchor_is_cheaper() {
    struct Sums {
      std::uint64_t items, item_bytes, tasks, task_bytes;
    };
    Sums sums{store_.items(), store_.item_bytes(), batch_.size(), 0};
    for (std::size_t i = 0; i < batch_.size(); ++i) sums.task_bytes += travel_of(i).encoded_size();
    sums = me_.allreduce(sums, [](Sums a, const Sums& b) {
      return Sums{a.items + b.items, a.item_bytes + b.item_bytes, a.tasks + b.tasks,
                  a.task_bytes + b.task_bytes};
    });
    if (sums.items == 0 || sums.tasks == 0) return false;
    const double item = static_cast<double>(sums.item_bytes) / static_cast<double>(sums.items);
    const double task = static_cast<double>(sums.task_bytes) / static_cast<double>(sums.tasks);
    return task * make_forest(options_.stage, me_.machines()).height() < item;
  }

  Travel travel_of(std::size_t i) const {
    Travel travel{.id = task_id(me_.id(), i), .keys = batch_.keys_[i], .context = batch_.contexts_[i]};
    if constexpr (requires { C::anchor(travel.keys, travel.context); })
      travel.anchor = static_cast<std::uint8_t>(C::anchor(travel.keys, travel.context));
    return travel;
  }

  void stay_home() {
    for (std::size_t i = 0; i < batch_.size(); ++i)
      placed_.push_back({task_id(me_.id(), i), batch_.keys_[i], batch_.contexts_[i]});
  }

  void land_at_anchors() {
    Batch<Visit> visits;
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      Travel travel = travel_of(i);
      const Key key = travel.keys[travel.anchor];
      visits.add(key, std::move(travel));
    }
    report_.stages.push_back(orch::run(me_, store_, visits, options_.stage));
    Batch<Visit> landed = visits.follow_ups();
    for (std::size_t i = 0; i < landed.size(); ++i) {
      const Travel& travel = landed.context(i);
      placed_.push_back({travel.id, travel.keys, travel.context, travel.anchor, travel.item, true});
    }
  }

  // Each item that is asked for here, once.
  void fetch() {
    Batch<Fetch> batch;
    for (const auto& task : placed_) {
      for (std::size_t k = 0; k < task.keys.size(); ++k) {
        if (task.has_anchor && k == task.anchor) continue;
        const auto [found, is_new] =
            place_.try_emplace(task.keys[k], static_cast<std::uint32_t>(batch.size()));
        if (is_new) batch.add(task.keys[k], {});
      }
    }
    report_.stages.push_back(orch::run(me_, store_, batch, options_.stage));
    for (std::size_t i = 0; i < batch.size(); ++i) items_.push_back(batch.reply(i));
  }

  void execute() {
    BundleOutbox<1> out(me_);
    std::string failure;
    for (const auto& task : placed_) {
      std::vector<const Item*> items;
      for (std::size_t k = 0; k < task.keys.size(); ++k) {
        const auto& item =
            task.has_anchor && k == task.anchor ? task.anchor_item : items_[place_.at(task.keys[k])].item;
        items.push_back(item ? &*item : nullptr);
      }
      MultiEmit<C> emit;
      emit.id_ = task.id;
      try {
        Buffer& buffer = out.record(origin_of(task.id), 0);
        const Reply reply = C::run(task.context, std::span<const Item* const>(items), emit);
        buffer.put(static_cast<std::uint32_t>(sequence_of(task.id)));
        Wire<Reply>::put(buffer, reply);
      } catch (const std::exception& error) {
        if (failure.empty())
          failure = fmt::format("task {} of machine {} failed on machine {}: {}", sequence_of(task.id),
                                origin_of(task.id), me_.id(), error.what());
      }
      for (auto& [key, update] : emit.list_) updates_.add(key, std::move(update));
    }
    for (const auto& text : me_.allgather_bytes(std::as_bytes(std::span(failure.data(), failure.size())))) {
      if (!text.empty())
        throw StageFailed("the stage is given up, nothing was written: " +
                          std::string(reinterpret_cast<const char*>(text.data()), text.size()));
    }
    me_.begin_stage("multi replies");
    const cluster::Inbox in = out.exchange();
    read_bundles<1>(in, [&](int, std::size_t, Reader& reader) {
      const auto index = reader.get<std::uint32_t>();
      batch_.replies_.at(index) = Wire<Reply>::get(reader);
    });
  }

  // Updates merged here go straight to their owners.
  void write() {
    if constexpr (kWrites<C>) {
      Batch<Deliver> batch;
      for (auto& [key, update] : updates_.list()) batch.add(key, std::move(update));
      Options direct = options_.stage;
      direct.method = Method::push;
      report_.stages.push_back(orch::run(me_, store_, batch, direct));
    }
  }

  cluster::Machine& me_;
  S& store_;
  MultiBatch<C>& batch_;
  const MultiOptions& options_;
  MultiReport report_;
  Updates<Deliver> updates_;
  std::vector<Placed> placed_;
  absl::flat_hash_map<Key, std::uint32_t, KeyHash<Key>> place_;
  std::vector<Fetched> items_;
};

/// Collective: every machine gives its own batch and the same options. Throws StageFailed (on all machines,
/// the store unchanged) when a task threw.
template <typename C, typename S>
MultiReport run_multi(cluster::Machine& me, S& store, MultiBatch<C>& batch,
                      const MultiOptions& options = {}) {
  return MultiStage<C, S>(me, store, batch, options).run();
}

}  // namespace ballast::orch
