// What every method of carrying out a stage needs: to run one task next to its item, to send replies home, to
// merge updates by key, to agree that all went well, and to apply the merged updates at the owners.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ballast/cluster/machine.h"
#include "ballast/orch/batch.h"
#include "ballast/orch/bundle.h"
#include "ballast/orch/groups.h"
#include "ballast/orch/merge_check.h"
#include "ballast/orch/options.h"
#include "ballast/orch/outlook.h"
#include "ballast/orch/parallel.h"
#include "ballast/orch/records.h"
#include "ballast/orch/report.h"
#include "ballast/orch/store.h"
#include "ballast/orch/task.h"

namespace ballast::orch {

template <typename C, typename S>
class Stage {
 public:
  using Key = typename C::Key;
  using Context = typename C::Context;
  using Item = typename C::Item;
  using Update = typename C::Update;
  using Reply = typename C::Reply;

  Stage(cluster::Machine& machine, S& items, Batch<C>& tasks, const Options& settings)
      : me(machine),
        store(items),
        batch(tasks),
        options(settings),
        at_root(settings.hash_mask),
        elsewhere(settings.hash_mask, settings.merge_updates),
        replies_(machine) {
    batch.begin_stage();
    me.begin_stage(to_string(settings.method));
    first_superstep_ = me.account().supersteps.size();
    counters.tasks = batch.size();
  }

  bool is_me(int machine) const { return machine == me.id(); }
  TaskId id_of(std::size_t i) const { return task_id(me.id(), i); }

  /// One task beside its item; `group`: which of the caller's merged updates its own one belongs to.
  struct Job {
    const Key* key;
    TaskId id;
    const Context* context;
    const Item* item;
    std::uint32_t group = 0;
  };

  /// Runs one task. Its own update goes into `own`, those to other keys into `elsewhere`.
  void execute(const Key& key, TaskId id, const Context& context, const Item* item,
               std::optional<Update>& own) {
    const Job job{&key, id, &context, item};
    absorb(job, attempt(job), own);
  }

  /// Runs tasks on Options::threads threads. What they emit is merged in the order of `jobs`, so that the
  /// result does not depend on the number of threads. own(job): where its own update is merged.
  template <typename OwnOf>
  void execute_all(std::span<const Job> jobs, OwnOf own) {
    constexpr std::size_t kBlock = 8192;
    if (options.threads <= 1) {
      for (const Job& job : jobs) absorb(job, attempt(job), own(job));
      return;
    }
    std::vector<std::optional<Outcome>> outcomes(std::min(kBlock, jobs.size()));
    for (std::size_t first = 0; first < jobs.size(); first += kBlock) {
      const std::size_t count = std::min(kBlock, jobs.size() - first);
      me.add_cpu_ns(internal::parallel_ranges(options.threads, count, [&](std::size_t i, std::size_t end) {
        for (; i < end; ++i) outcomes[i].emplace(attempt(jobs[first + i]));
      }));
      for (std::size_t i = 0; i < count; ++i)
        absorb(jobs[first + i], std::move(*outcomes[i]), own(jobs[first + i]));
    }
  }

  /// What a task that ran anywhere leaves to be merged.
  struct Outcome {
    Emit<C> emit;
    std::optional<Reply> reply;  ///< none: absent or failed
    bool absent = false;
    std::string error;
  };

  /// Runs a task. Touches nothing but its own result: many may run at once.
  Outcome attempt(const Job& job) const {
    Outcome outcome;
    const Item* item = job.item;
    if (item == nullptr && !TakesAbsent<C>) {
      if constexpr (absent_policy<C>() == Absent::create) {
        static const Item kEmpty{};
        item = &kEmpty;
      } else {
        outcome.absent = true;
        return outcome;
      }
    }
    outcome.emit.id_ = job.id;
    outcome.emit.key_ = job.key;
    outcome.emit.machine_ = me.id();
    try {
      if constexpr (TakesAbsent<C>) {
        outcome.reply = C::run(*job.context, item, outcome.emit);
      } else {
        outcome.reply = C::run(*job.context, *item, outcome.emit);
      }
    } catch (const std::exception& error) {
      outcome.error = error.what();
      outcome.reply.reset();
    }
    return outcome;
  }

  /// Answers, and merges what the task wrote: its own update into `own`, the others where they belong.
  void absorb(const Job& job, Outcome&& outcome, std::optional<Update>& own) {
    ++counters.executed;
    if (outcome.absent) {
      ++counters.absent;
      if constexpr (absent_policy<C>() == Absent::fail) missing_.push_back(fmt::format("{}", *job.key));
      return answer(job.id, ReplyState::absent, Reply{});
    }
    if (outcome.reply) {
      answer(job.id, ReplyState::done, std::move(*outcome.reply));
    } else {
      const std::string text = fmt::format("task {} of machine {} failed on machine {}: {}",
                                           sequence_of(job.id), origin_of(job.id), me.id(), outcome.error);
      if (!options.collect_errors) {
        if (failure_.empty()) failure_ = text;
      } else {
        fail_task(job.id, text);
      }
    }
    auto& emit = outcome.emit;
    if constexpr (kWrites<C>) {
      if (options.check_merge) {
        if (emit.own_) merges_.note(*job.key, *emit.own_);
        for (const auto& [to, update] : emit.others_) merges_.note(to, update);
      }
      if (emit.own_) own = own ? C::merge(std::move(*own), std::move(*emit.own_)) : std::move(emit.own_);
    }
    for (auto& [to, update] : emit.others_)
      (store.owner(to) == me.id() ? at_root : elsewhere).add(to, std::move(update));
    for (auto& follow_up : emit.tasks_) batch.follow_ups_.push_back(std::move(follow_up));
  }

  /// Tasks whose items' memory is asked for together.
  static constexpr std::size_t kTogether = 32;
  /// Whether chunks of different sources may come in any order.
  bool in_any_order() const { return options.overlap && me.transport().stream_pays(); }

  void execute_at_root(std::span<const Task<C>> tasks) {
    jobs_.clear();
    for (const auto& task : tasks) jobs_.push_back({&task.key, task.id, &task.context, store.find(task.key)});
    execute_jobs_at_root(jobs_);
  }
  void execute_jobs_at_root(std::span<const Job> jobs) {
    std::optional<Update> own;
    const Key* of = nullptr;
    const auto flush = [&] {
      if (own) at_root.add(*of, std::move(*own));
      own.reset();
    };
    execute_all(jobs, [&](const Job& job) -> std::optional<Update>& {
      flush();
      of = job.key;
      return own;
    });
    flush();
    counters.root_tasks += jobs.size();
  }

  /// This machine's tasks by key; made at the first call.
  const internal::Groups<Key>& groups() {
    if (!grouped_)
      batch.groups_.assign(batch.keys_, options.hash_mask, [&](const Key& key) { return store.owner(key); });
    grouped_ = true;
    return batch.groups_;
  }

  /// What all machines have to know before anything is applied. Throws StageFailed on all of them if a task
  /// failed anywhere or a key was missing where it must not be.
  struct Agreement {
    std::int32_t failed = 0, foreign = 0, own_levels = 0, replies = 0;
  };
  Agreement agree(int own_levels) {
    if constexpr (kWrites<C>) {
      if (options.check_merge && failure_.empty()) {
        if (auto fault = merges_.fault()) failure_ = *fault;
      }
    }
    struct AllClear {
      Agreement agreement;
      Outlook outlook;
    };
    const Agreement mine{.failed = !failure_.empty() || !missing_.empty(),
                         .foreign = !elsewhere.empty(),
                         .own_levels = own_levels,
                         .replies = !replies_.empty()};
    const auto both = [](Agreement a, Agreement b) {
      return Agreement{a.failed | b.failed, a.foreign | b.foreign, std::max(a.own_levels, b.own_levels),
                       a.replies | b.replies};
    };
    Agreement all;
    if (memory_ == nullptr) {
      all = me.allreduce(mine, both);
    } else {
      const auto clear = me.allreduce(AllClear{mine, outlook_}, [&](const AllClear& a, const AllClear& b) {
        return AllClear{both(a.agreement, b.agreement), Outlook::both(a.outlook, b.outlook)};
      });
      all = clear.agreement;
      memory_->known = true;
      memory_->knows_skew = knows_skew_;
      memory_->outlook = clear.outlook;
    }
    if (all.failed) give_up();
    return all;
  }
  /// Lets the all-clear of this stage gather `own` of all machines into the store's memory.
  void leave_outlook(const Outlook& own, bool knows_skew, StageMemory& memory) {
    outlook_ = own;
    knows_skew_ = knows_skew;
    memory_ = &memory;
  }

  // The last messages of a stage carry replies (in the first of them), then updates to parent slots, then
  // updates by key, each of which is one section.
  static constexpr std::size_t kReplySection = 0, kSlotSection = 1, kKeySection = 2;
  using Closing = BundleOutbox<3>;

  /// The replies gathered so far, in the outbox of the closing superstep.
  Closing take_replies() { return std::exchange(replies_, Closing(me)); }
  /// Puts the replies gathered so far into a section of any outbox, to ride along.
  template <std::size_t Sections>
  void move_replies(BundleOutbox<Sections>& out, std::size_t section) {
    out.take_section(replies_, kReplySection, section);
  }
  void put_update(Closing& out, int machine, const Key& key, const Update& update) {
    Buffer& buffer = out.record(machine, kKeySection);
    const std::size_t before = buffer.size();
    Wire<Key>::put(buffer, key);
    Wire<Update>::put(buffer, update);
    if (!is_me(machine)) counters.update_bytes += buffer.size() - before;
  }
  cluster::Inbox close(Closing& out) {
    counters.header_bytes += out.header_bytes();
    return out.exchange();
  }
  void read_reply(Reader& in) {
    const auto tagged = in.get<std::uint64_t>();
    const auto state = static_cast<ReplyState>(tagged >> 62);
    const auto index = static_cast<std::size_t>(tagged & kIndexMask);
    if (index >= batch.size()) throw InvalidInput("a reply names a task that is not in the batch");
    if (state == ReplyState::failed) {
      batch.errors_.emplace_back(index, Wire<std::string>::get(in));
      batch.state_[index] = Batch<C>::State::failed;
      return;
    }
    Reply reply = Wire<Reply>::get(in);
    set_reply(index, state, std::move(reply));
  }

  /// Replies and updates straight to their machines, in one superstep: how all methods but the forest close.
  void close_directly() {
    const Agreement all = agree(0);
    if (all.foreign || all.replies) {
      Closing out = take_replies();
      if constexpr (kWrites<C>) {
        for (auto& [key, update] : elsewhere.list()) put_update(out, store.owner(key), key, update);
      }
      const cluster::Inbox in = close(out);
      read_bundles<3>(in, [&](int, std::size_t section, Reader& reader) {
        if (section == kReplySection) return read_reply(reader);
        Key key = Wire<Key>::get(reader);
        at_root.add(key, Wire<Update>::get(reader));
      });
    }
    apply();
  }

  /// Ends the stage: every key of this owner takes its one merged update.
  void apply() {
    if constexpr (kWrites<C>) {
      for (auto& [key, update] : at_root.list()) {
        if (absent_policy<C>() != Absent::create && store.find(key) == nullptr) continue;
        Item& item = store.make(key);
        C::apply(item, std::move(update));
        if constexpr (requires { C::erased(item); }) {
          if (C::erased(item)) store.erase(key);
        }
      }
    }
  }

  /// Gathers every machine's counters: the report is the same on all.
  StageReport report(const std::string& forest) {
    counters.wall_ns = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start_)
            .count());
    const auto& steps = me.account().supersteps;
    for (std::size_t i = first_superstep_; i < steps.size(); ++i) {
      counters.busy_bytes += steps[i].h();
      counters.busy_payload_bytes += steps[i].payload_h();
      counters.messages += steps[i].messages_out;
      counters.cpu_ns += steps[i].cpu_ns;
    }
    StageReport result;
    result.method = to_string(options.method);
    result.forest = forest;
    result.machines = me.machines();
    result.supersteps = static_cast<int>(steps.size() - first_superstep_);
    result.machine = me.allgather(counters);
    result.hot_keys = gather_hot_keys();
    return result;
  }

  /// Tells the report how many tasks asked for a key of this owner.
  void note_demand(const Key& key, std::uint64_t tasks) { demand_.emplace_back(tasks, key); }

  cluster::Machine& me;
  S& store;
  Batch<C>& batch;
  const Options& options;
  StageCounters counters;
  Updates<C> at_root;    ///< for keys of this owner
  Updates<C> elsewhere;  ///< for keys of other owners

 private:
  enum class ReplyState : std::uint64_t { done = 0, absent = 1, failed = 2 };
  static constexpr std::uint64_t kIndexMask = (std::uint64_t{1} << 40) - 1;

  void set_reply(std::size_t index, ReplyState state, Reply reply) {
    batch.state_[index] = state == ReplyState::absent ? Batch<C>::State::absent : Batch<C>::State::done;
    if constexpr (kReplies<C>) batch.replies_[index] = std::move(reply);
  }

  void answer(TaskId id, ReplyState state, Reply reply) {
    const int origin = origin_of(id);
    const auto index = static_cast<std::size_t>(sequence_of(id));
    if (is_me(origin)) return set_reply(index, state, std::move(reply));
    if constexpr (!kReplies<C>) {
      if (state == ReplyState::done) return;
    }
    Buffer& buffer = replies_.record(origin, kReplySection);
    const std::size_t before = buffer.size();
    buffer.put(static_cast<std::uint64_t>(state) << 62 | index);
    Wire<Reply>::put(buffer, reply);
    counters.reply_bytes += buffer.size() - before;
  }

  void fail_task(TaskId id, const std::string& text) {
    const int origin = origin_of(id);
    const auto index = static_cast<std::size_t>(sequence_of(id));
    if (is_me(origin)) {
      batch.errors_.emplace_back(index, text);
      batch.state_[index] = Batch<C>::State::failed;
      return;
    }
    Buffer& buffer = replies_.record(origin, kReplySection);
    const std::size_t before = buffer.size();
    buffer.put(static_cast<std::uint64_t>(ReplyState::failed) << 62 | index);
    Wire<std::string>::put(buffer, text);
    counters.reply_bytes += buffer.size() - before;
  }

  [[noreturn]] void give_up() {
    std::string mine = failure_;
    if (mine.empty() && !missing_.empty()) {
      mine = "keys that are not in the store:";
      for (std::size_t i = 0; i < std::min<std::size_t>(missing_.size(), 10); ++i) mine += " " + missing_[i];
      if (missing_.size() > 10) mine += fmt::format(" and {} more", missing_.size() - 10);
    }
    for (const auto& bytes : me.allgather_bytes(std::as_bytes(std::span(mine.data(), mine.size())))) {
      if (!bytes.empty())
        throw StageFailed("the stage is given up, nothing was written: " +
                          std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    throw StageFailed("the stage is given up, nothing was written");
  }

  std::vector<HotKey> gather_hot_keys() {
    const auto keep = std::min(demand_.size(), static_cast<std::size_t>(std::max(0, options.hot_keys)));
    const auto wanted = [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    };
    std::partial_sort(demand_.begin(), demand_.begin() + static_cast<std::ptrdiff_t>(keep), demand_.end(),
                      wanted);
    Buffer mine;
    for (std::size_t i = 0; i < keep; ++i) {
      mine.put(demand_[i].first);
      Wire<std::string>::put(mine, fmt::format("{}", demand_[i].second));
    }
    std::vector<HotKey> all;
    const auto gathered = me.allgather_bytes(mine.bytes());
    for (std::size_t m = 0; m < gathered.size(); ++m) {
      for (Reader reader(gathered[m]); !reader.empty();) {
        const auto tasks = reader.get<std::uint64_t>();
        all.push_back({Wire<std::string>::get(reader), tasks, static_cast<int>(m)});
      }
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const HotKey& a, const HotKey& b) { return a.tasks > b.tasks; });
    if (all.size() > static_cast<std::size_t>(std::max(0, options.hot_keys)))
      all.resize(static_cast<std::size_t>(std::max(0, options.hot_keys)));
    return all;
  }

  Closing replies_;
  bool grouped_ = false;
  Outlook outlook_;
  bool knows_skew_ = false;
  StageMemory* memory_ = nullptr;
  std::vector<Job> jobs_;  // of execute_at_root, kept for its memory
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  internal::MergeCheck<C> merges_;
  std::string failure_;
  std::vector<std::string> missing_;
  std::vector<std::pair<std::uint64_t, Key>> demand_;
  std::size_t first_superstep_ = 0;
};

}  // namespace ballast::orch
