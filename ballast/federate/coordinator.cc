#include "ballast/federate/coordinator.h"

#include <algorithm>
#include <set>

#include "ballast/base/errors.h"

namespace ballast::federate {

Params& ModelStore::set(SlotId slot) {
  const auto index = static_cast<std::size_t>(slot);
  if (index >= params.size()) {
    params.resize(index + 1);
    version.resize(index + 1, 0);
  }
  version[index] = next++;
  return params[index];
}

void ModelStore::copy(SlotId from, SlotId to) {
  const Params source = params.at(static_cast<std::size_t>(from));
  const std::uint64_t content = version.at(static_cast<std::size_t>(from));
  set(to) = source;
  version[static_cast<std::size_t>(to)] = content;
}

Coordinator::Coordinator(Strategy& strategy, const RunConfig& config, const Problem& problem,
                         Workforce& workforce)
    : strategy_(strategy),
      config_(config),
      problem_(problem),
      workforce_(workforce),
      shape_(config.shape(problem.features, problem.classes)),
      log_{.strategy = strategy.name(),
           .data = {},
           .prequential = {},
           .serving = {},
           .models = {},
           .events = {},
           .ledger = {},
           .traffic = {},
           .pattern = ConceptPattern::stationary(problem.clients, std::max(1, problem.steps)),
           .parameters = {}},
      held_(static_cast<std::size_t>(problem.clients)),
      clip_(config.privacy.clip) {
  config.check();
}

void Coordinator::archive(Archive& a) {
  strategy_.archive(a);
  a& models_& log_.prequential& log_.serving& log_.models& log_.ledger& log_.optimizer_steps& log_
      .rejected& log_.given_up& log_.epsilon& phase_& step_& round_& ended_& info_.step& info_.samples& info_
      .counts& samples_& scored_& held_& optimizers_& norms_& clip_& private_rounds_& stopped_training_&
          attempt_& log_.traffic;
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

void Coordinator::count(ClientId client, std::uint64_t Ledger::*part, std::uint64_t bytes) {
  log_.ledger.*part += bytes;
  auto& step = log_.traffic[static_cast<std::size_t>(step_)];
  step[static_cast<std::size_t>(client)].*part += bytes;
}

void Coordinator::download(ClientId client, SlotId slot, std::uint64_t Ledger::*part) {
  const std::uint64_t now = models_.version[static_cast<std::size_t>(slot)];
  if (!held_[static_cast<std::size_t>(client)].emplace(now, true).second) return;
  const std::uint64_t bytes = shape_.size() * sizeof(float);
  count(client, part, bytes);
  count(client, &Ledger::models_down, bytes);
}

void Coordinator::apply_model_ops() {
  for (const ModelOp& op : strategy_.take_model_ops()) {
    if (op.kind == ModelOp::Kind::fresh) {
      const std::uint64_t stream = op.stream != 0 ? op.stream : mix64(static_cast<std::uint64_t>(op.slot));
      models_.set(op.slot) = fresh_params(shape_, config_.seed, stream);
    } else if (op.kind == ModelOp::Kind::copy) {
      models_.copy(op.sources.at(0), op.slot);
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
      if (!train_round()) {
        ++attempt_;
        break;
      }
      attempt_ = 0;
      if (++round_ < config_.rounds) break;
      round_ = 0;
      phase_ = Phase::trained_score;
      break;
    case Phase::trained_score:
      trained_scores();
      phase_ = Phase::open;
      ++step_;
      break;
    default:  // the exchanges of secure aggregation happen inside a round
      BALLAST_CHECK(false);
  }
  return !ended_;
}

void Coordinator::open() {
  const std::set<std::uint64_t> alive(models_.version.begin(), models_.version.end());
  for (auto& held : held_)
    std::erase_if(held, [&](const auto& entry) { return alive.count(entry.first) == 0; });
  log_.traffic.resize(static_cast<std::size_t>(step_) + 1,
                      std::vector<Ledger>(static_cast<std::size_t>(problem_.clients)));
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
      download(c, slot, &Ledger::evaluate_down);
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
      download(c, slot, &Ledger::score_down);
    }
    if (phase == Phase::score) {
      task.confusion = wishes.confusion;
      task.previous = wishes.previous && step_ > 0;
      task.detector = wishes.detector;
    }
    count(c, &Ledger::stats_up, slots.size() * sizeof(ScoreStat));
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
    for (SlotId slot : slots) download(client, slot, &Ledger::cross_down);
    count(client, &Ledger::stats_up, task.probes.size() * n * sizeof(ScoreStat));
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

void Coordinator::trained_scores() {
  if (!strategy_.wishes().trained_scores) return;
  strategy_.on_trained_scores(ask_scores(Phase::trained_score, strategy_.trained_score_slots()));
}

}  // namespace ballast::federate
