#include "ballast/codesign/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <numbers>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/progress.h"
#include "ballast/base/random.h"
#include "ballast/codesign/distil.h"

namespace ballast::codesign {
namespace {

// Every block that may attend does, and as much as it can.
Genotype all_attention(const Space& space) {
  Genotype g = largest(space, Blocks::conv_only);
  for (std::size_t s = 0; s < g.stages.size(); ++s) {
    const auto& choices = space.stages[s].attention;
    if (choices.options() == 0) continue;
    for (std::size_t b = 1; b < g.stages[s].blocks.size(); ++b) {
      g.stages[s].blocks[b] = {.attention = true,
                               .head_dim = choices.head_dims.front(),
                               .v_expansion = choices.v_expansions.back(),
                               .mlp_ratio = choices.mlp_ratios.back()};
    }
  }
  return g;
}

double cosine(const at::Tensor& a, const at::Tensor& b) {
  const double norms = a.norm().item<double>() * b.norm().item<double>();
  return norms > 0 ? (a * b).sum().item<double>() / norms : 0;
}

}  // namespace

Distil distil_from_string(const std::string& word) {
  cli::require_one_of("--distil", word, {"none", "kl", "alpha"});
  return word == "none" ? Distil::none : word == "kl" ? Distil::kl : Distil::alpha;
}

Conflict conflict_from_string(const std::string& word) {
  cli::require_one_of("--conflict", word, {"none", "project", "gradnorm", "separate-momentum"});
  return word == "none"       ? Conflict::none
         : word == "project"  ? Conflict::project
         : word == "gradnorm" ? Conflict::gradnorm
                              : Conflict::separate_momentum;
}

Trainer::Trainer(Supernet& net, const ImageData& data, const TrainOptions& options)
    : net_(net), data_(data), options_(options) {
  const Space& space = net.space();
  if (data.train.pixels.size(1) != space.channels || data.classes != space.classes)
    throw InvalidInput(fmt::format("{} has {} channels and {} classes; the space has {} and {}", data.name,
                                   data.train.pixels.size(1), data.classes, space.channels, space.classes));
  momentum_.resize(options.conflict == Conflict::separate_momentum ? 2 : 1);
  for (const auto& [name, value] : net.parameters()) {
    attention_part_[name] =
        name.find(".att.") != std::string::npos || name.find(".mlp.") != std::string::npos;
    stage_of_[name] = -1;
    for (std::size_t s = 0; s < space.stages.size(); ++s) {
      if (name.starts_with(space.stages[s].name + ".")) stage_of_[name] = static_cast<int>(s);
    }
  }
  if (options.phases == 2 && !options.conv_only && !options.attention_first) {
    // Attention blocks begin as the identity, so that the second phase starts from the first one's function.
    torch::NoGradGuard no_grad;
    for (auto& [name, value] : net.parameters()) {
      if (attention_part_[name] && name.ends_with(".scale")) value.zero_();
    }
  }
  keep_good_state();
}

double Trainer::progress() const {
  const double by_steps = static_cast<double>(step_) / static_cast<double>(options_.steps);
  return options_.minutes > 0 ? elapsed_s_ / (60 * options_.minutes) : by_steps;
}

bool Trainer::in_second_phase() const {
  return options_.phases == 1 || progress() >= options_.phase_a_share;
}

std::vector<Trainer::Drawn> Trainer::draw() const {
  const Space& space = net_.space();
  const auto conv = [&](const Genotype& g) { return Drawn{plan_network(space, g), g.hybrid()}; };
  std::vector<Drawn> drawn;
  bool hybrids = !options_.conv_only;
  double share = 1;  // of random nets that may be hybrid
  if (options_.phases == 2 && !options_.conv_only && !options_.attention_first) {
    hybrids = in_second_phase();
    const double into = (progress() - options_.phase_a_share) / (1 - options_.phase_a_share);
    share = options_.ramp > 0 ? std::clamp(into / options_.ramp, 0.0, 1.0) : 1;
  }
  const bool attend_only = options_.attention_first && options_.phases == 2 && !in_second_phase();
  drawn.push_back(conv(attend_only || hybrids ? all_attention(space) : largest(space, Blocks::conv_only)));
  drawn.push_back(conv(smallest(space, Blocks::conv_only)));
  for (int i = 0; i < options_.random_nets; ++i) {
    // Keyed by step and place: the same networks however the run was cut.
    Random random(options_.seed,
                  mix64(static_cast<std::uint64_t>(step_) * 64 + static_cast<std::uint64_t>(i)));
    const bool hybrid = hybrids && random.uniform() < share;
    Genotype g = sample(space, random, hybrid ? Blocks::hybrid : Blocks::conv_only);
    if (attend_only) {
      const Genotype full = all_attention(space);
      for (std::size_t s = 0; s < g.stages.size(); ++s) {
        for (std::size_t b = 1; b < g.stages[s].blocks.size(); ++b) {
          if (space.stages[s].attention.options() > 0) g.stages[s].blocks[b] = full.stages[s].blocks[b];
        }
      }
    }
    drawn.push_back(conv(g));
  }
  return drawn;
}

std::map<std::string, at::Tensor> Trainer::gradients(const Drawn& drawn, const Batch& batch,
                                                     const at::Tensor* teacher, at::Tensor* logits,
                                                     double* loss) {
  for (auto& [name, value] : net_.parameters()) value.mutable_grad() = at::Tensor();
  const at::Tensor out = net_.forward(drawn.plan, batch.images, Mode::train, nullptr);
  const at::Tensor value = teacher == nullptr || options_.distil == Distil::none
                               ? label_loss(out, batch.labels)
                           : options_.distil == Distil::kl ? kl_loss(out, *teacher)
                                                           : adaptive_alpha_loss(out, *teacher);
  value.backward();
  if (logits != nullptr) *logits = out.detach();
  if (loss != nullptr) *loss = value.item<double>();
  std::map<std::string, at::Tensor> found;
  for (auto& [name, parameter] : net_.parameters()) {
    if (parameter.grad().defined()) found[name] = parameter.grad();
  }
  return found;
}

bool Trainer::step() {
  if (progress() >= 1 || (options_.minutes <= 0 && step_ >= options_.steps)) return false;
  const auto start = std::chrono::steady_clock::now();
  const bool two_phases = options_.phases == 2 && !options_.conv_only && !options_.attention_first;
  if (two_phases && in_second_phase() && !phase_a_net_ && !phase_a_done_) phase_a_net_ = net_.clone();
  const Batch batch = training_batch(data_.train, options_.seed, step_, options_.batch, options_.augment);
  const auto drawn = draw();

  // The largest network learns from labels, the others from it; early in phase B also from the one of phase
  // A.
  at::Tensor teacher;
  double loss = 0;
  auto total = gradients(drawn[0], batch, nullptr, &teacher, &loss);
  const auto first = total;
  if (phase_a_net_) {
    const double into = (progress() - options_.phase_a_share) / (1 - options_.phase_a_share);
    const double weight = options_.ramp > 0 ? std::clamp(1 - into / options_.ramp, 0.0, 1.0) : 0;
    if (weight > 0) {
      torch::NoGradGuard no_grad;
      const Plan plan = plan_network(net_.space(), largest(net_.space(), Blocks::conv_only));
      const at::Tensor old = at::softmax(phase_a_net_->forward(plan, batch.images, Mode::train, nullptr), 1);
      teacher = (at::softmax(teacher, 1) * (1 - weight) + old * weight).clamp_min(1e-8).log();
    } else {
      phase_a_net_.reset();
      phase_a_done_ = true;
    }
  }
  std::vector<std::map<std::string, at::Tensor>> sums(momentum_.size());
  const auto set_of = [&](const Drawn& d) { return momentum_.size() == 2 && d.hybrid ? 1u : 0u; };
  sums[set_of(drawn[0])] = std::move(total);
  for (std::size_t i = 1; i < drawn.size(); ++i) {
    auto gradient = gradients(drawn[i], batch, &teacher, nullptr, nullptr);
    torch::NoGradGuard no_grad;
    for (auto& [name, g] : gradient) {
      const auto against = first.find(name);
      if (against != first.end() && options_.conflict == Conflict::project) {
        const at::Tensor dot = (g * against->second).sum();
        if (dot.item<double>() < 0)
          g = g - against->second * (dot / against->second.pow(2).sum().clamp_min(1e-20));
      } else if (against != first.end() && options_.conflict == Conflict::gradnorm) {
        g = g * (against->second.norm() / g.norm().clamp_min(1e-12));
      }
      auto& sum = sums[set_of(drawn[i])];
      const auto at = sum.find(name);
      if (at == sum.end())
        sum[name] = g;
      else
        at->second = at->second + g;
    }
  }
  if (!std::isfinite(loss)) {
    restore_good_state();
    return true;
  }
  const double p = progress();
  const double warm = options_.warmup > 0 ? std::min(1.0, (p + 1e-3) / options_.warmup) : 1;
  const double lr = lr_scale_ * options_.lr * warm * 0.5 * (1 + std::cos(std::numbers::pi * p));
  for (std::size_t set = 0; set < sums.size(); ++set) apply(sums[set], lr, static_cast<int>(set));
  ++step_;
  elapsed_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (step_ % options_.log_every == 0 || step_ == 1) {
    log_.push_back(
        {.step = step_, .phase = in_second_phase() ? 2 : 1, .loss = loss, .lr = lr, .cosine_by_stage = {}});
    if (!options_.conv_only && in_second_phase()) probe(batch);
    keep_good_state();
  }
  return true;
}

void Trainer::apply(const std::map<std::string, at::Tensor>& gradient, double lr, int set) {
  torch::NoGradGuard no_grad;
  double square = 0;
  for (const auto& [name, g] : gradient) square += g.pow(2).sum().item<double>();
  const double scale = square > 0 ? std::min(1.0, options_.clip / std::sqrt(square)) : 1;
  if (!std::isfinite(square)) return;
  const bool slow_shared = options_.phases == 2 && !options_.conv_only && in_second_phase();
  auto& velocity = momentum_[static_cast<std::size_t>(set)];
  for (const auto& [name, g] : gradient) {
    at::Tensor& value = net_.parameters().at(name);
    at::Tensor change = g * scale;
    // No decay on biases, norms and scales.
    if (value.dim() >= 2) change = change + value.detach() * options_.weight_decay;
    at::Tensor& v = velocity[name];
    v = v.defined() ? v * options_.momentum + change : change.clone();
    const double rate = slow_shared && !attention_part_.at(name) ? lr * options_.shared_lr : lr;
    value.detach().add_(change + v * options_.momentum, -rate);  // Nesterov
  }
}

void Trainer::probe(const Batch& batch) {
  const Space& space = net_.space();
  Random random(options_.seed, mix64(0x70726f6265u + static_cast<std::uint64_t>(step_)));
  const Genotype conv = sample(space, random, Blocks::conv_only);
  Genotype hybrid = sample(space, random, Blocks::hybrid);
  for (int tries = 0; tries < 50 && !hybrid.hybrid(); ++tries) hybrid = sample(space, random, Blocks::hybrid);
  const auto a = gradients({plan_network(space, conv), false}, batch, nullptr, nullptr, nullptr);
  const auto b = gradients({plan_network(space, hybrid), true}, batch, nullptr, nullptr, nullptr);
  TrainLog& log = log_.back();
  log.cosine_by_stage.assign(space.stages.size(), 0);
  std::vector<int> tensors(space.stages.size(), 0);
  int negative = 0, all = 0;
  for (const auto& [name, g] : a) {
    const auto other = b.find(name);
    if (other == b.end() || g.numel() < 8) continue;
    const double c = cosine(g, other->second);
    ++all;
    negative += c < 0 ? 1 : 0;
    if (const int stage = stage_of_.at(name); stage >= 0) {
      log.cosine_by_stage[static_cast<std::size_t>(stage)] += c;
      ++tensors[static_cast<std::size_t>(stage)];
    }
  }
  for (std::size_t s = 0; s < tensors.size(); ++s) log.cosine_by_stage[s] /= std::max(1, tensors[s]);
  log.negative_share = all > 0 ? static_cast<double>(negative) / all : 0;
}

double Trainer::negative_share() const {
  double sum = 0;
  int count = 0;
  for (const auto& line : log_) {
    if (line.cosine_by_stage.empty()) continue;
    sum += line.negative_share;
    ++count;
  }
  return count > 0 ? sum / count : 0;
}

void Trainer::keep_good_state() {
  good_ = net_.clone();
  good_step_ = step_;
}

void Trainer::restore_good_state() {
  if (++restarts_ > 3)
    throw Unavailable(fmt::format(
        "training: the loss is no number at step {}, after three restarts at half the rate", step_));
  net_.assign(*good_);
  for (auto& set : momentum_) set.clear();
  step_ = good_step_;
  lr_scale_ *= 0.5;
}

void Trainer::run(const std::string& save_to) {
  Progress bar("training", options_.minutes > 0 ? 1000 : static_cast<std::uint64_t>(options_.steps));
  while (step()) {
    bar.set(options_.minutes > 0 ? static_cast<std::uint64_t>(1000 * progress())
                                 : static_cast<std::uint64_t>(step_));
    if (!log_.empty()) bar.note(fmt::format("loss {:.3f}", log_.back().loss));
    if (cli::interrupted()) {
      if (!save_to.empty()) save(save_to);
      throw Interrupted();
    }
  }
  if (!save_to.empty()) save(save_to);
}

}  // namespace ballast::codesign
