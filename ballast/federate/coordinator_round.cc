// One round of training: who is asked, what comes back, what becomes of it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/federate/accountant.h"
#include "ballast/federate/coordinator.h"
#include "ballast/federate/secure_round.h"

namespace ballast::federate {
namespace {

enum Purpose { kCohort = 10, kChurn = 11, kStraggle = 12, kFlip = 13, kNoise = 14 };
constexpr int kRepeat = 1'000'000;     // keys of a repeated round's cohort lie beyond all rounds
constexpr double kMaxNormFactor = 10;  // over the running median: further out is refused

double chance(std::uint64_t seed, int purpose, int step, int round, int client) {
  return Random(run_key(seed, purpose, step, round, client, 0), 0).uniform();
}

bool finite(const Params& params) {
  return std::all_of(params.begin(), params.end(), [](float v) { return std::isfinite(v); });
}

// What a client sends in one exchange of secure aggregation: keys, sealed shares (24 + 16 + 64 bytes), opened
// shares.
std::uint64_t secure_bytes(const ClientTask& task) {
  std::uint64_t bytes = 0;
  for (const SecureTask& asked : task.secure) {
    const std::uint64_t others = asked.cohort.size() - 1;
    bytes += task.phase == Phase::secure_keys    ? 64
             : task.phase == Phase::secure_share ? 104 * others
                                                 : 32 * others;
  }
  return bytes;
}

}  // namespace

std::vector<ClientTask> Coordinator::training_tasks() {
  const Wishes wishes = strategy_.wishes();
  const auto slots = strategy_.training_slots();
  std::vector<ClientTask> tasks;
  std::map<SlotId, int> contributors;
  for (ClientId c = 0; c < problem_.clients; ++c) {
    if (!present(c)) continue;
    ClientTask task = task_of(Phase::train, c);
    for (SlotId slot : slots) {
      TrainJob job{.slot = slot, .batches = {}};
      for (const TrainBatch& batch : strategy_.train_batches(slot, c)) {
        if (batch.weight > 0 &&
            samples_[static_cast<std::size_t>(batch.step)][static_cast<std::size_t>(c)] > 0)
          job.batches.push_back(batch);
      }
      if (job.batches.empty()) continue;
      job.view = strategy_.view(slot);
      job.learning_rate = strategy_.learning_rate(slot);
      job.early_stop = wishes.early_stop;
      ++contributors[slot];
      task.trains.push_back(std::move(job));
    }
    if (!task.trains.empty()) tasks.push_back(std::move(task));
  }
  // A model with one contributor stays there until the last round of the step.
  const bool may_stay = config_.local_slots && config_.fraction >= 1 && !config_.aggregator.needs_all() &&
                        config_.compression.kind == Compression::Kind::none && config_.privacy.clip == 0 &&
                        config_.server_optimizer == "none" && wishes.server_optimizer.empty() &&
                        !wishes.updates && !wishes.rescore && config_.faults.churn == 0 &&
                        config_.faults.stragglers == 0 && config_.faults.sign_flip == 0;
  std::vector<ClientTask> cohort;
  for (ClientTask& task : tasks) {
    if (config_.fraction < 1 && chance(config_.seed, kCohort, step_, round_ + kRepeat * attempt_,
                                       task.client) >= config_.fraction * config_.over_select)
      continue;
    if (config_.faults.churn > 0 &&
        chance(config_.seed, kChurn, step_, round_, task.client) < config_.faults.churn)
      continue;
    for (TrainJob& job : task.trains) {
      job.alone = contributors[job.slot] == 1;
      if (may_stay && contributors[job.slot] == 1) {
        job.keep = round_ > 0;
        job.upload = round_ + 1 == config_.rounds;
      }
      if (!job.keep) download(task.client, job.slot, &Ledger::train_down);
      if (job.upload)
        count(task.client, &Ledger::models_up,
              config_.compression.bytes(shape_.size()) +
                  (config_.secure && !job.alone ? sizeof(std::uint32_t) : 0));
      log_.optimizer_steps += static_cast<std::uint64_t>(config_.local_steps);
    }
    cohort.push_back(std::move(task));
  }
  return cohort;
}

bool Coordinator::within_budget() {
  const PrivacyConfig& privacy = config_.privacy;
  if (privacy.noise <= 0 && privacy.local_noise <= 0) return true;
  // Local noise protects against the server, which sees who takes part: sampling hides nothing there.
  const bool central = privacy.noise > 0;
  const double epsilon =
      gaussian_privacy_loss(central ? config_.fraction : 1.0, central ? privacy.noise : privacy.local_noise,
                            private_rounds_ + 1, privacy.delta)
          .epsilon;
  if (privacy.epsilon_budget > 0 && epsilon > privacy.epsilon_budget) {
    stopped_training_ = true;
    return false;
  }
  ++private_rounds_;
  log_.epsilon = epsilon;
  return true;
}

// True once the round counts; false: too few reports, it is to be repeated.
bool Coordinator::train_round() {
  if (stopped_training_) return true;
  if (round_ > 0 && strategy_.wishes().rescore) {
    strategy_.on_scores(ask_scores(Phase::score, scored_));
    apply_model_ops();
    auto& serving = log_.serving.back();
    for (ClientId c = 0; c < problem_.clients; ++c)
      serving[static_cast<std::size_t>(c)] = strategy_.serving_slot(c);
    log_.models.back() = static_cast<int>(std::set<SlotId>(serving.begin(), serving.end()).size());
  }
  if (!within_budget()) return true;
  auto tasks = training_tasks();
  const Wishes wishes = strategy_.wishes();
  if (config_.secure && wishes.updates)
    throw InvalidInput(
        fmt::format("--secure does not go with {}, which looks at single updates", log_.strategy));
  std::optional<SecureRound> secure;
  if (config_.secure)
    secure.emplace(
        tasks,
        [&](const std::vector<ClientTask>& asked, const std::function<void(ClientResult&)>& sink) {
          for (const ClientTask& task : asked) count(task.client, &Ledger::secure_up, secure_bytes(task));
          workforce_.perform(asked, models_, false, sink);
        },
        [&](SlotId, ClientId client, const TrainJob& job) {
          double samples = 0;
          for (const TrainBatch& batch : job.batches)
            samples += static_cast<double>(
                samples_[static_cast<std::size_t>(batch.step)][static_cast<std::size_t>(client)]);
          return samples;
        });
  const bool all = config_.aggregator.needs_all() || wishes.updates || config_.secure;
  const PrivacyConfig& privacy = config_.privacy;
  struct One {
    ClientId client;
    Params params;
    double weight;
  };
  std::map<SlotId, std::vector<One>> updates;
  std::map<SlotId, TreeSum> sums;
  std::vector<std::uint64_t> counters(4, 0);  // reports, refused, unclipped, kept away
  std::vector<double> sorted = norms_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  if (!sorted.empty()) std::nth_element(sorted.begin(), middle, sorted.end());
  const double longest = sorted.size() < 20 ? INFINITY : kMaxNormFactor * *middle;
  std::vector<double> seen;
  workforce_.perform(tasks, models_, !all, [&](ClientResult& result) {
    if (result.absent) return;
    if (result.age == 0) ++counters[0];
    if (config_.faults.stragglers > 0 &&
        chance(config_.seed, kStraggle, step_, round_, result.client) < config_.faults.stragglers)
      return;
    if (secure) secure->take(result);
    for (Trained& trained : result.trained) {
      if (trained.payload.empty() || trained.samples == 0) continue;
      const Params& start = models_.params[static_cast<std::size_t>(trained.slot)];
      Params params = config_.compression.decode(trained.payload, start);
      if (config_.faults.sign_flip > 0 &&
          chance(config_.seed, kFlip, 0, 0, result.client) < config_.faults.sign_flip) {
        for (std::size_t i = 0; i < params.size(); ++i) params[i] = 2 * start[i] - params[i];
      }
      const double norm = update_norm(params, start);
      if (!finite(params) || norm > longest) {
        ++counters[1];
        continue;
      }
      if (seen.size() < 4096) seen.push_back(norm);
      if (privacy.clip > 0 && !clip_update(params, start, clip_)) ++counters[2];
      double weight =
          privacy.noise > 0 ? 1.0 : strategy_.mean_weight(trained.slot, result.client, trained.samples);
      if (result.age > 0) weight /= std::sqrt(1.0 + result.age);  // late: what it started from is old
      if (all) {
        updates[trained.slot].push_back({result.client, std::move(params), weight});
      } else {
        sums[trained.slot].add(static_cast<std::uint64_t>(result.client), params, weight);
      }
    }
  });
  if (!all) workforce_.combine(sums, counters);
  log_.rejected += counters[1];
  // Never more than were asked: who had no data at OPEN cannot report in this step.
  if (counters[0] < std::min(static_cast<std::uint64_t>(std::max(min_reports, 0)),
                             static_cast<std::uint64_t>(tasks.size())))
    return false;
  if (min_reports > 0) {  // a deployment: outliers of later rounds are measured against these
    norms_.insert(norms_.end(), seen.begin(), seen.end());
    if (norms_.size() > 1000) norms_.erase(norms_.begin(), norms_.end() - 1000);
  }
  std::map<SlotId, Params> means;
  for (auto& [slot, sum] : sums) means[slot] = sum.mean();
  for (auto& [slot, terms] : updates) {
    const Params& start = models_.params[static_cast<std::size_t>(slot)];
    if (wishes.updates) {
      std::vector<ClientUpdate> differences;
      for (const One& one : terms) {
        ClientUpdate update{one.client, one.weight, one.params};
        for (std::size_t i = 0; i < start.size(); ++i) update.difference[i] -= start[i];
        differences.push_back(std::move(update));
      }
      if (strategy_.on_updates(slot, differences)) continue;
    }
    std::vector<WeightedParams> weighted;
    for (const One& one : terms) weighted.push_back({&one.params, one.weight});
    means[slot] = config_.aggregator.combine(weighted, start);
  }
  std::map<SlotId, double> summed;  // clients in a secure sum
  if (secure) {
    for (auto& [slot, mean] : secure->open()) {
      summed[slot] = static_cast<double>(secure->clients(slot));
      means[slot] = std::move(mean);
    }
    log_.given_up += secure->given_up().size();
  }
  for (auto& [slot, mean] : means) {
    if (privacy.noise > 0) {
      const double reports = summed.count(slot) > 0 ? summed[slot]
                             : all                  ? static_cast<double>(updates[slot].size())
                                                    : sums[slot].weight();
      const std::uint64_t secret = privacy.secret != 0 ? privacy.secret : config_.seed;
      add_noise(mean, privacy.noise * clip_ / reports, run_key(secret, kNoise, step_, round_, 0, slot));
    }
    const std::string& optimizer =
        wishes.server_optimizer.empty() ? config_.server_optimizer : wishes.server_optimizer;
    Params next =
        server_step(optimizer, optimizers_[slot], models_.params[static_cast<std::size_t>(slot)], mean);
    models_.set(slot) = std::move(next);
    strategy_.on_aggregated(slot, models_.params[static_cast<std::size_t>(slot)]);
  }
  if (privacy.adaptive && counters[0] > 0) {
    const double noise = Random(run_key(config_.seed, kNoise, step_, round_, 1, 0), 1).normal();
    const auto reports = static_cast<double>(counters[0]);
    clip_ = next_clip(clip_, (static_cast<double>(counters[2]) + noise * reports / 20) / reports);
  }
  apply_model_ops();
  return true;
}

}  // namespace ballast::federate
