// The two ways in which tasks meet items: at the owner, as messages bring tasks, and elsewhere, as messages
// bring items. Both run many at a time on Options::threads threads.
#pragma once

#include <deque>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "ballast/orch/stage.h"

namespace ballast::orch::internal {

/// Runs tasks at the owner of their items as they come, kTogether at a time, or (with several threads) all
/// of them at the end. What they write is merged in the order of sources, whenever their messages came: the
/// result has the same bits with and without overlap. `finish` before closing.
template <typename C, typename S>
class RootTasks {
 public:
  using Key = typename C::Key;
  using Update = typename C::Update;
  using Outcome = typename Stage<C, S>::Outcome;

  explicit RootTasks(Stage<C, S>& stage)
      : stage_(stage),
        in_any_order_(stage.in_any_order()),
        together_(stage.options.threads > 1 ? kAll : Stage<C, S>::kTogether) {}
  /// Tasks of one source come in order.
  void add(Task<C> task, int source) {
    if (in_any_order_ && source != source_) run();
    source_ = source;
    if constexpr (requires { stage_.store.prefetch(task.key); }) stage_.store.prefetch(task.key);
    tasks_.push_back(std::move(task));
    if (tasks_.size() >= together_) run();
  }
  void finish() {
    run();
    for (auto& list : writes_) {
      for (auto& [key, id, outcome] : list) {
        std::optional<Update> own;
        stage_.absorb({&key, id, nullptr, nullptr}, std::move(outcome), own);
        if (own) stage_.at_root.add(key, std::move(*own));
      }
    }
    writes_.clear();
  }

 private:
  static constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  struct Write {
    Key key;
    TaskId id;
    Outcome outcome;
  };

  void run() {
    if (tasks_.empty()) return;
    if (!in_any_order_) {
      stage_.execute_at_root(std::span<const Task<C>>(tasks_));
    } else {
      run_before_its_turn();
    }
    tasks_.clear();
  }
  // Replies go at once; what is written waits until all sources before have come.
  void run_before_its_turn() {
    writes_.resize(static_cast<std::size_t>(stage_.me.machines()));
    auto& writes = writes_[static_cast<std::size_t>(source_)];
    std::vector<std::optional<Outcome>> outcomes(tasks_.size());
    jobs_.clear();
    for (const auto& task : tasks_)
      jobs_.push_back({&task.key, task.id, &task.context, stage_.store.find(task.key)});
    stage_.me.add_cpu_ns(
        parallel_ranges(stage_.options.threads, tasks_.size(), [&](std::size_t t, std::size_t end) {
          for (; t < end; ++t) outcomes[t].emplace(stage_.attempt(jobs_[t]));
        }));
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      if (outcomes[t]->emit.empty()) {
        std::optional<Update> none;
        stage_.absorb(jobs_[t], std::move(*outcomes[t]), none);
      } else {
        writes.push_back({std::move(tasks_[t].key), tasks_[t].id, std::move(*outcomes[t])});
      }
    }
    stage_.counters.root_tasks += tasks_.size();
  }

  Stage<C, S>& stage_;
  const bool in_any_order_;
  const std::size_t together_;
  int source_ = -1;
  std::vector<Task<C>> tasks_;
  std::vector<typename Stage<C, S>::Job> jobs_;
  std::vector<std::vector<Write>> writes_;  ///< [source]
};

/// Runs groups of tasks beside items that came in messages, on Options::threads threads: each group as it
/// comes, or (with several threads) many groups at a time. end(key, update, tag) takes the merged update of
/// a group.
template <typename C, typename S, typename End>
class ItemTasks {
 public:
  using Key = typename C::Key;
  using Item = typename C::Item;
  using Update = typename C::Update;
  using Job = typename Stage<C, S>::Job;

  ItemTasks(Stage<C, S>& stage, End end) : stage_(stage), end_(std::move(end)) {}
  /// A group that shares one item; `tag` comes back with its update.
  void begin(Key key, std::optional<Item> item, std::uint32_t tag) {
    if (jobs_.size() >= (stage_.options.threads > 1 ? kMany : 1)) finish();
    groups_.push_back({std::move(key), std::move(item), tag, {}});
  }
  /// `context` stays where it is until finish().
  void add(TaskId id, const typename C::Context& context) {
    const Waiting& group = groups_.back();
    jobs_.push_back({&group.key, id, &context, group.item ? &*group.item : nullptr,
                     static_cast<std::uint32_t>(groups_.size() - 1)});
  }
  void finish() {
    stage_.execute_all(std::span<const Job>(jobs_),
                       [&](const Job& job) -> std::optional<Update>& { return groups_[job.group].own; });
    for (auto& group : groups_) {
      if (group.own) end_(group.key, std::move(*group.own), group.tag);
    }
    jobs_.clear();
    groups_.clear();
  }

 private:
  static constexpr std::size_t kMany = 8192;
  struct Waiting {
    Key key;
    std::optional<Item> item;
    std::uint32_t tag;
    std::optional<Update> own;
  };
  Stage<C, S>& stage_;
  End end_;
  std::deque<Waiting> groups_;  // addresses stay
  std::vector<Job> jobs_;
};
template <typename C, typename S, typename End>
ItemTasks(Stage<C, S>&, End) -> ItemTasks<C, S, End>;

}  // namespace ballast::orch::internal
