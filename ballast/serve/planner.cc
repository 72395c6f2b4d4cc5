#include "ballast/serve/planner.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <numeric>

#include "ballast/base/errors.h"

namespace ballast::serve {

std::string to_string(Refusal refusal) {
  switch (refusal) {
    case Refusal::none:
      return "accepted";
    case Refusal::hopeless:
      return "hopeless: even an idle machine would miss its deadline";
    case Refusal::memory:
      return "memory: its KV blocks do not fit beside those reserved";
    case Refusal::decode_rate:
      return "decode rate: the tokens of its tier could not be paced with one more";
    case Refusal::prefill_budget:
      return "prefill budget: a deadline would be missed";
    case Refusal::crowded_out:
      return "crowded out: feasible alone, but others give more weight";
    case Refusal::overcommitted:
      return "overcommitted: requests admitted before cannot all be kept";
    case Refusal::not_considered:
      return "not considered: too many candidates or no time left for planning";
  }
  return "?";
}

namespace {

using Counts = std::array<int, kPlanTiers>;
constexpr double kSlack = 1e-7;  // of a budget, in tokens

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

bool dominates(const State& a, const State& b) {
  return a.blocks <= b.blocks && a.budget >= b.budget && a.weight >= b.weight;
}

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
    const auto half = static_cast<std::ptrdiff_t>(std::min(most / 2, states.size()));
    std::vector<State> kept;
    auto keep_by = [&](auto before) {
      std::stable_sort(states.begin(), states.end(), before);
      kept.insert(kept.end(), states.begin(), states.begin() + half);
    };
    for (const State& state : states) {
      if (state.accepted() == 0) kept.push_back(state);
    }
    keep_by([](const State& a, const State& b) {
      return a.weight != b.weight ? a.weight > b.weight : a.budget > b.budget;
    });
    keep_by([](const State& a, const State& b) { return a.budget > b.budget; });
    clear();
    for (const State& state : kept) relax(state);
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

void finish(const PlanInput& input, const std::vector<bool>& chosen, PlanResult& result) {
  const Problem problem(input);
  result.accepted = chosen;
  result.refusals.assign(input.items.size(), Refusal::none);
  result.weight = 0;
  for (std::size_t i = 0; i < input.items.size(); ++i) {
    const PlanItem& item = input.items[i];
    if (item.forced) {
      result.accepted[i] = true;
    } else if (chosen[i]) {
      result.weight += item.weight;
    } else if (problem.hopeless(item)) {
      result.refusals[i] = Refusal::hopeless;
    } else if (result.overcommitted) {
      result.refusals[i] = Refusal::overcommitted;
    } else {
      auto with = chosen;
      with[i] = true;
      const Verdict verdict = evaluate_plan(input, with);
      // A plan that was cut short may leave out what would fit.
      result.refusals[i] = verdict.feasible() ? Refusal::not_considered : verdict.why;
      if (!verdict.feasible()) {
        std::vector<bool> alone(input.items.size(), false);
        alone[i] = true;
        if (evaluate_plan(input, alone).feasible()) result.refusals[i] = Refusal::crowded_out;
      }
    }
  }
}

bool better(const State& a, const State& b) {
  return a.weight > b.weight || (a.weight == b.weight && a.budget > b.budget);
}

std::vector<bool> trace_back(const PlanInput& input, const std::vector<Decision>& arena, std::int32_t at) {
  std::vector<bool> chosen(input.items.size(), false);
  for (; at >= 0; at = arena[static_cast<std::size_t>(at)].parent)
    chosen[arena[static_cast<std::size_t>(at)].item] = true;
  return chosen;
}

bool may_accept(const Problem& problem, const PlanItem& item) {
  return !item.forced && !problem.hopeless(item);
}

// The rolling form: item by item, every state either skips or accepts it.
PlanResult plan_rolling(const PlanInput& input) {
  const auto start = std::chrono::steady_clock::now();
  const Problem problem(input);
  Layer layer(problem), next(problem);
  RateTable rates(problem, layer.cells()), rates_with(problem, layer.cells());
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

// The paper's jump form: a state ends at its last accepted item; the next accepted one may follow after any
// number of skipped candidates. The slow twin of the rolling form.
PlanResult plan_jump(const PlanInput& input) {
  const Problem problem(input);
  struct Stop {
    State state;
    std::size_t last;  // place of the last accepted or forced item; size(): none yet
    Counts forced;
    double forced_context;
  };
  const std::size_t none = problem.size();
  std::vector<Decision> arena;
  PlanResult result;
  std::vector<std::vector<Stop>> stops(none + 1);
  State first;
  first.blocks = input.blocks_taken;
  first.budget = -input.granularity;
  stops[none].push_back({first, none, {}, 0});
  State best;
  best.weight = -1;

  auto visit = [&](const Stop& stop) {
    ++result.states;
    const bool forced_only = stop.state.accepted() == 0;
    const double rate = problem.rate(stop.state.counts, stop.forced, stop.forced_context);
    if (rate < 0 && !forced_only) return;
    bool reaches_the_end = true;
    for (std::size_t place = stop.last == none ? 0 : stop.last + 1; place < problem.size(); ++place) {
      const PlanItem& item = problem.item(place);
      if (rate < 0 && input.now_ms < item.deadline_ms) result.overcommitted = true;
      if (!item.forced && !may_accept(problem, item)) continue;
      Stop to = stop;
      to.last = place;
      to.state.budget += rate * problem.span_between(stop.last, place) - item.work;
      const bool fits = to.state.budget >= -kSlack;
      if (item.forced) {
        if (fits || forced_only) {
          if (!fits) result.overcommitted = true;
          ++to.forced[static_cast<std::size_t>(item.tier)];
          to.forced_context += item.context;
          stops[place].push_back(to);
        }
        reaches_the_end = false;
        break;
      }
      to.state.blocks += item.blocks;
      ++to.state.counts[static_cast<std::size_t>(item.tier)];
      if (!fits || to.state.blocks > input.blocks_total) continue;
      if (problem.rate(to.state.counts, to.forced, to.forced_context) < 0) continue;
      to.state.weight += item.weight;
      to.state.parent = static_cast<std::int32_t>(arena.size());
      arena.push_back({stop.state.parent, static_cast<std::uint32_t>(problem.order()[place])});
      stops[place].push_back(to);
    }
    if (!reaches_the_end) return;
    State end = stop.state;
    if (none > 0) end.budget += rate * problem.span_between(stop.last, none - 1);
    if (better(end, best)) best = end;
  };
  auto prune = [](std::vector<Stop>& list) {
    std::vector<Stop> kept;
    for (const Stop& stop : list) {
      const bool worse = std::any_of(kept.begin(), kept.end(), [&](const Stop& other) {
        return other.state.counts == stop.state.counts && dominates(other.state, stop.state);
      });
      if (worse) continue;
      std::erase_if(kept, [&](const Stop& other) {
        return other.state.counts == stop.state.counts && dominates(stop.state, other.state);
      });
      kept.push_back(stop);
    }
    list = std::move(kept);
  };
  visit(stops[none].front());
  for (std::size_t place = 0; place < problem.size(); ++place) {
    prune(stops[place]);
    for (const Stop& stop : stops[place]) visit(stop);
  }
  std::vector<bool> chosen(input.items.size(), false);
  if (!result.overcommitted) chosen = trace_back(input, arena, best.parent);
  if (result.overcommitted) best.budget = evaluate_plan(input, chosen).budget;
  result.budget = best.budget;
  finish(input, chosen, result);
  return result;
}

// First come, first served within a tenant: candidates in the order of arrival, each tenant until its first
// refusal.
PlanResult plan_in_order(const PlanInput& input) {
  PlanResult result;
  std::vector<bool> chosen(input.items.size(), false);
  const Verdict forced = evaluate_plan(input, chosen);
  result.overcommitted = !forced.feasible();
  std::vector<std::size_t> order(input.items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return input.items[a].arrival_ms < input.items[b].arrival_ms;
  });
  std::map<std::string, bool> closed;
  for (const std::size_t i : order) {
    const PlanItem& item = input.items[i];
    if (item.forced || result.overcommitted || closed[item.tenant]) continue;
    chosen[i] = true;
    ++result.states;
    if (!evaluate_plan(input, chosen).feasible()) {
      chosen[i] = false;
      closed[item.tenant] = true;
    }
  }
  result.budget = evaluate_plan(input, chosen).budget;
  finish(input, chosen, result);
  return result;
}

}  // namespace

Verdict evaluate_plan(const PlanInput& input, const std::vector<bool>& accepted) {
  const Problem problem(input);
  Counts counts{}, forced{};
  double forced_context = 0;
  Verdict verdict;
  verdict.budget = -input.granularity;
  int blocks = input.blocks_taken;
  for (std::size_t place = 0; place < problem.size(); ++place) {
    const PlanItem& item = problem.item(place);
    const auto tier = static_cast<std::size_t>(item.tier);
    const bool taken = item.forced || accepted[problem.order()[place]];
    const double rate = problem.rate(counts, forced, forced_context);
    if (rate < 0 && problem.gap(place) >= 0 && input.now_ms < item.deadline_ms && verdict.feasible())
      verdict = {Refusal::decode_rate, verdict.budget, problem.order()[place]};
    verdict.budget += rate * problem.gap(place);
    if (!taken) continue;
    auto fail = [&](Refusal why) {
      if (verdict.feasible()) verdict = {why, verdict.budget, problem.order()[place]};
    };
    verdict.budget -= item.work;
    if (problem.hopeless(item)) fail(Refusal::hopeless);
    if (verdict.budget < -kSlack) fail(Refusal::prefill_budget);
    if (item.forced) {
      ++forced[tier];
      forced_context += item.context;
    } else {
      blocks += item.blocks;
      ++counts[tier];
      if (blocks > input.blocks_total) fail(Refusal::memory);
      if (problem.rate(counts, forced, forced_context) < 0) fail(Refusal::decode_rate);
    }
  }
  if (verdict.feasible() && (counts[0] + counts[1] + counts[2]) > 0 &&
      problem.rate(counts, forced, forced_context) < 0)
    verdict.why = Refusal::decode_rate;
  return verdict;
}

PlanResult make_plan(const PlanInput& input) {
  std::size_t candidates = 0;
  for (const PlanItem& item : input.items) candidates += item.forced ? 0 : 1;
  if (candidates > kMaxCandidates) {  // the earliest deadlines first; the rest stay pending
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < input.items.size(); ++i) {
      if (!input.items[i].forced) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return input.items[a].deadline_ms < input.items[b].deadline_ms;
    });
    std::vector<bool> left_out(input.items.size(), false);
    for (std::size_t i = kMaxCandidates; i < order.size(); ++i) left_out[order[i]] = true;
    PlanInput fewer = input;
    fewer.items.clear();
    std::vector<std::size_t> place;
    for (std::size_t i = 0; i < input.items.size(); ++i) {
      if (left_out[i]) continue;
      fewer.items.push_back(input.items[i]);
      place.push_back(i);
    }
    PlanResult part = make_plan(fewer), result = part;
    result.accepted.assign(input.items.size(), false);
    result.refusals.assign(input.items.size(), Refusal::not_considered);
    for (std::size_t i = 0; i < place.size(); ++i) {
      result.accepted[place[i]] = part.accepted[i];
      result.refusals[place[i]] = part.refusals[i];
    }
    return result;
  }
  if (input.objective == PlanObjective::fcfs) return plan_in_order(input);
  if (input.objective == PlanObjective::count) {
    PlanInput equal = input;
    for (PlanItem& item : equal.items) item.weight = 1;
    return input.form == PlanForm::jump ? plan_jump(equal) : plan_rolling(equal);
  }
  return input.form == PlanForm::jump ? plan_jump(input) : plan_rolling(input);
}

PlanResult plan_by_brute_force(const PlanInput& input) {
  std::vector<std::size_t> candidates;
  for (std::size_t i = 0; i < input.items.size(); ++i) {
    if (!input.items[i].forced) candidates.push_back(i);
  }
  if (candidates.size() > 20)
    throw InvalidInput("candidates for brute force", std::to_string(candidates.size()), "at most 20");
  const std::vector<bool> nobody(input.items.size(), false);
  const Verdict alone = evaluate_plan(input, nobody);
  PlanResult best;
  best.overcommitted = !alone.feasible();
  best.budget = alone.budget;
  std::vector<bool> best_choice = nobody;
  double best_weight = 0;
  for (std::uint32_t subset = 1; subset < (std::uint32_t{1} << candidates.size()) && !best.overcommitted;
       ++subset) {
    ++best.states;
    std::vector<bool> chosen = nobody;
    double weight = 0;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if ((subset >> i & 1) == 0) continue;
      chosen[candidates[i]] = true;
      weight += input.objective == PlanObjective::weighted ? input.items[candidates[i]].weight : 1;
    }
    const Verdict verdict = evaluate_plan(input, chosen);
    if (!verdict.feasible()) continue;
    if (weight > best_weight || (weight == best_weight && verdict.budget > best.budget)) {
      best_weight = weight;
      best.budget = verdict.budget;
      best_choice = chosen;
    }
  }
  finish(input, best_choice, best);
  best.weight = best_weight;
  return best;
}

Json to_json(const PlanInput& input, const PlanResult& result) {
  Json items = Json::array();
  for (std::size_t i = 0; i < input.items.size(); ++i) {
    const PlanItem& item = input.items[i];
    items.push_back({{"id", item.id},
                     {"due_in_ms", item.deadline_ms - input.now_ms},
                     {"work_tokens", item.work},
                     {"tpot_ms", input.decode_tiers[static_cast<std::size_t>(item.tier)].tpot_ms},
                     {"blocks", item.blocks},
                     {"forced", item.forced},
                     {"accepted", static_cast<bool>(result.accepted[i])},
                     {"reason", item.forced ? "admitted before" : to_string(result.refusals[i])}});
  }
  return {{"items", items},
          {"weight", result.weight},
          {"budget_tokens", result.budget},
          {"overcommitted", result.overcommitted},
          {"truncated", result.truncated},
          {"states", result.states}};
}

}  // namespace ballast::serve
