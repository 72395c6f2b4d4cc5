// `orch`: task-data orchestration that skew cannot hurt (TD-Orch, arXiv:2511.11843). The header to include.
//
// Given a batch of tasks on every machine, each asking for an item that lies on some machine, bring each task
// together with its item, run it, return the replies, merge and apply the updates: with the load level
// however skewed the requests are.
//
//   auto cluster = cluster::Cluster::open({.machines = 16});
//   cluster.run([&](cluster::Machine& me) {
//     orch::Store<Bump> store(me);                                  // task.h shows the class Bump
//     store.load_owned(1'000'000, [](auto key) { return std::int64_t(key); });
//     orch::Batch<Bump> batch;
//     for (...) batch.add(key, {.delta = 1});
//     orch::StageReport r = orch::run(me, store, batch, {.method = orch::Method::td_orch});
//     batch.replies();                                              // in the order of add()
//     if (me.is_first()) r.print(stdout);
//   });
#pragma once

#include "ballast/orch/auto_fanout.h"
#include "ballast/orch/baselines.h"
#include "ballast/orch/batch.h"
#include "ballast/orch/forest.h"
#include "ballast/orch/hot_replicate.h"
#include "ballast/orch/options.h"
#include "ballast/orch/outlook.h"
#include "ballast/orch/report.h"
#include "ballast/orch/sort_method.h"
#include "ballast/orch/stage.h"
#include "ballast/orch/store.h"
#include "ballast/orch/task.h"
#include "ballast/orch/td_orch.h"

namespace ballast::orch {

namespace internal {

/// Whether the sizes of a class are known without asking anyone.
template <typename C>
constexpr bool kFixedSizes =
    Wire<typename C::Item>::kFixed&& Wire<typename C::Key>::kFixed&& Wire<typename C::Context>::kFixed;

template <typename C, typename S>
SizeSums size_sums(const S& store, const Batch<C>& batch) {
  SizeSums sums{.items = store.items(), .item_bytes = store.item_bytes()};
  if constexpr (!Wire<typename C::Key>::kFixed || !Wire<typename C::Context>::kFixed) {
    sums.tasks = batch.size();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      sums.task_bytes += Task<C>::wire_size(batch.key(i), batch.context(i));
      sums.key_bytes += Wire<typename C::Key>::size(batch.key(i));
    }
  }
  return sums;
}

/// sigma, B and rho of a stage.
template <typename C>
RecordSizes record_sizes(const SizeSums& sums) {
  RecordSizes sizes;
  const auto mean = [](std::uint64_t sum, std::uint64_t count) {
    return count == 0 ? 0.0 : static_cast<double>(sum) / static_cast<double>(count);
  };
  if constexpr (Wire<typename C::Item>::kFixed) {
    sizes.item = 1 + Wire<typename C::Item>::kBytes;
  } else {
    sizes.item = 1 + mean(sums.item_bytes, sums.items);
  }
  if constexpr (Wire<typename C::Key>::kFixed && Wire<typename C::Context>::kFixed) {
    sizes.task = Wire<typename C::Key>::kBytes + sizeof(TaskId) + Wire<typename C::Context>::kBytes;
    sizes.meta = Wire<typename C::Key>::kBytes + 8;
  } else {
    sizes.task = std::max(1.0, mean(sums.task_bytes, sums.tasks));
    sizes.meta = 8 + mean(sums.key_bytes, sums.tasks);
  }
  if constexpr (kReplies<C>) {
    if constexpr (Wire<typename C::Reply>::kFixed) {
      sizes.reply = 8 + Wire<typename C::Reply>::kBytes;
    } else {
      sizes.reply = 8 + sizes.item;  // not known before it runs: a read of the item
    }
  }
  return sizes;
}

/// The same, agreed by all machines.
template <typename C, typename S>
RecordSizes agreed_sizes(Stage<C, S>& stage) {
  SizeSums sums = size_sums<C>(stage.store, stage.batch);
  if constexpr (!kFixedSizes<C>) sums = stage.me.allreduce(sums, SizeSums::both);
  return record_sizes<C>(sums);
}

template <typename S>
StageMemory* memory_of(S& store) {
  if constexpr (requires { store.memory(); }) return &store.memory();
  return nullptr;
}

/// The sizes of a stage's records and its fan-out, from what the stage before left or by one allreduce. Also
/// gives the stage its own part of what it will leave.
template <typename C, typename S>
std::pair<RecordSizes, std::string> sizes_and_fanout(Stage<C, S>& stage) {
  const Options& options = stage.options;
  StageMemory* memory = options.remember ? memory_of(stage.store) : nullptr;
  const bool skew_matters = options.fanout == "auto" && options.sketch && stage.me.machines() > 4;
  Outlook own{.sizes = size_sums<C>(stage.store, stage.batch), .skew = {}}, all;
  if (memory != nullptr && memory->known && (memory->knows_skew || !skew_matters)) {
    all = memory->outlook;
    if (skew_matters) own.skew = skew_facts(stage, record_sizes<C>(all.sizes));
  } else {
    if (skew_matters) own.skew = skew_facts(stage, record_sizes<C>(own.sizes));
    if (skew_matters || !kFixedSizes<C>) all = stage.me.allreduce(own, Outlook::both);
  }
  if (memory != nullptr) stage.leave_outlook(own, skew_matters, *memory);
  const RecordSizes sizes = record_sizes<C>(all.sizes);
  return {sizes, options.fanout == "auto" ? auto_fanout(stage, sizes, all.skew, memory) : options.fanout};
}

}  // namespace internal

/// One stage: collective, every machine gives its own batch and the same options. Afterwards the batch has
/// its replies, the store its updates. Throws InvalidInput for options that cannot be, StageFailed (on all
/// machines, the store unchanged) when a task threw.
template <TaskClass C, typename S>
StageReport run(cluster::Machine& me, S& store, Batch<C>& batch, const Options& options = {}) {
  Stage<C, S> stage(me, store, batch, options);
  switch (options.method) {
    case Method::push:
      internal::run_push(stage);
      return stage.report("-");
    case Method::pull:
      internal::run_pull(stage, false);
      return stage.report("-");
    case Method::pull_dedup:
      internal::run_pull(stage, true);
      return stage.report("-");
    case Method::reference:
      internal::run_reference(stage);
      return stage.report("-");
    case Method::sort:
      internal::SortMethod<C, S>(stage, internal::agreed_sizes(stage)).run();
      return stage.report("-");
    case Method::hot_replicate:
      internal::run_hot_replicate(stage, {});  // copies without looking at sizes
      return stage.report("-");
    case Method::hot_aware:
      internal::run_hot_replicate(stage, internal::agreed_sizes(stage));
      return stage.report("-");
    case Method::td_orch:
    case Method::tree_combine:
      break;
  }
  const auto [sizes, fanout] = internal::sizes_and_fanout(stage);
  Options resolved = options;
  resolved.fanout = fanout;
  const Forest forest = make_forest(resolved, me.machines());
  const Limits limits = make_limits(resolved, sizes, forest);
  internal::TdOrch<C, S> td(stage, forest, limits, sizes);
  td.run();
  StageReport report = stage.report(forest.describe());
  report.pull_levels = td.levels();
  report.push_limit_leaf = limits.leaf;
  report.push_limit_inner = limits.inner;
  report.meta_limit = limits.metas;
  return report;
}

}  // namespace ballast::orch
