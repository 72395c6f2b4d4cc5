#include "ballast/serve/planner.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "ballast/serve/plan_problem.h"

namespace ballast::serve {

using plan::Counts;
using plan::finish;
using plan::kSlack;
using plan::Problem;

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

void plan::finish(const PlanInput& input, const std::vector<bool>& chosen, PlanResult& result) {
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

namespace {

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
    return input.form == PlanForm::jump ? plan::jump(equal) : plan::rolling(equal);
  }
  return input.form == PlanForm::jump ? plan::jump(input) : plan::rolling(input);
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
