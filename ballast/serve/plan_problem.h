// What all forms of the plan share: the problem in the order of its deadlines, and the states that the
// dynamic programs walk through. For the planner's own files only.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/serve/planner.h"

namespace ballast::serve::plan {

using Counts = std::array<int, kPlanTiers>;
inline constexpr double kSlack = 1e-7;  // of a budget, in tokens

// What all forms of the program share: the order of the items, and the rate beside given decodes.
class Problem {
 public:
  explicit Problem(const PlanInput& input) : input_(input), order_(input.items.size()) {
    BALLAST_CHECK(input.solver != nullptr && input.decode_tiers.size() <= kPlanTiers);
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
      return input.items[a].deadline_ms < input.items[b].deadline_ms;
    });
    for (int tier = 0; tier < kPlanTiers; ++tier) {
      std::vector<double> contexts;
      for (const PlanItem& item : input.items) {
        if (!item.forced && item.tier == tier && !hopeless(item)) contexts.push_back(item.context);
      }
      std::sort(contexts.rbegin(), contexts.rend());
      const double mean = contexts.empty() ? 0
                                           : std::accumulate(contexts.begin(), contexts.end(), 0.0) /
                                                 static_cast<double>(contexts.size());
      auto& sums = context_[static_cast<std::size_t>(tier)];
      sums.assign(1, 0);
      for (const double context : contexts)
        sums.push_back(sums.back() + (input.largest_contexts ? context : mean));
    }
  }

  bool hopeless(const PlanItem& item) const {
    return !item.forced && item.deadline_ms - input_.now_ms < item.idle_ms;
  }
  const std::vector<std::size_t>& order() const { return order_; }
  const PlanItem& item(std::size_t place) const { return input_.items[order_[place]]; }
  std::size_t size() const { return order_.size(); }

  /// ms between the deadline of the item at `place` and the one before (or now).
  double gap(std::size_t place) const {
    return std::max(0.0, time(place) - (place == 0 ? input_.now_ms : time(place - 1)));
  }
  /// ms between two items' deadlines (`from` = size(): now).
  double span_between(std::size_t from, std::size_t to) const {
    return std::max(0.0, time(to) - (from == size() ? input_.now_ms : time(from)));
  }

  /// Prompt tokens per ms beside the admitted decodes, `accepted` candidates and the forced items before
  /// `place`.
  double rate(const Counts& accepted, const Counts& forced, double forced_context) const {
    std::array<TierLoad, kPlanTiers> tiers{};
    double context = input_.decode_context + forced_context;
    for (std::size_t l = 0; l < input_.decode_tiers.size(); ++l) {
      tiers[l] = input_.decode_tiers[l];
      tiers[l].count += accepted[l] + forced[l];
      context += context_[l][static_cast<std::size_t>(accepted[l])];
    }
    return input_.solver->best(std::span(tiers.data(), input_.decode_tiers.size()), context).tokens_per_ms;
  }

  int candidates(int tier) const {
    return static_cast<int>(context_[static_cast<std::size_t>(tier)].size()) - 1;
  }
  double context_of(int tier, int count) const {
    return context_[static_cast<std::size_t>(tier)][static_cast<std::size_t>(count)];
  }

 private:
  double time(std::size_t place) const { return std::max(item(place).deadline_ms, input_.now_ms); }
  const PlanInput& input_;
  std::vector<std::size_t> order_;
  std::array<std::vector<double>, kPlanTiers>
      context_;  // [tier][n]: KV tokens that n accepted candidates read
};

// One way to have decided on the items so far.
struct State {
  Counts counts{};
  int blocks = 0;
  double budget = 0;
  double weight = 0;
  std::int32_t parent = -1;  // in the arena of all decisions
  int accepted() const { return counts[0] + counts[1] + counts[2]; }
};

struct Decision {
  std::int32_t parent;
  std::uint32_t item;
};

inline bool dominates(const State& a, const State& b) {
  return a.blocks <= b.blocks && a.budget >= b.budget && a.weight >= b.weight;
}

inline bool better(const State& a, const State& b) {
  return a.weight > b.weight || (a.weight == b.weight && a.budget > b.budget);
}

inline std::vector<bool> trace_back(const PlanInput& input, const std::vector<Decision>& arena,
                                    std::int32_t at) {
  std::vector<bool> chosen(input.items.size(), false);
  for (; at >= 0; at = arena[static_cast<std::size_t>(at)].parent)
    chosen[arena[static_cast<std::size_t>(at)].item] = true;
  return chosen;
}

inline bool may_accept(const Problem& problem, const PlanItem& item) {
  return !item.forced && !problem.hopeless(item);
}

/// Fills in who is accepted and why each of the others is not.
void finish(const PlanInput& input, const std::vector<bool>& chosen, PlanResult& result);
PlanResult rolling(const PlanInput& input);
/// The slow twin: the paper's jump form.
PlanResult jump(const PlanInput& input);

}  // namespace ballast::serve::plan
