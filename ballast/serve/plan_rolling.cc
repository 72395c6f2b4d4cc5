#include <chrono>
#include <utility>

#include "ballast/serve/plan_problem.h"

namespace ballast::serve::plan {
namespace {

// The states after some items, by their counts; of each count only those that no other dominates.
class Layer {
 public:
  static constexpr std::size_t kMostEntries = 64;

  explicit Layer(const Problem& problem) {
    std::size_t cells = 1;
    for (int l = 0; l < kPlanTiers; ++l) {
      stride_[static_cast<std::size_t>(l)] = cells;
      cells *= static_cast<std::size_t>(problem.candidates(l) + 1);
    }
    heads_.assign(cells, -1);
  }

  std::size_t cell(const Counts& counts) const {
    std::size_t index = 0;
    for (std::size_t l = 0; l < kPlanTiers; ++l) index += stride_[l] * static_cast<std::size_t>(counts[l]);
    return index;
  }
  std::size_t cells() const { return heads_.size(); }

  void relax(const State& state) {
    const std::size_t at = cell(state.counts);
    std::size_t entries = 0;
    for (std::int32_t* link = &heads_[at]; *link >= 0;) {
      Entry& entry = entries_[static_cast<std::size_t>(*link)];
      if (dominates(entry.state, state)) return;
      if (dominates(state, entry.state)) {
        entry.alive = false;
        *link = entry.next;
      } else {
        ++entries;
        link = &entry.next;
      }
    }
    if (entries >= kMostEntries) return;
    entries_.push_back({state, heads_[at], true});
    heads_[at] = static_cast<std::int32_t>(entries_.size() - 1);
  }

  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (const Entry& entry : entries_) {
      if (entry.alive) visit(entry.state);
    }
  }
  std::size_t alive() const {
    return static_cast<std::size_t>(
        std::count_if(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.alive; }));
  }
  /// Keeps the `most` best states, half of them by weight and half by budget, and the one without candidates.
  void narrow(std::size_t most) {
    std::vector<State> states;
    for_each([&](const State& state) { states.push_back(state); });
    std::vector<std::uint32_t> order(states.size()), kept;
    std::iota(order.begin(), order.end(), 0u);
    // Selecting is enough; the place breaks ties, so that the choice is always the same.
    auto keep_by = [&](auto key) {
      const auto half = static_cast<std::ptrdiff_t>(std::min(most / 2, states.size()));
      std::nth_element(order.begin(), order.begin() + half, order.end(),
                       [&](std::uint32_t a, std::uint32_t b) {
                         const auto left = key(states[a]), right = key(states[b]);
                         return left != right ? left > right : a < b;
                       });
      kept.insert(kept.end(), order.begin(), order.begin() + half);
    };
    keep_by([](const State& state) { return std::pair(state.weight, state.budget); });
    keep_by([](const State& state) { return std::pair(state.budget, 0.0); });
    for (std::uint32_t i = 0; i < states.size(); ++i) {
      if (states[i].accepted() == 0) kept.push_back(i);
    }
    std::sort(kept.begin(), kept.end());
    kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
    clear();
    for (const std::uint32_t i : kept) relax(states[i]);
  }
  void clear() {
    for (const Entry& entry : entries_) heads_[cell(entry.state.counts)] = -1;
    entries_.clear();
  }

 private:
  struct Entry {
    State state;
    std::int32_t next;
    bool alive;
  };
  std::array<std::size_t, kPlanTiers> stride_{};
  std::vector<std::int32_t> heads_;
  std::vector<Entry> entries_;
};

// Rates by accepted counts, valid until the forced items before the place change.
class RateTable {
 public:
  explicit RateTable(const Problem& problem, std::size_t cells)
      : problem_(problem), rates_(cells), epoch_(cells, 0) {}
  void forget() { ++now_; }
  double at(std::size_t cell, const Counts& counts, const Counts& forced, double forced_context) {
    if (epoch_[cell] != now_) {
      rates_[cell] = problem_.rate(counts, forced, forced_context);
      epoch_[cell] = now_;
    }
    return rates_[cell];
  }

 private:
  const Problem& problem_;
  std::vector<double> rates_;
  std::vector<std::uint32_t> epoch_;
  std::uint32_t now_ = 1;
};

}  // namespace

// The rolling form: item by item, every state either skips or accepts it.
PlanResult rolling(const PlanInput& input) {
  const auto start = std::chrono::steady_clock::now();
  const Problem problem(input);
  Layer layer(problem), next(problem);
  RateTable rates(problem, layer.cells());
  std::vector<Decision> arena;
  PlanResult result;
  Counts forced{};
  double forced_context = 0;
  bool gave_up = false;
  State first;
  first.blocks = input.blocks_taken;
  first.budget = -input.granularity;
  layer.relax(first);

  for (std::size_t place = 0; place < problem.size(); ++place) {
    const PlanItem& item = problem.item(place);
    const auto tier = static_cast<std::size_t>(item.tier);
    const double gap = problem.gap(place);
    if (input.give_up_after_ms > 0 && !gave_up && place % 4 == 3) {
      const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
      gave_up = spent.count() > input.give_up_after_ms;
    }
    const bool candidate = may_accept(problem, item) && !gave_up;
    next.clear();
    layer.for_each([&](const State& state) {
      ++result.states;
      const bool forced_only = state.accepted() == 0;
      const double rate = rates.at(layer.cell(state.counts), state.counts, forced, forced_context);
      if (rate < 0 && !forced_only) return;
      if (rate < 0 && input.now_ms < item.deadline_ms) result.overcommitted = true;
      State skipped = state;
      skipped.budget += rate * gap;
      if (item.forced) {
        skipped.budget -= item.work;
        if (skipped.budget < -kSlack) {
          if (!forced_only) return;
          result.overcommitted = true;
        }
        next.relax(skipped);
        return;
      }
      next.relax(skipped);
      State accepted = skipped;
      accepted.budget -= item.work;
      accepted.blocks += item.blocks;
      if (!candidate || accepted.budget < -kSlack || accepted.blocks > input.blocks_total) return;
      ++accepted.counts[tier];
      if (rates.at(layer.cell(accepted.counts), accepted.counts, forced, forced_context) < 0) return;
      accepted.weight += item.weight;
      accepted.parent = static_cast<std::int32_t>(arena.size());
      arena.push_back({state.parent, static_cast<std::uint32_t>(problem.order()[place])});
      next.relax(accepted);
    });
    if (item.forced) {
      ++forced[tier];
      forced_context += item.context;
      rates.forget();
    }
    std::swap(layer, next);
    if (input.most_states > 0 && layer.alive() > input.most_states) {
      layer.narrow(input.most_states);
      result.truncated = true;
    }
  }
  State best;
  best.weight = -1;
  layer.for_each([&](const State& state) {
    if (state.accepted() > 0 && rates.at(layer.cell(state.counts), state.counts, forced, forced_context) < 0)
      return;
    if (result.overcommitted && state.accepted() > 0) return;
    if (better(state, best)) best = state;
  });
  result.budget = best.budget;
  result.truncated = result.truncated || gave_up;
  finish(input, trace_back(input, arena, best.parent), result);
  return result;
}

}  // namespace ballast::serve::plan
