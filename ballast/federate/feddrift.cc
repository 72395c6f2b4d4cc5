#include "ballast/federate/feddrift.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/federate/detectors.h"

namespace ballast::federate {

DistanceMatrix model_distances(const std::vector<std::vector<double>>& scores, bool distance_b) {
  const std::size_t n = scores.size();
  DistanceMatrix distances(n, std::vector<double>(n, 0));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      if (i == j) continue;
      const double rise_i = distance_b ? scores[j][i] - scores[i][i] : scores[i][j] - scores[i][i];
      const double rise_j = distance_b ? scores[i][j] - scores[j][j] : scores[j][i] - scores[j][j];
      const double distance = std::max({rise_i, rise_j, 0.0});
      distances[i][j] = std::isnan(distance) || std::isnan(rise_i) || std::isnan(rise_j)
                            ? std::numeric_limits<double>::infinity()
                            : distance;
    }
  }
  return distances;
}

FedDrift::FedDrift(int clients, const FedDriftOptions& options, bool eager)
    : options_(options), eager_(eager), assignment_(clients), baseline_(static_cast<std::size_t>(clients)) {
  if (!(options_.delta >= 0))
    throw InvalidInput("delta", std::to_string(options_.delta), "a number of at least 0");
  if (options_.isolation_steps < 1)
    throw InvalidInput("isolation", std::to_string(options_.isolation_steps), "at least 1 step");
  if (options_.merge_delta < 0) options_.merge_delta = options_.delta;
  if (options_.max_models <= 0) options_.max_models = clients + 8;
  cli::require_one_of("init_new", options_.init_new, {"warm", "random", "reinit_seed"});
  cli::require_one_of("init", options_.init, {"one", "per_client"});
  cli::require_one_of("baseline", options_.baseline, {"pre", "reference", "now", "holdout"});
  auto detectors = detector_names();
  detectors.insert(detectors.end(), {"score_delta", "none"});
  cli::require_one_of("detector", options_.detector, detectors);
  const int first = options_.init == "per_client" && !eager_ ? clients : 1;
  options_.max_models = std::max(options_.max_models, first);
  next_slot_ = first;
  for (SlotId slot = 0; slot < first; ++slot) ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = slot});
}

void FedDrift::archive(Archive& a) {
  Strategy::archive(a);
  std::vector<std::uint8_t> detected(detected_.begin(), detected_.end());
  a& step_& assignment_& active_& marked_& baseline_& samples_& detected& orphans_& next_slot_& new_starts_;
  detected_.assign(detected.begin(), detected.end());
}

Wishes FedDrift::wishes() const {
  Wishes wishes;
  const bool stream = options_.detector != "score_delta" && options_.detector != "none";
  if (stream) wishes.detector = options_.detector;
  wishes.previous = options_.baseline == "now";
  wishes.compare_first = options_.merge_first;
  wishes.trained_scores = step_ == 0 && options_.baseline != "reference";
  return wishes;
}

void FedDrift::on_previous_scores(const ScoreTable& scores) {
  for (std::size_t c = 0; c < scores.size(); ++c) {
    std::optional<Baseline> best;
    for (const ScoreStat& stat : scores[c]) {
      if (stat.n > 0 && (!best || score_of(stat) < best->score))
        best = Baseline{score_of(stat), variance_of_mean(stat)};
    }
    if (best) baseline_[c] = best;
  }
}

bool FedDrift::drifted(ClientId client, const ScoreStat& best) const {
  if (options_.detector == "none") return false;
  if (options_.detector != "score_delta")
    return step_ > 0 && static_cast<std::size_t>(client) < detected_.size() &&
           detected_[static_cast<std::size_t>(client)];
  const auto& before = baseline_[static_cast<std::size_t>(client)];
  return before && score_of(best) > before->score + threshold(*before, best);
}

double FedDrift::score_of(const ScoreStat& stat) const {
  return options_.use_loss ? stat.mean_loss() : stat.error();
}

double FedDrift::variance_of_mean(const ScoreStat& stat) const {
  const auto n = static_cast<double>(stat.n);
  const double centre = score_of(stat);
  const double variance = options_.use_loss ? stat.loss_sq_sum / n - centre * centre : centre * (1 - centre);
  return std::max(variance, 0.0) / n;
}

double FedDrift::threshold(const Baseline& before, const ScoreStat& now) const {
  if (!options_.auto_delta) return options_.delta;
  return std::max(0.02, 3 * std::sqrt(variance_of_mean(now) + before.variance_of_mean));
}

std::vector<SlotId> FedDrift::begin_step(const StepInfo& info) {
  step_ = info.step;
  samples_.push_back(info.samples);
  if (step_ == 0) {
    const bool own = options_.init == "per_client" && !eager_;
    for (ClientId c = 0; c < assignment_.clients(); ++c) assignment_.assign(c, 0, own ? c : 0);
    return options_.baseline == "reference" ? std::vector<SlotId>{0} : std::vector<SlotId>{};
  }
  if (options_.keep_one) thin_isolated();
  for (auto it = marked_.begin(); it != marked_.end();) {
    if (it->second.second == step_) {
      events_.push_back({step_, "release", it->first, it->second.first});
      it = marked_.erase(it);
    } else {
      ++it;
    }
  }
  active_ = find_active();
  BALLAST_CHECK(!active_.empty());
  return active_;
}

std::vector<SlotId> FedDrift::find_active() const {
  std::vector<SlotId> active;
  for (SlotId slot = 0; slot < next_slot_; ++slot) {
    if (!held_in_isolation(slot) && assignment_.used_before(slot, step_)) active.push_back(slot);
  }
  return active;
}

void FedDrift::on_scores(const ScoreTable& scores) {
  if (step_ == 0) {  // `reference`: the first baseline is the score of the untrained model
    for (std::size_t c = 0; c < scores.size(); ++c) {
      if (!scores[c].empty() && scores[c][0].n > 0)
        baseline_[c] = Baseline{score_of(scores[c][0]), variance_of_mean(scores[c][0])};
    }
    return;
  }
  const std::vector<SlotId> scored = active_;  // allocate() may evict some of these on the way
  std::optional<SlotId> shared;                // Eager: the one new model of this step
  for (ClientId c = 0; c < assignment_.clients(); ++c) {
    if (const auto mark = marked_.find(c); mark != marked_.end()) {
      assignment_.assign(c, step_, mark->second.first);
      continue;
    }
    const auto& row = scores[static_cast<std::size_t>(c)];
    if (row[0].n == 0) {  // no data: keeps the model of its last step
      const SlotId last = assignment_.owner(c, step_ - 1);
      assignment_.assign(c, step_, last >= 0 ? last : active_[0]);
      continue;
    }
    std::size_t best = row.size();
    for (std::size_t k = 0; k < row.size(); ++k) {
      const bool there = std::find(active_.begin(), active_.end(), scored[k]) != active_.end();
      if (there && (best == row.size() || score_of(row[k]) < score_of(row[best]))) best = k;
    }
    BALLAST_CHECK(best < row.size());  // the best model of a client that drifted is never evicted
    auto& before = baseline_[static_cast<std::size_t>(c)];
    const double score = score_of(row[best]);
    const bool drifted_now = drifted(c, row[best]);
    before = Baseline{score, variance_of_mean(row[best])};
    if (!drifted_now) {
      settle_orphans(c, scored[best]);
      assignment_.assign(c, step_, scored[best]);
      continue;
    }
    events_.push_back({step_, "drift", c, scored[best]});
    if (eager_ && shared) {
      assignment_.assign(c, step_, *shared);
      continue;
    }
    const auto slot = open_slot(c, scored[best]);
    if (eager_) {
      shared = slot;
    } else if (slot) {
      marked_[c] = {*slot, step_ + options_.isolation_steps};
    }
  }
}

bool FedDrift::held_in_isolation(SlotId slot) const {
  return std::any_of(marked_.begin(), marked_.end(), [&](const auto& m) { return m.second.first == slot; });
}

// First a slot that was never used, else the least recently used one that is idle in this step.
std::optional<SlotId> FedDrift::allocate() {
  if (next_slot_ < options_.max_models) return next_slot_++;
  std::optional<SlotId> oldest;
  int oldest_use = step_;
  for (SlotId slot = 0; slot < next_slot_; ++slot) {
    const int use = assignment_.last_use(slot);
    if (!held_in_isolation(slot) && use < oldest_use) {
      oldest = slot;
      oldest_use = use;
    }
  }
  if (oldest && options_.random_eviction) {
    std::vector<SlotId> idle;
    for (SlotId slot = 0; slot < next_slot_; ++slot) {
      if (!held_in_isolation(slot) && assignment_.last_use(slot) < step_) idle.push_back(slot);
    }
    Random random(options_.seed, mix64(0xE71C + static_cast<std::uint64_t>(step_)));
    oldest = idle[random.below(idle.size())];
  }
  if (oldest) {
    events_.push_back({step_, "evict", -1, *oldest});
    assignment_.erase(*oldest);
    std::erase(active_, *oldest);
  }
  return oldest;
}

std::optional<SlotId> FedDrift::open_slot(ClientId client, SlotId best) {
  assignment_.assign(client, step_, best);  // in use now, so it is not the one that is evicted to make room
  const auto slot = allocate();
  if (!slot) {
    events_.push_back({step_, "pool_exhausted", client, best});
    return slot;
  }
  ModelOp op{.kind = ModelOp::Kind::fresh, .slot = *slot};
  if (eager_ || options_.init_new == "warm") {
    op.kind = ModelOp::Kind::copy;
    op.sources = {best};
  } else if (options_.init_new == "random") {
    op.stream = mix64(0xFE5 + static_cast<std::uint64_t>(++new_starts_));
  } else {
    op.stream = mix64(0);  // the start of slot 0
  }
  ops_.push_back(std::move(op));
  assignment_.assign(client, step_, *slot);
  return slot;
}

// FedDrift-C: of the isolated models one stays, drawn uniformly; the others lose slot and data.
void FedDrift::thin_isolated() {
  if (marked_.empty()) return;
  Random random(options_.seed, mix64(0xC0 + static_cast<std::uint64_t>(step_)));
  const auto kept =
      std::next(marked_.begin(), static_cast<std::ptrdiff_t>(random.below(marked_.size())))->first;
  for (auto it = marked_.begin(); it != marked_.end();) {
    if (it->first == kept) {
      ++it;
    } else {
      if (options_.keep_data) {
        auto& steps = orphans_[it->first];
        const auto own = assignment_.steps_of(it->first, it->second.first);
        steps.insert(steps.end(), own.begin(), own.end());
      }
      assignment_.erase(it->second.first);
      it = marked_.erase(it);
    }
  }
}

// FedDrift-C with keep_data: what was learned from in isolation goes to the model chosen at release.
void FedDrift::settle_orphans(ClientId client, SlotId chosen) {
  const auto found = orphans_.find(client);
  if (found == orphans_.end()) return;
  for (int step : found->second) assignment_.assign(client, step, chosen);
  orphans_.erase(found);
}

std::vector<SlotId> FedDrift::cross_eval() {
  return step_ == 0 || eager_ || active_.size() < 2 ? std::vector<SlotId>{} : active_;
}

void FedDrift::on_cross_eval(const std::vector<std::vector<ScoreStat>>& matrix) {
  std::vector<std::vector<double>> scores;
  for (const auto& row : matrix) {
    auto& means = scores.emplace_back();
    for (const auto& stat : row) means.push_back(stat.n == 0 ? std::nan("") : score_of(stat));
  }
  const auto clusters =
      agglomerate(model_distances(scores, options_.distance_b), options_.linkage, options_.merge_delta);
  for (const auto& group : clusters.groups) {
    if (group.size() < 2) continue;
    ModelOp op{.kind = ModelOp::Kind::average, .slot = active_[group[0]]};
    for (std::size_t member : group) {
      std::uint64_t samples = 0;
      for (ClientId c = 0; c < assignment_.clients(); ++c) {
        for (int step : assignment_.steps_of(c, active_[member])) {
          samples += options_.merge_batches
                         ? 1
                         : samples_[static_cast<std::size_t>(step)][static_cast<std::size_t>(c)];
        }
      }
      op.sources.push_back(active_[member]);
      op.weights.push_back(static_cast<double>(samples));
    }
    for (std::size_t k = 1; k < group.size(); ++k) {
      assignment_.relabel(active_[group[k]], op.slot);
      events_.push_back({step_, "merge", -1, active_[group[k]]});
    }
    ops_.push_back(std::move(op));
  }
  if (options_.merge_first) active_ = find_active();
}

std::vector<SlotId> FedDrift::training_slots() const {
  std::vector<SlotId> slots;
  for (SlotId slot = 0; slot < next_slot_; ++slot) {
    if (assignment_.used_at(slot, step_)) slots.push_back(slot);
  }
  return slots;
}

std::vector<TrainBatch> FedDrift::train_batches(SlotId slot, ClientId client) const {
  std::vector<TrainBatch> batches;
  for (int step : assignment_.steps_of(client, slot)) {
    if (options_.history == 0 || step > step_ - options_.history) batches.push_back({step, 1.0});
  }
  return batches;
}

std::vector<SlotId> FedDrift::trained_score_slots() const {
  return training_slots();
}

void FedDrift::on_trained_scores(const ScoreTable& scores) {
  const auto slots = training_slots();
  for (std::size_t c = 0; c < scores.size(); ++c) {
    const auto own =
        std::find(slots.begin(), slots.end(), assignment_.owner(static_cast<ClientId>(c), 0)) - slots.begin();
    const auto& stat =
        scores[c][static_cast<std::size_t>(own) < scores[c].size() ? static_cast<std::size_t>(own) : 0];
    if (stat.n > 0) baseline_[c] = Baseline{score_of(stat), variance_of_mean(stat)};
  }
}

}  // namespace ballast::federate
