// How much room for prompt tokens a set of decoding requests leaves, and how to leave the most: batch time
// and speculation length for every latency tier (arXiv:2504.08784, "dynamic batch-size tuning" and
// "SLO-adaptive speculative decoding").
//
//   prefillTpt = (time2bs(T) - sum_l n_l sl_l min(1, T / (tau_l Acc(sl_l)))) / T      [prompt tokens per ms]
//   T = min_l tau_l Acc(sl_l)        Acc(sl) = (1 - alpha^sl) / (1 - alpha), tokens that a step of sl yields
//
// is maximised over sl_1..sl_L. A looser tier takes part in only every few batches: the min(1, ..) term.
//
// Cost: L * SLMAX evaluations of the performance model, not SLMAX^L: for a given T the smallest sl_l with
// tau_l Acc(sl_l) >= T is best for every tier, because sl / Acc(sl) never falls. `best_by_enumeration` is the
// slow twin.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "ballast/serve/perf_model.h"

namespace ballast::serve {

inline constexpr int kMaxTiers = 8;
inline constexpr int kMaxSpeculation = 10;

struct TierLoad {
  double tpot_ms = 0;
  int count = 0;  ///< requests that decode in this tier
};

struct SpecSettings {
  enum class Mode { off, fixed, uniform, adaptive };
  Mode mode = Mode::off;
  int fixed_length = 4;      ///< for Mode::fixed: tokens verified a step
  int max_length = 6;        ///< SLMAX
  double alpha = 0;          ///< planned acceptance probability of one drafted token
  double plan_factor = 0.7;  ///< planned alpha = this times a low quantile of the estimate

  bool on() const { return mode != Mode::off; }
  /// "off", "fixed:K", "uniform", "adaptive".
  static SpecSettings parse(const std::string& text);
  std::string to_text() const;
};

/// Expected tokens of a step that verifies `length` tokens (1: plain decoding).
double expected_tokens(int length, double alpha);

struct RateChoice {
  double tokens_per_ms = 0;  ///< negative: the decodes alone cannot keep their promises
  double batch_ms = 0;       ///< T
  int draft_steps = 0;
  std::array<int, kMaxTiers> lengths{};  ///< sl of every tier, in the order given
  bool feasible() const { return tokens_per_ms >= 0; }
};

class SpecSolver {
 public:
  SpecSolver(const PerfModel& perf, const SpecSettings& settings, double idle_ms)
      : perf_(&perf), settings_(settings), idle_ms_(idle_ms) {
    set_alpha(settings.alpha);
  }

  /// Ablation: the batch time never exceeds this one (the tightest tier ever configured). 0: dynamic.
  void fix_batch_ms(double ms) { fixed_ms_ = ms; }
  void set_alpha(double alpha);
  void set_idle_ms(double ms) { idle_ms_ = ms; }
  const SpecSettings& settings() const { return settings_; }

  /// The best rate beside these decoding requests, which read `context` KV tokens in all. At most kMaxTiers
  /// tiers.
  RateChoice best(std::span<const TierLoad> tiers, double context) const;
  /// The same by trying every vector of lengths: exponential, for tests.
  RateChoice best_by_enumeration(std::span<const TierLoad> tiers, double context) const;

 private:
  RateChoice at(std::span<const TierLoad> tiers, double context,
                const std::array<int, kMaxTiers>& lengths) const;
  RateChoice idle() const;
  const PerfModel* perf_;
  SpecSettings settings_;
  double idle_ms_, fixed_ms_ = 0;
  std::array<double, kMaxSpeculation + 1> accepted_{};  ///< Acc(sl)
};

}  // namespace ballast::serve
