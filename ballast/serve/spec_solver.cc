#include "ballast/serve/spec_solver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::serve {

SpecSettings SpecSettings::parse(const std::string& text) {
  SpecSettings settings;
  if (text == "off") return settings;
  if (text == "uniform" || text == "adaptive") {
    settings.mode = text == "uniform" ? Mode::uniform : Mode::adaptive;
    return settings;
  }
  if (text.starts_with("fixed:") && text.size() <= 8) {
    const int length = std::atoi(text.c_str() + 6);
    if (length >= 1 && length <= kMaxSpeculation) {
      settings.mode = Mode::fixed;
      settings.fixed_length = length;
      return settings;
    }
  }
  throw InvalidInput("--speculation", text,
                     fmt::format("off, fixed:1 to fixed:{}, uniform, adaptive", kMaxSpeculation));
}

std::string SpecSettings::to_text() const {
  switch (mode) {
    case Mode::off:
      return "off";
    case Mode::fixed:
      return fmt::format("fixed:{}", fixed_length);
    case Mode::uniform:
      return "uniform";
    case Mode::adaptive:
      return "adaptive";
  }
  return "?";
}

double expected_tokens(int length, double alpha) {
  double sum = 0, power = 1;
  for (int i = 0; i < length; ++i, power *= alpha) sum += power;
  return sum;
}

void SpecSolver::set_alpha(double alpha) {
  settings_.alpha = alpha;
  for (int length = 0; length <= kMaxSpeculation; ++length)
    accepted_[static_cast<std::size_t>(length)] = expected_tokens(length, alpha);
}

RateChoice SpecSolver::idle() const {
  RateChoice choice;
  choice.batch_ms = idle_ms_;
  choice.tokens_per_ms = perf_->tokens_within(idle_ms_) / idle_ms_;
  choice.lengths.fill(1);
  return choice;
}

RateChoice SpecSolver::at(std::span<const TierLoad> tiers, double context,
                          const std::array<int, kMaxTiers>& lengths) const {
  RateChoice choice;
  choice.lengths = lengths;
  double batch = 1e300;
  for (std::size_t l = 0; l < tiers.size(); ++l) {
    if (tiers[l].count == 0) continue;
    batch = std::min(batch, tiers[l].tpot_ms * accepted_[static_cast<std::size_t>(lengths[l])]);
    choice.draft_steps = std::max(choice.draft_steps, lengths[l] - 1);
  }
  if (fixed_ms_ > 0) batch = std::min(batch, fixed_ms_);
  double need = 0;
  for (std::size_t l = 0; l < tiers.size(); ++l) {
    const double period = tiers[l].tpot_ms * accepted_[static_cast<std::size_t>(lengths[l])];
    need += tiers[l].count * lengths[l] * std::min(1.0, batch / period);
  }
  choice.batch_ms = batch;
  choice.tokens_per_ms = (perf_->tokens_within(batch, context, choice.draft_steps) - need) / batch;
  return choice;
}

RateChoice SpecSolver::best(std::span<const TierLoad> tiers, double context) const {
  BALLAST_CHECK(tiers.size() <= kMaxTiers);
  bool any = false;
  for (const TierLoad& tier : tiers) any = any || tier.count > 0;
  if (!any) return idle();

  std::array<int, kMaxTiers> lengths;
  lengths.fill(1);
  if (settings_.mode == SpecSettings::Mode::off) return at(tiers, context, lengths);
  if (settings_.mode == SpecSettings::Mode::fixed) {
    lengths.fill(settings_.fixed_length);
    return at(tiers, context, lengths);
  }
  RateChoice best;
  best.tokens_per_ms = -1e300;
  auto consider = [&] {
    const RateChoice choice = at(tiers, context, lengths);
    if (choice.tokens_per_ms > best.tokens_per_ms) best = choice;
  };
  if (settings_.mode == SpecSettings::Mode::uniform) {
    for (int length = 1; length <= settings_.max_length; ++length) {
      lengths.fill(length);
      consider();
    }
    return best;
  }
  for (const TierLoad& pace : tiers) {  // the tier whose period is the batch time
    if (pace.count == 0) continue;
    for (int length = 1; length <= settings_.max_length; ++length) {
      const double batch = pace.tpot_ms * accepted_[static_cast<std::size_t>(length)];
      bool possible = true;
      for (std::size_t l = 0; l < tiers.size() && possible; ++l) {
        lengths[l] = 1;
        if (tiers[l].count == 0) continue;
        while (tiers[l].tpot_ms * accepted_[static_cast<std::size_t>(lengths[l])] < batch * (1 - 1e-12) &&
               possible) {
          if (lengths[l] == settings_.max_length)
            possible = false;
          else
            ++lengths[l];
        }
      }
      if (possible) consider();
    }
  }
  return best;
}

RateChoice SpecSolver::best_by_enumeration(std::span<const TierLoad> tiers, double context) const {
  bool any = false;
  for (const TierLoad& tier : tiers) any = any || tier.count > 0;
  if (!any) return idle();
  std::array<int, kMaxTiers> lengths;
  lengths.fill(1);
  RateChoice best;
  best.tokens_per_ms = -1e300;
  const int most = settings_.mode == SpecSettings::Mode::off ? 1 : settings_.max_length;
  for (;;) {
    const RateChoice choice = at(tiers, context, lengths);
    if (choice.tokens_per_ms > best.tokens_per_ms) best = choice;
    std::size_t l = 0;
    while (l < tiers.size() && (tiers[l].count == 0 || lengths[l] == most)) lengths[l++] = 1;
    if (l == tiers.size()) return best;
    ++lengths[l];
  }
}

}  // namespace ballast::serve
