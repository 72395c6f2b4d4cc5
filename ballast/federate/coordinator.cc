#include "ballast/federate/coordinator.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/federate/accountant.h"

namespace ballast::federate {
namespace {

enum Purpose { kCohort = 10, kChurn = 11, kStraggle = 12, kFlip = 13, kNoise = 14 };
constexpr double kMaxNormFactor = 10;  // over the running median: further out is refused

double chance(std::uint64_t seed, int purpose, int step, int round, int client) {
  return Random(run_key(seed, purpose, step, round, client, 0), 0).uniform();
}

bool finite(const Params& params) {
  return std::all_of(params.begin(), params.end(), [](float v) { return std::isfinite(v); });
}

}  // namespace

Params& ModelStore::set(SlotId slot) {
  const auto index = static_cast<std::size_t>(slot);
  if (index >= params.size()) {
    params.resize(index + 1);
    version.resize(index + 1, 0);
  }
  ++version[index];
  return params[index];
}

Coordinator::Coordinator(Strategy& strategy, const RunConfig& config, const Problem& problem,
                         Workforce& workforce)
    : strategy_(strategy),
      config_(config),
      problem_(problem),
      workforce_(workforce),
      shape_{problem.features, config.hidden > 0 ? config.hidden : 2 * problem.features, problem.classes},
      log_{.strategy = strategy.name(),
           .data = {},
           .prequential = {},
           .serving = {},
           .models = {},
           .events = {},
           .ledger = {},
           .pattern = ConceptPattern::stationary(problem.clients, std::max(1, problem.steps)),
           .parameters = {}},
      held_(static_cast<std::size_t>(problem.clients)),
      clip_(config.privacy.clip) {
  config.check();
}

void Coordinator::archive(Archive& a) {
  strategy_.archive(a);
  a& models_& log_.prequential& log_.serving& log_.models& log_.ledger& log_.optimizer_steps& log_
      .rejected& log_.epsilon& phase_& step_& round_& ended_& info_.step& info_.samples& info_
      .counts& samples_& scored_& held_& optimizers_& norms_& clip_& private_rounds_& stopped_training_;
}

RunLog Coordinator::take_log() {
  log_.events = strategy_.events();
  log_.parameters = models_.params;
  return log_;
}

bool Coordinator::present(ClientId client) const {
  return info_.samples[static_cast<std::size_t>(client)] > 0;
}

ClientTask Coordinator::task_of(Phase phase, ClientId client) const {
  ClientTask task;
  task.phase = phase;
  task.client = client;
  task.step = step_;
  task.round = round_;
  return task;
}

void Coordinator::download(ClientId client, SlotId slot, std::uint64_t& part) {
  auto& version = held_[static_cast<std::size_t>(client)][slot];
  const std::uint64_t now = models_.version[static_cast<std::size_t>(slot)];
  if (version == now) return;
  version = now;
  part += shape_.size() * sizeof(float);
  log_.ledger.models_down += shape_.size() * sizeof(float);
}

void Coordinator::apply_model_ops() {
  for (const ModelOp& op : strategy_.take_model_ops()) {
    if (op.kind == ModelOp::Kind::fresh) {
      const std::uint64_t stream = op.stream != 0 ? op.stream : mix64(static_cast<std::uint64_t>(op.slot));
      models_.set(op.slot) = fresh_params(shape_, config_.seed, stream);
    } else if (op.kind == ModelOp::Kind::copy) {
      const Params source = models_.params.at(static_cast<std::size_t>(op.sources.at(0)));
      models_.set(op.slot) = source;
    } else {
      std::vector<WeightedParams> terms;
      for (std::size_t i = 0; i < op.sources.size(); ++i) {
        if (op.weights[i] > 0)
          terms.push_back({&models_.params.at(static_cast<std::size_t>(op.sources[i])), op.weights[i]});
      }
      if (terms.empty()) continue;
      Params merged = weighted_mean(terms);
      models_.set(op.slot) = std::move(merged);
    }
    optimizers_.erase(op.slot);
  }
}

bool Coordinator::advance() {
  if (ended_) return false;
  switch (phase_) {
    case Phase::open:
      open();
      phase_ = Phase::evaluate;
      break;
    case Phase::evaluate:
      if (step_ > 0) evaluate();
      ended_ = step_ == problem_.steps;
      phase_ = Phase::score;
      break;
    case Phase::score:
      score();
      phase_ = Phase::cross_eval;
      break;
    case Phase::cross_eval:
      if (!strategy_.wishes().compare_first) compare_models();
      close_assignment();
      phase_ = Phase::train;
      round_ = 0;
      break;
    case Phase::train:
      if (!train_round()) break;
      if (++round_ < config_.rounds) break;
      round_ = 0;
      phase_ = Phase::trained_score;
      break;
    case Phase::trained_score:
      trained_scores();
      phase_ = Phase::open;
      ++step_;
      break;
  }
  return !ended_;
}

void Coordinator::open() {
  const bool counts = strategy_.wishes().counts;
  std::vector<ClientTask> tasks;
  for (ClientId c = 0; c < problem_.clients; ++c) {
    tasks.push_back(task_of(Phase::open, c));
    tasks.back().counts = counts;
  }
  info_ = {step_, std::vector<std::uint64_t>(static_cast<std::size_t>(problem_.clients), 0), {}};
  if (counts) info_.counts.resize(info_.samples.size());
  workforce_.perform(tasks, models_, false, [&](ClientResult& result) {
    const auto c = static_cast<std::size_t>(result.client);
    if (!result.absent) info_.samples[c] = result.samples;
    if (counts) {
      info_.counts[c] = result.counts;
      info_.counts[c].resize(static_cast<std::size_t>(problem_.classes), 0);
    }
  });
  samples_.push_back(info_.samples);
}

void Coordinator::evaluate() {
  const auto clients = static_cast<std::size_t>(problem_.clients);
  auto& scores = log_.prequential.emplace_back(clients);
  std::vector<ClientTask> tasks;
  for (ClientId c = 0; c < problem_.clients; ++c) {
    if (!present(c)) continue;
    const Serving serving = strategy_.serving(c);
    ClientTask task = task_of(Phase::evaluate, c);
    task.slots = serving.slots;
    task.vote = serving.weights;
    for (SlotId slot : serving.slots) {
      task.views.push_back(strategy_.view(slot));
      download(c, slot, log_.ledger.evaluate_down);
    }
    tasks.push_back(std::move(task));
  }
  workforce_.perform(tasks, models_, false, [&](ClientResult& result) {
    if (!result.absent && !result.scores.empty())
      scores[static_cast<std::size_t>(result.client)] = result.scores[0];
  });
}

ScoreTable Coordinator::ask_scores(Phase phase, const std::vector<SlotId>& slots) {
  const Wishes wishes = strategy_.wishes();
  ScoreTable table(static_cast<std::size_t>(problem_.clients), std::vector<ScoreStat>(slots.size()));
  if (slots.empty()) return table;
  ScoreTable previous = table;
  std::vector<std::vector<std::vector<std::uint64_t>>> confusion(table.size());
  std::vector<bool> detected(table.size(), false);
  std::vector<ClientTask> tasks;
  for (ClientId c = 0; c < problem_.clients; ++c) {
    if (!present(c)) continue;
    ClientTask task = task_of(phase, c);
    task.slots = slots;
    for (SlotId slot : slots) {
      task.views.push_back(strategy_.view(slot));
      download(c, slot, log_.ledger.score_down);
    }
    if (phase == Phase::score) {
      task.confusion = wishes.confusion;
      task.previous = wishes.previous && step_ > 0;
      task.detector = wishes.detector;
    }
    log_.ledger.stats_up += slots.size() * sizeof(ScoreStat);
    tasks.push_back(std::move(task));
  }
  workforce_.perform(tasks, models_, false, [&](ClientResult& result) {
    const auto c = static_cast<std::size_t>(result.client);
    if (result.absent || result.scores.size() != slots.size()) return;
    table[c] = result.scores;
    if (result.previous.size() == slots.size()) previous[c] = result.previous;
    confusion[c] = std::move(result.confusion);
    detected[c] = result.detected;
  });
  if (phase == Phase::score) {
    if (wishes.previous) strategy_.on_previous_scores(previous);
    if (wishes.confusion) strategy_.on_confusion(confusion);
    if (!wishes.detector.empty()) strategy_.on_detections(detected);
  }
  return table;
}

void Coordinator::score() {
  scored_ = strategy_.begin_step(info_);
  apply_model_ops();
  if (strategy_.wishes().compare_first) {
    compare_models();
    if (const auto left = strategy_.left_to_score(); !left.empty()) scored_ = left;
  }
  strategy_.on_scores(ask_scores(Phase::score, scored_));
  apply_model_ops();
}

// Model i on a sub-sample of the data of cluster j: at most cross_eval_batches mini-batches in total, split
// over the clients that hold data of j in proportion to what they hold.
void Coordinator::compare_models() {
  const auto slots = strategy_.cross_eval();
  if (slots.empty()) return;
  const std::size_t n = slots.size();
  const auto budget =
      static_cast<std::uint64_t>(config_.cross_eval_batches) * static_cast<std::uint64_t>(config_.batch);
  std::map<ClientId, ClientTask> asked;
  for (SlotId cluster : slots) {
    std::uint64_t held = 0;
    std::vector<std::pair<ClientId, Probe>> probes;
    for (ClientId c = 0; c < problem_.clients; ++c) {
      if (!present(c)) continue;
      for (int s : strategy_.cluster_steps(cluster, c)) {
        const std::uint64_t count = samples_[static_cast<std::size_t>(s)][static_cast<std::size_t>(c)];
        if (count > 0) probes.push_back({c, {cluster, s, count}});
        held += count;
      }
    }
    for (auto& [client, probe] : probes) {
      if (held > budget) probe.count = (probe.count * budget + held - 1) / held;
      auto [found, fresh] = asked.try_emplace(client, task_of(Phase::cross_eval, client));
      found->second.slots = slots;
      found->second.probes.push_back(probe);
    }
  }
  std::vector<ClientTask> tasks;
  for (auto& [client, task] : asked) {
    for (SlotId slot : slots) download(client, slot, log_.ledger.cross_down);
    log_.ledger.stats_up += task.probes.size() * n * sizeof(ScoreStat);
    tasks.push_back(task);
  }
  std::vector<std::vector<ScoreStat>> matrix(n, std::vector<ScoreStat>(n));
  std::size_t next = 0;
  workforce_.perform(tasks, models_, false, [&](ClientResult& result) {
    const ClientTask& task = tasks[next++];
    if (result.absent || result.scores.size() != task.probes.size() * n) return;
    for (std::size_t p = 0; p < task.probes.size(); ++p) {
      const auto j = static_cast<std::size_t>(std::find(slots.begin(), slots.end(), task.probes[p].cluster) -
                                              slots.begin());
      for (std::size_t i = 0; i < n; ++i) matrix[i][j] += result.scores[p * n + i];
    }
  });
  strategy_.on_cross_eval(matrix);
  apply_model_ops();
}

void Coordinator::close_assignment() {
  auto& serving = log_.serving.emplace_back();
  for (ClientId c = 0; c < problem_.clients; ++c) serving.push_back(strategy_.serving_slot(c));
  log_.models.push_back(static_cast<int>(std::set<SlotId>(serving.begin(), serving.end()).size()));
}

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
    if (config_.fraction < 1 && chance(config_.seed, kCohort, step_, round_, task.client) >= config_.fraction)
      continue;
    if (config_.faults.churn > 0 &&
        chance(config_.seed, kChurn, step_, round_, task.client) < config_.faults.churn)
      continue;
    for (TrainJob& job : task.trains) {
      if (may_stay && contributors[job.slot] == 1) {
        job.keep = round_ > 0;
        job.upload = round_ + 1 == config_.rounds;
      }
      if (!job.keep) download(task.client, job.slot, log_.ledger.train_down);
      if (job.upload) log_.ledger.models_up += config_.compression.bytes(shape_.size());
      log_.optimizer_steps += static_cast<std::uint64_t>(config_.local_steps);
    }
    cohort.push_back(std::move(task));
  }
  return cohort;
}

bool Coordinator::within_budget() {
  const PrivacyConfig& privacy = config_.privacy;
  if (privacy.noise <= 0) return true;
  const double epsilon =
      gaussian_privacy_loss(config_.fraction, privacy.noise, private_rounds_ + 1, privacy.delta).epsilon;
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
  const auto tasks = training_tasks();
  const Wishes wishes = strategy_.wishes();
  const bool all = config_.aggregator.needs_all() || wishes.updates;
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
    ++counters[0];
    if (config_.faults.stragglers > 0 &&
        chance(config_.seed, kStraggle, step_, round_, result.client) < config_.faults.stragglers)
      return;
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
      const double weight =
          privacy.noise > 0 ? 1.0 : strategy_.mean_weight(trained.slot, result.client, trained.samples);
      if (all) {
        updates[trained.slot].push_back({result.client, std::move(params), weight});
      } else {
        sums[trained.slot].add(static_cast<std::uint64_t>(result.client), params, weight);
      }
    }
  });
  if (!all) workforce_.combine(sums, counters);
  log_.rejected += counters[1];
  if (counters[0] < static_cast<std::uint64_t>(std::max(min_reports, 0)) && !tasks.empty()) return false;
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
  for (auto& [slot, mean] : means) {
    if (privacy.noise > 0) {
      const double reports = all ? static_cast<double>(updates[slot].size()) : sums[slot].weight();
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

void Coordinator::trained_scores() {
  if (!strategy_.wishes().trained_scores) return;
  strategy_.on_trained_scores(ask_scores(Phase::trained_score, strategy_.trained_score_slots()));
}

}  // namespace ballast::federate
