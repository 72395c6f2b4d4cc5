#include "ballast/federate/client_runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/federate/detectors.h"

namespace ballast::federate {
namespace {

enum Purpose { kDraw = 1, kCrossEval = 2, kResample = 4, kRound = 5, kMask = 6, kLocalNoise = 7 };

}  // namespace

const char* to_string(Phase phase) {
  static constexpr const char* kNames[] = {"open",        "score",         "cross_eval",
                                           "train",       "trained_score", "evaluate",
                                           "secure_keys", "secure_share",  "secure_open"};
  return kNames[static_cast<std::size_t>(phase)];
}

std::uint64_t run_key(std::uint64_t seed, int purpose, int step, int round, int client, int slot) {
  std::uint64_t key = mix64(seed);
  for (int part : {purpose, step, round, client, slot}) key = mix64(key ^ static_cast<std::uint64_t>(part));
  return key;
}

void ClientRuntime::archive(Archive& a) {
  a& step_& round_& before_& after_& errors_;
}

const Samples& ClientRuntime::batch(int step) {
  const Samples* samples = store_->batch(step);
  if (samples == nullptr)
    throw InvalidInput(fmt::format("a task asks for step {}, of which there are no data", step));
  return *samples;
}

// KUE's view of a batch: features outside of a random subset are 0; for training, every sample comes
// Poisson(1) times.
Samples ClientRuntime::view_of(const Samples& samples, std::uint64_t view, int step, bool resample) const {
  const auto width = static_cast<std::size_t>(samples.features);
  Random random(view, kMask);
  std::vector<std::size_t> order(width);
  for (std::size_t f = 0; f < width; ++f) order[f] = f;
  random.shuffle(order);
  order.resize(1 + random.below(width));
  std::vector<float> mask(width, 0);
  for (std::size_t f : order) mask[f] = 1;
  Random poisson(view, run_key(config_.seed, kResample, step, 0, 0, 0));
  Samples seen;
  seen.features = samples.features;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    int times = 1;
    if (resample) {
      times = 0;
      for (double p = poisson.uniform(), q = std::exp(-1.0); p > q; p *= poisson.uniform()) ++times;
    }
    for (; times > 0; --times) {
      for (std::size_t f = 0; f < width; ++f) seen.x.push_back(samples.row(i)[f] * mask[f]);
      seen.y.push_back(samples.y[i]);
    }
  }
  return seen;
}

void ClientRuntime::begin_round(int step, int round) {
  if (step == step_ && round == round_) return;  // the same round again: `before_` still holds
  if (step != step_) {
    for (auto& [slot, state] : after_) {
      state.optimizer = {};
      state.kept.clear();
    }
  } else if (config_.reset_optimizer) {
    for (auto& [slot, state] : after_) state.optimizer = {};
  }
  before_ = after_;
  step_ = step;
  round_ = round;
}

void ClientRuntime::detect(const ClientTask& task, const Params& best, LocalTrainer& trainer,
                           ClientResult& result) {
  const Samples& samples = batch(task.step);
  const auto answers = trainer.predict(best, samples);
  auto& errors = errors_[task.step];
  errors.clear();
  for (std::size_t i = 0; i < samples.size(); ++i) errors.push_back(answers[i] == samples.y[i] ? 0 : 1);
  const auto detector = make_detector(task.detector);
  for (const auto& [step, past] : errors_) {
    if (step > task.step) break;
    for (std::uint8_t error : past) {
      detector->update(error);
      if (step == task.step) result.detected = result.detected || detector->drift();
    }
  }
}

void ClientRuntime::score(const ClientTask& task, const ModelSource& models, LocalTrainer& trainer,
                          ClientResult& result) {
  const Samples* samples = store_->batch(task.step);
  if (samples == nullptr || samples->size() == 0) {
    result.scores.assign(task.slots.size(), {});
    result.previous.assign(task.previous ? task.slots.size() : 0, {});
    if (task.confusion) result.confusion.assign(task.slots.size(), {});
    return;
  }
  const auto classes = static_cast<std::size_t>(shape_.classes);
  std::size_t best = 0;
  for (std::size_t k = 0; k < task.slots.size(); ++k) {
    const Params& params = models(task.slots[k]);
    const std::uint64_t view = task.views.empty() ? 0 : task.views[k];
    const Samples masked = view == 0 ? Samples{} : view_of(*samples, view, task.step, false);
    const Samples& seen = view == 0 ? *samples : masked;
    const Samples held = config_.holdout ? holdout_part(seen) : Samples{};
    result.scores.push_back(trainer.score(params, config_.holdout ? held : seen));
    if (result.scores[k].correct > result.scores[best].correct) best = k;
    if (task.previous) {
      const Samples* past = store_->batch(task.step - 1);
      result.previous.push_back(past == nullptr ? ScoreStat{} : trainer.score(params, *past));
    }
    if (task.confusion) {
      auto& matrix = result.confusion.emplace_back(classes * classes);
      const auto answers = trainer.predict(params, seen);
      for (std::size_t i = 0; i < answers.size(); ++i)
        ++matrix[static_cast<std::size_t>(seen.y[i]) * classes + static_cast<std::size_t>(answers[i])];
    }
  }
  if (!task.detector.empty() && !task.slots.empty()) detect(task, models(task.slots[best]), trainer, result);
}

Trained ClientRuntime::train(const ClientTask& task, const TrainJob& job, const ModelSource& models,
                             LocalTrainer& trainer) {
  std::vector<Samples> made;  // views and parts, which the draw table points to
  made.reserve(job.batches.size());
  DrawTable table;
  for (const TrainBatch& batch_of : job.batches) {
    const Samples* samples = &batch(batch_of.step);
    if (job.view != 0) samples = &made.emplace_back(view_of(*samples, job.view, batch_of.step, true));
    if (config_.holdout) samples = &made.emplace_back(training_part(*samples));
    table.add(*samples, batch_of.weight);
  }
  SlotState& state = after_[job.slot];
  const auto found = before_.find(job.slot);
  state = found == before_.end() ? SlotState{} : found->second;
  const Params& start = job.keep && !state.kept.empty() ? state.kept : models(job.slot);
  Params params = start;
  OptimizerConfig optimizer = config_.optimizer;
  if (job.learning_rate > 0) optimizer.learning_rate = job.learning_rate;
  const std::uint64_t key =
      run_key(config_.seed, kDraw, task.step, task.round, task.client, static_cast<int>(job.slot));
  Trained trained{.slot = job.slot, .samples = table.samples(), .payload = {}};
  if (table.empty()) return trained;
  if (job.early_stop) {
    // An epoch is a pass over the newest batch; the validation part is its last fifth.
    const Samples& newest = batch(task.step);
    const Samples held = holdout_part(newest);
    const int epoch_steps = std::max(1, static_cast<int>(newest.size()) / config_.batch);
    double loss = held.size() == 0 ? 0 : trainer.score(params, held).mean_loss();
    for (int done = 0, epoch = 0; done < config_.local_steps; ++epoch) {
      const int steps = std::min(epoch_steps, config_.local_steps - done);
      trainer.train(params, state.optimizer, optimizer, table, steps, config_.batch,
                    mix64(key + static_cast<std::uint64_t>(epoch)));
      done += steps;
      if (held.size() == 0) continue;
      const double now = trainer.score(params, held).mean_loss();
      if (loss - now < 0.004 / (epoch + 1)) break;
      loss = now;
    }
  } else {
    trainer.train(params, state.optimizer, optimizer, table, config_.local_steps, config_.batch, key);
  }
  if (config_.privacy.clip > 0) trained.clipped = clip_update(params, models(job.slot), config_.privacy.clip);
  if (config_.privacy.local_noise > 0) {
    const std::uint64_t secret = secret_ != 0 ? secret_ : config_.seed;
    add_noise(params, config_.privacy.local_noise * config_.privacy.clip,
              run_key(secret, kLocalNoise, task.step, task.round, task.client, static_cast<int>(job.slot)));
  }
  if (job.secure) {
    state.kept.clear();
    const auto secret = secure_.find(job.slot);
    if (secret == secure_.end()) return trained;  // started again in the middle: the keys are gone
    const double samples = config_.privacy.noise > 0 ? job.max_weight : static_cast<double>(trained.samples);
    trained.masked = secret->second.mask(quantise(params, samples, job.max_weight), job.sealed);
  } else if (job.upload) {
    trained.payload = config_.compression.encode(params, start, state.residual, mix64(key ^ kRound));
    state.kept.clear();
  } else {
    state.kept = std::move(params);
  }
  return trained;
}

void ClientRuntime::answer_secure(const ClientTask& task, ClientResult& result) {
  if (task.phase == Phase::secure_keys) secure_.clear();
  for (const SecureTask& asked : task.secure) {
    if (task.phase == Phase::secure_keys)
      secure_.try_emplace(asked.slot, task.client, asked.cohort, asked.threshold);
    const auto found = secure_.find(asked.slot);
    if (found == secure_.end()) continue;  // started again in the middle: the keys are gone
    SecureAnswer answer;
    answer.slot = asked.slot;
    if (task.phase == Phase::secure_keys) {
      answer.keys = found->second.advertise();
    } else if (task.phase == Phase::secure_share) {
      answer.sealed = found->second.share(asked.keys);
    } else {
      auto opened = found->second.unmask({asked.survived.begin(), asked.survived.end()},
                                         {asked.dropped.begin(), asked.dropped.end()});
      answer.seeds = std::move(opened.seeds);
      answer.mask_keys = std::move(opened.keys);
    }
    result.secure.push_back(std::move(answer));
  }
}

ClientResult ClientRuntime::perform(const ClientTask& task, const ModelSource& models,
                                    LocalTrainer& trainer) {
  ClientResult result;
  result.client = task.client;
  result.absent = false;
  if (task.phase == Phase::open) {
    const Samples* samples = store_->batch(task.step);
    result.samples = samples == nullptr ? 0 : samples->size();
    if (task.counts) {
      result.counts.assign(static_cast<std::size_t>(shape_.classes), 0);
      for (std::int32_t y : samples == nullptr ? std::vector<std::int32_t>{} : samples->y)
        ++result.counts[static_cast<std::size_t>(y)];
    }
  } else if (task.phase >= Phase::secure_keys) {
    answer_secure(task, result);
  } else if (task.phase == Phase::cross_eval) {
    for (const Probe& probe : task.probes) {
      const std::uint64_t key = run_key(config_.seed, kCrossEval, task.step, probe.step, task.client,
                                        static_cast<int>(probe.cluster));
      for (SlotId slot : task.slots)
        result.scores.push_back(trainer.score_drawn(models(slot), batch(probe.step), probe.count, key));
    }
  } else if (task.phase == Phase::train) {
    begin_round(task.step, task.round);
    for (const TrainJob& job : task.trains) result.trained.push_back(train(task, job, models, trainer));
  } else if (task.phase == Phase::evaluate && task.slots.size() > 1) {
    const Samples* samples = store_->batch(task.step);
    ScoreStat stat;
    if (samples != nullptr && samples->size() > 0) {
      const auto classes = static_cast<std::size_t>(shape_.classes);
      std::vector<double> votes(samples->size() * classes, 0);
      for (std::size_t k = 0; k < task.slots.size(); ++k) {
        const std::uint64_t view = task.views.empty() ? 0 : task.views[k];
        const auto answers = trainer.predict(
            models(task.slots[k]), view == 0 ? *samples : view_of(*samples, view, task.step, false));
        for (std::size_t i = 0; i < answers.size(); ++i)
          votes[i * classes + static_cast<std::size_t>(answers[i])] += task.vote[k];
      }
      stat.n = samples->size();
      for (std::size_t i = 0; i < samples->size(); ++i) {
        const auto* first = votes.data() + i * classes;
        const auto answer = std::max_element(first, first + classes) - first;
        stat.correct += answer == samples->y[i] ? 1 : 0;
      }
    }
    result.scores.push_back(stat);
  } else {
    ClientTask plain = task;
    plain.detector = task.phase == Phase::score ? task.detector : "";
    if (task.phase == Phase::evaluate && config_.holdout) {  // the test is on the whole batch
      const Samples* samples = store_->batch(task.step);
      result.scores.push_back(samples == nullptr ? ScoreStat{}
                                                 : trainer.score(models(task.slots.at(0)), *samples));
    } else {
      score(plain, models, trainer, result);
    }
  }
  return result;
}

}  // namespace ballast::federate
