#include "ballast/serve/plan_problem.h"

namespace ballast::serve::plan {

// The paper's jump form: a state ends at its last accepted item; the next accepted one may follow after any
// number of skipped candidates. The slow twin of the rolling form.
PlanResult jump(const PlanInput& input) {
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

}  // namespace ballast::serve::plan
