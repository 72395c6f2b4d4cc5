#include "ballast/federate/net/server_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::federate {

ServerDesk::ServerDesk(Roster roster, DeskOptions options) : roster_(std::move(roster)), options_(options) {
  if (options_.min_clients < 1 || static_cast<std::size_t>(options_.min_clients) > roster_.clients.size()) {
    throw InvalidInput("--min-clients", std::to_string(options_.min_clients),
                       fmt::format("1 to {}, the clients of the tokens file", roster_.clients.size()));
  }
  // Task numbers of a restarted server never meet those of the one before.
  next_id_ = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
}

void ServerDesk::archive(Archive& a) {
  const std::lock_guard lock(mutex_);
  there_before_.assign(facts_.registered.begin(), facts_.registered.end());
  a& announced_& violations_& there_before_;
  for (const auto& [client, count] : violations_) {
    if (count >= 3) facts_.quarantined.insert(client);
  }
}

void ServerDesk::wait_for_return() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(options_.open_deadline_s), [&] {
    return stopped_ || std::all_of(there_before_.begin(), there_before_.end(),
                                   [&](int client) { return facts_.registered.count(client) > 0; });
  });
}

bool ServerDesk::wait_for_clients() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return stopped_ || facts_.registered.size() >= static_cast<std::size_t>(options_.min_clients);
  });
  return !stopped_;
}

void ServerDesk::set_problem(const WireSettings& settings, const std::string& run) {
  const std::lock_guard lock(mutex_);
  config_ = settings.config;
  features_ = settings.features;
  classes_ = settings.classes;
  shape_ = config_.shape(features_, classes_);
  settings_ = to_bytes(settings);
  run_ = run;
  changed_.notify_all();
}

void ServerDesk::register_client(int client, int features, int classes) {
  std::unique_lock lock(mutex_);
  if (features < 1 || classes < 2) throw InvalidInput("a client needs at least 1 feature and 2 classes");
  if (features_ == 0) {
    features_ = features;
    classes_ = classes;
  }
  if (features != features_ || classes != classes_) {
    throw InvalidInput(fmt::format("this client has {} features and {} classes; the federation has {} and {}",
                                   features, classes, features_, classes_));
  }
  facts_.registered.insert(client);
  changed_.notify_all();
  changed_.wait(lock, [&] { return stopped_ || !settings_.empty(); });
}

void ServerDesk::leave(int client) {
  const std::lock_guard lock(mutex_);
  facts_.registered.erase(client);
}

ServerDesk::Work ServerDesk::next_task(int client, std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] {
    const auto found = open_.find(client);
    return stopped_ || ended_ || (found != open_.end() && !found->second.done);
  };
  Work work;
  if (!changed_.wait_for(lock, wait, ready)) return work;
  if (ended_) {
    work.kind = Work::Kind::end;
    told_.insert(client);
    changed_.notify_all();
    return work;
  }
  if (facts_.quarantined.count(client) > 0)
    throw InvalidInput("this client is quarantined after three refused results");
  if (stopped_) return work;
  const Open& open = open_.at(client);
  work.kind = Work::Kind::work;
  work.id = open.id;
  work.record = to_bytes(open.task);
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now());
  work.deadline_ms = static_cast<int>(std::max<std::int64_t>(0, left.count()));
  std::set<SlotId> slots(open.task.slots.begin(), open.task.slots.end());
  for (const TrainJob& job : open.task.trains) {
    if (!job.keep) slots.insert(job.slot);
  }
  for (SlotId slot : slots) work.models.emplace_back(slot, hashes_.at(slot).second);
  return work;
}

std::shared_ptr<const std::string> ServerDesk::blob(const std::string& hash) {
  const std::lock_guard lock(mutex_);
  const auto found = blobs_.find(hash);
  if (found == blobs_.end()) throw InvalidInput("no model of this hash is in use");
  facts_.models_down += found->second->size();
  return found->second;
}

std::size_t ServerDesk::result_limit(int client) {
  const std::lock_guard lock(mutex_);
  auto found = open_.find(client);
  if (found == open_.end()) {
    found = expired_.find(client);  // it may come too late
    if (found == expired_.end()) return 4096;
  }
  const ClientTask& task = found->second.task;
  std::size_t secure = 0;
  for (const SecureTask& asked : task.secure) secure += 256 + asked.cohort.size() * 192;
  const auto classes = static_cast<std::size_t>(classes_);
  return 4096 + secure + task.trains.size() * 8 + 8 * classes +
         task.trains.size() * (64 + config_.compression.bytes(shape_.size())) +
         task.slots.size() * (2 * sizeof(ScoreStat) * (1 + task.probes.size()) + 8 * classes * classes + 16);
}

std::string ServerDesk::check(const Open& open, const ClientResult& result) const {
  const ClientTask& task = open.task;
  if (result.client != task.client) return "another client's result";
  if (task.phase == Phase::open && result.samples > (std::uint64_t{1} << 32)) return "too many samples";
  for (const auto& stats : {result.scores, result.previous}) {
    for (const ScoreStat& stat : stats) {
      if (!std::isfinite(stat.loss_sum) || !std::isfinite(stat.loss_sq_sum) || !std::isfinite(stat.brier_sum))
        return "scores that are no finite numbers";
      if (stat.correct > stat.n) return "more right answers than samples";
    }
  }
  if (task.phase != Phase::train) return {};
  if (result.trained.size() != task.trains.size()) return "another number of models";
  const auto known = announced_.find(task.client);
  for (std::size_t k = 0; k < task.trains.size(); ++k) {
    const TrainJob& job = task.trains[k];
    const Trained& trained = result.trained[k];
    if (trained.slot != job.slot) return "another model than asked for";
    if (!job.upload) continue;
    if (job.secure) {
      if (!trained.payload.empty()) return "an update in the clear";
      if (!trained.masked.empty() && trained.masked.size() != shape_.size() + 1) return "wrong layout";
    } else if (trained.payload.size() != config_.compression.bytes(shape_.size()))
      return "wrong layout";
    std::uint64_t expected = 0;
    for (const TrainBatch& batch : job.batches) {
      const std::uint64_t n = known == announced_.end() || known->second.count(batch.step) == 0
                                  ? 0
                                  : known->second.at(batch.step);
      expected += config_.holdout ? n - n / 5 : n;
    }
    if (job.view == 0 && trained.samples != expected) return "wrong number of samples";
    if (job.secure) continue;  // a masked vector tells nothing
    const Params zero(shape_.size(), 0.0f);
    for (float value : config_.compression.decode(trained.payload, zero)) {
      if (!std::isfinite(value)) return "parameters that are no finite numbers";
    }
  }
  return {};
}

std::string ServerDesk::refuse(int client, const std::string& reason) {
  ++facts_.refused;
  ++facts_.reasons[reason];
  if (++violations_[client] >= 3 && facts_.quarantined.insert(client).second)
    fmt::print(stderr, "client '{}' is quarantined after three refused results (last: {})\n",
               roster_.clients[static_cast<std::size_t>(client)].first, reason);
  changed_.notify_all();
  return reason;
}

std::string ServerDesk::push_late(int client, const Open& open, const std::string& record) {
  ++facts_.late;
  finished_.insert(open.id);
  if (!options_.late_next_round || open.task.phase != Phase::train ||
      config_.compression.kind != Compression::Kind::none)
    return "late";
  try {
    ClientResult result = from_bytes<ClientResult>(record);
    if (const std::string problem = check(open, result); !problem.empty()) return refuse(client, problem);
    std::erase_if(result.trained, [](const Trained& trained) { return trained.payload.empty(); });
    result.absent = result.trained.empty();
    if (!result.absent) late_.insert_or_assign(client, std::pair(open.task, std::move(result)));
  } catch (const InvalidInput&) {
    return refuse(client, "damaged record");
  }
  return "late";
}

bool ServerDesk::release(const std::string& name) {
  const std::lock_guard lock(mutex_);
  for (std::size_t c = 0; c < roster_.clients.size(); ++c) {
    if (roster_.clients[c].first != name) continue;
    violations_.erase(static_cast<int>(c));
    facts_.quarantined.erase(static_cast<int>(c));
    changed_.notify_all();
    return true;
  }
  return false;
}

std::string ServerDesk::push(int client, std::uint64_t id, const std::string& record) {
  const std::lock_guard lock(mutex_);
  if (finished_.count(id) > 0) return "have";
  if (facts_.quarantined.count(client) > 0) return "quarantined";
  const auto found = open_.find(client);
  if (found == open_.end() || found->second.id != id) {
    const auto past = expired_.find(client);
    if (past != expired_.end() && past->second.id == id) return push_late(client, past->second, record);
    return refuse(client, "no such task is open");
  }
  Open& open = found->second;
  try {
    ClientResult result = from_bytes<ClientResult>(record);
    if (const std::string problem = check(open, result); !problem.empty()) return refuse(client, problem);
    open.result = std::move(result);
  } catch (const InvalidInput& error) {
    return refuse(client, "damaged record");
  }
  facts_.results_up += record.size();
  open.result.absent = false;
  open.done = true;
  finished_.insert(id);
  if (open.task.phase == Phase::open) announced_[client][open.task.step] = open.result.samples;
  changed_.notify_all();
  return {};
}

void ServerDesk::perform(const std::vector<ClientTask>& tasks, const ModelStore& models, bool,
                         const Sink& sink) {
  std::unique_lock lock(mutex_);
  std::set<std::string> in_use;
  for (std::size_t slot = 0; slot < models.params.size(); ++slot) {
    auto& [version, hash] = hashes_[static_cast<SlotId>(slot)];
    if (hash.empty() || version != models.version[slot]) {
      version = models.version[slot];
      hash = model_hash(shape_, models.params[slot]);
    }
    if (blobs_.count(hash) == 0) {
      blobs_[hash] =
          std::make_shared<const std::string>(reinterpret_cast<const char*>(models.params[slot].data()),
                                              models.params[slot].size() * sizeof(float));
    }
    in_use.insert(hash);
  }
  std::erase_if(blobs_, [&](const auto& entry) { return in_use.count(entry.first) == 0; });
  open_.clear();
  const bool training = !tasks.empty() && tasks.front().phase == Phase::train;
  if (finished_.size() > 10'000) finished_.clear();
  bool opening = false;
  for (const ClientTask& task : tasks) {
    opening = opening || task.phase == Phase::open;
    open_[task.client] = Open{task, next_id_++, false, {}};
  }
  const double seconds = opening ? options_.open_deadline_s : options_.round_deadline_s;
  deadline_ =
      std::chrono::steady_clock::now() +
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds));
  changed_.notify_all();
  // Clients that never registered are not waited for; one that registers later is, from its next task on.
  changed_.wait_until(lock, deadline_, [&] {
    if (stopped_) return true;
    std::size_t done = 0;
    bool all = true;
    for (const auto& [client, open] : open_) {
      const bool expected = facts_.registered.count(client) > 0 && facts_.quarantined.count(client) == 0;
      done += open.done ? 1 : 0;
      all = all && (open.done || !expected);
    }
    if (training && options_.over_select > 1 &&
        static_cast<double>(done) >= std::ceil(static_cast<double>(open_.size()) / options_.over_select))
      return true;
    return all &&
           (!training || done >= std::min(open_.size(), static_cast<std::size_t>(options_.min_reports)));
  });
  if (stopped_) throw Interrupted();
  // Who let the deadline pass is not waited for again before it has come back.
  for (const auto& [client, open] : open_) {
    if (open.done) continue;
    if (std::chrono::steady_clock::now() >= deadline_) facts_.registered.erase(client);
    expired_.insert_or_assign(client, open);
  }
  std::map<int, Open> done = std::exchange(open_, {});
  std::map<int, std::pair<ClientTask, ClientResult>> late;
  if (training) late = std::exchange(late_, {});
  std::erase_if(late, [&](const auto& entry) {  // of this step and an earlier round
    const ClientTask& past = entry.second.first;
    return past.step != tasks.front().step || past.round >= tasks.front().round;
  });
  lock.unlock();
  for (const ClientTask& task : tasks) {
    ClientResult& result = done.at(task.client).result;
    result.client = task.client;
    if (const auto old = late.find(task.client); result.absent && old != late.end()) {
      result = old->second.second;
      result.client = task.client;
      result.age = task.round - old->second.first.round;
    }
    sink(result);
  }
}

void ServerDesk::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void ServerDesk::wait_until_told() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::seconds(10), [&] {
    return stopped_ || std::all_of(facts_.registered.begin(), facts_.registered.end(), [&](int client) {
             return told_.count(client) > 0 || facts_.quarantined.count(client) > 0;
           });
  });
}

void ServerDesk::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

ServerDesk::Facts ServerDesk::facts() const {
  const std::lock_guard lock(mutex_);
  return facts_;
}

}  // namespace ballast::federate
