#include "ballast/serve/planner.h"

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::serve {
namespace {

// A random planning problem in which every constraint binds now and then.
struct Instance {
  PerfModel perf = PerfModel::load("a100-opt13b-tp1");
  std::unique_ptr<SpecSolver> solver;
  PlanInput input;

  Instance(Random& random, int candidates, int forced, bool same_context = false) {
    SpecSettings spec;
    if (random.below(3) == 0) {
      spec.mode = SpecSettings::Mode::adaptive;
      spec.alpha = random.uniform(0.1, 0.8);
      spec.max_length = 4;
      perf.draft_ms = 1.5;
    }
    solver = std::make_unique<SpecSolver>(perf, spec, 50);
    input.now_ms = 1000;
    input.solver = solver.get();
    const int tiers = 1 + static_cast<int>(random.below(kPlanTiers));
    for (int l = 0; l < tiers; ++l)
      input.decode_tiers.push_back(
          {40.0 + 30 * l + random.uniform(0, 10), static_cast<int>(random.below(60))});
    input.decode_context = random.uniform(0, 30000);
    input.blocks_taken = static_cast<int>(random.below(100));
    input.blocks_total = input.blocks_taken + static_cast<int>(random.below(200));
    input.granularity = random.below(2) == 0 ? 0 : random.uniform(0, 50);
    input.largest_contexts = random.below(2) == 0;
    for (int i = 0; i < candidates + forced; ++i) {
      PlanItem item;
      item.id = static_cast<std::uint64_t>(i);
      item.forced = i >= candidates;
      const int prompt = 20 + static_cast<int>(random.below(1500));
      item.work = prompt;
      item.idle_ms = perf.idle_prefill_ms(prompt);
      item.deadline_ms = input.now_ms + random.uniform(0.8, 5) * item.idle_ms + (item.forced ? 200 : 0);
      item.tier = static_cast<int>(random.below(static_cast<std::uint64_t>(tiers)));
      item.context = same_context ? 500 : prompt + random.uniform(0, 400);
      item.blocks = item.forced ? 0 : static_cast<int>(random.below(40));
      item.weight = static_cast<double>(1 + random.below(4));
      item.arrival_ms = random.uniform(0, 1000);
      input.items.push_back(item);
    }
  }
};

int accepted_candidates(const PlanInput& input, const PlanResult& result) {
  int count = 0;
  for (std::size_t i = 0; i < input.items.size(); ++i)
    count += !input.items[i].forced && result.accepted[i] ? 1 : 0;
  return count;
}

void expect_equal_to_brute_force(Instance& instance, std::uint64_t round) {
  for (const PlanObjective objective : {PlanObjective::count, PlanObjective::weighted}) {
    instance.input.objective = objective;
    const PlanResult brute = plan_by_brute_force(instance.input);
    for (const PlanForm form : {PlanForm::rolling, PlanForm::jump}) {
      instance.input.form = form;
      const PlanResult plan = make_plan(instance.input);
      ASSERT_EQ(plan.overcommitted, brute.overcommitted) << "instance " << round;
      ASSERT_DOUBLE_EQ(plan.weight, brute.weight)
          << "instance " << round << (form == PlanForm::jump ? " jump" : " rolling");
      if (!plan.overcommitted) {
        ASSERT_TRUE(evaluate_plan(instance.input, plan.accepted).feasible()) << "instance " << round;
        ASSERT_NEAR(plan.budget, brute.budget, 1e-6) << "instance " << round;
      }
    }
  }
}

// Oracles (a) and (b): both forms accept the same weight, with the same budget left, as all subsets tried one
// by one.
TEST(Planner, EqualsBruteForceAndBothFormsAgree) {
  std::printf("seed 31\n");
  Random random(31);
  for (std::uint64_t round = 0; round < 2500; ++round) {
    Instance instance(random, static_cast<int>(random.below(8)), static_cast<int>(random.below(3)));
    expect_equal_to_brute_force(instance, round);
    if (HasFatalFailure()) return;
  }
  for (std::uint64_t round = 0; round < 12; ++round) {
    Instance instance(random, 12, static_cast<int>(random.below(3)));
    expect_equal_to_brute_force(instance, round);
    if (HasFatalFailure()) return;
  }
}

// Oracle (c): a faster machine, more memory, looser promises and one more candidate never lower the accepted
// count.
TEST(Planner, BetterConditionsNeverAcceptFewer) {
  std::printf("seed 32\n");
  Random random(32);
  int changed = 0;
  for (int round = 0; round < 1500; ++round) {
    Instance instance(random, 3 + static_cast<int>(random.below(12)), 0, /*same_context=*/true);
    const int before = accepted_candidates(instance.input, make_plan(instance.input));
    {
      PlanInput more = instance.input;
      more.blocks_total += 50;
      ASSERT_GE(accepted_candidates(more, make_plan(more)), before) << "memory, instance " << round;
    }
    {
      PlanInput later = instance.input;
      for (PlanItem& item : later.items) item.deadline_ms += 300;
      const int now = accepted_candidates(later, make_plan(later));
      ASSERT_GE(now, before) << "deadlines, instance " << round;
      changed += now > before ? 1 : 0;
    }
    {
      PerfModel faster = instance.perf;
      for (Line& line : faster.lines) line.fixed_ms *= 0.8, line.ms_per_token *= 0.8;
      faster.kv_ms *= 0.8;
      SpecSolver solver(faster, instance.solver->settings(), 50);
      PlanInput quick = instance.input;
      quick.solver = &solver;
      ASSERT_GE(accepted_candidates(quick, make_plan(quick)), before) << "speed, instance " << round;
    }
    {
      PlanInput wider = instance.input;
      PlanItem extra = wider.items[random.below(wider.items.size())];
      extra.id = 1000;
      extra.deadline_ms += random.uniform(-100, 100);
      wider.items.push_back(extra);
      ASSERT_GE(accepted_candidates(wider, make_plan(wider)), before) << "candidates, instance " << round;
    }
  }
  EXPECT_GT(changed, 100) << "the instances were too easy to show anything";
}

TEST(Planner, TellsWhyARequestIsRefused) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  const SpecSolver solver(perf, {}, 50);
  PlanInput input;
  input.solver = &solver;
  input.decode_tiers = {{50, 0}};
  input.blocks_total = 100;
  auto item = [&](double deadline, double work, int blocks) {
    PlanItem i;
    i.id = input.items.size();
    i.deadline_ms = deadline;
    i.work = work;
    i.blocks = blocks;
    i.idle_ms = perf.idle_prefill_ms(static_cast<int>(work));
    i.context = work;
    return i;
  };
  // 6.26 tokens/ms on an idle machine: 1000 tokens take 160 ms at this pace, 120 ms in one batch.
  input.items = {item(400, 1000, 10), item(90, 1000, 10), item(500, 100, 101), item(410, 1620, 10)};
  const PlanResult plan = make_plan(input);
  EXPECT_EQ(plan.refusals[0], Refusal::none);
  EXPECT_EQ(plan.refusals[1], Refusal::hopeless);
  EXPECT_EQ(plan.refusals[2], Refusal::memory);
  EXPECT_EQ(plan.refusals[3],
            Refusal::crowded_out);  // 2620 tokens, but about 2565 until 410 ms; alone it would fit
  // More decodes of the tier than the machine can pace.
  input.decode_tiers = {{50, 400}};
  EXPECT_TRUE(make_plan(input).overcommitted || make_plan(input).weight == 0);
  input.decode_tiers = {{50, 0}};
  // Requests admitted before that cannot be kept: nobody new.
  PlanItem forced = item(50, 3000, 0);
  forced.forced = true;
  input.items.push_back(forced);
  const PlanResult over = make_plan(input);
  EXPECT_TRUE(over.overcommitted);
  EXPECT_EQ(over.weight, 0);
  EXPECT_TRUE(over.accepted.back());
}

TEST(Planner, FirstComeFirstServedIsFeasibleAndNeverBetter) {
  std::printf("seed 33\n");
  Random random(33);
  int worse = 0;
  for (int round = 0; round < 300; ++round) {
    Instance instance(random, 8, 1);
    const PlanResult best = make_plan(instance.input);
    instance.input.objective = PlanObjective::fcfs;
    const PlanResult order = make_plan(instance.input);
    if (best.overcommitted) continue;
    EXPECT_TRUE(evaluate_plan(instance.input, order.accepted).feasible());
    const int in_order = accepted_candidates(instance.input, order),
              at_best = accepted_candidates(instance.input, best);
    EXPECT_LE(in_order, at_best);
    worse += in_order < at_best ? 1 : 0;
  }
  EXPECT_GT(worse, 20);
}

TEST(Planner, ManyCandidatesAreCutToTheEarliest) {
  std::printf("seed 34\n");
  Random random(34);
  Instance instance(random, 90, 2);
  const PlanResult plan = make_plan(instance.input);
  int left_out = 0;
  for (const Refusal refusal : plan.refusals) left_out += refusal == Refusal::not_considered ? 1 : 0;
  EXPECT_GE(left_out, 90 - static_cast<int>(kMaxCandidates));
  EXPECT_THROW(plan_by_brute_force(instance.input), InvalidInput);
  const Json json = to_json(instance.input, plan);
  EXPECT_EQ(json.at("items").size(), 92u);
}

// With few states kept the plan stays feasible, and is seldom worse.
TEST(Planner, ABoundOnItsStatesKeepsItFeasible) {
  std::printf("seed 36\n");
  Random random(36);
  int best = 0, narrow = 0;
  for (int round = 0; round < 150; ++round) {
    Instance instance(random, 20, 2);
    best += accepted_candidates(instance.input, make_plan(instance.input));
    instance.input.most_states = 16;
    const PlanResult plan = make_plan(instance.input);
    if (!plan.overcommitted) {
      EXPECT_TRUE(evaluate_plan(instance.input, plan.accepted).feasible());
    }
    narrow += accepted_candidates(instance.input, plan);
  }
  EXPECT_LE(narrow, best);
  EXPECT_GT(narrow, 0.9 * best);
}

TEST(SpecSolver, EqualsTryingEveryVectorOfLengths) {
  std::printf("seed 35\n");
  Random random(35);
  int speculated = 0;
  for (int round = 0; round < 2000; ++round) {
    PerfModel perf = PerfModel::load(random.below(2) == 0 ? "a100-opt13b-tp1" : "a100-llama2-7b");
    perf.draft_ms = random.uniform(0, 3);
    SpecSettings settings;
    settings.mode = SpecSettings::Mode::adaptive;
    settings.max_length = 1 + static_cast<int>(random.below(6));
    settings.alpha = random.uniform(0, 0.9);
    const SpecSolver solver(perf, settings, 50);
    std::vector<TierLoad> tiers;
    for (std::uint64_t l = 1 + random.below(3); l > 0; --l)
      tiers.push_back({random.uniform(25, 120), static_cast<int>(random.below(50))});
    const double context = random.uniform(0, 40000);
    const RateChoice fast = solver.best(tiers, context), slow = solver.best_by_enumeration(tiers, context);
    ASSERT_NEAR(fast.tokens_per_ms, slow.tokens_per_ms, 1e-9 * std::max(1.0, std::abs(slow.tokens_per_ms)))
        << round;
    speculated += slow.draft_steps > 0 ? 1 : 0;
  }
  EXPECT_GT(speculated, 200);
}

// By hand: 12 decodes at 50 ms beside 30 at 100 ms, no context. T = 50: 313 tokens, of which 12 + 30 * 50/100
// = 27 are decodes: 286 / 50 = 5.72 prompt tokens per ms. Only the loose tier: T = 100, (803 - 30) / 100
// = 7.73.
TEST(SpecSolver, WorkedExample) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  const SpecSolver solver(perf, {}, 50);
  const std::vector<TierLoad> both{{50, 12}, {100, 30}}, loose{{50, 0}, {100, 30}}, none;
  EXPECT_DOUBLE_EQ(solver.best(both, 0).tokens_per_ms, 5.72);
  EXPECT_DOUBLE_EQ(solver.best(loose, 0).tokens_per_ms, 7.73);
  EXPECT_DOUBLE_EQ(solver.best(none, 0).tokens_per_ms, 6.26);
  EXPECT_DOUBLE_EQ(expected_tokens(3, 0.5), 1.75);
  EXPECT_THROW(SpecSettings::parse("fixed:99"), InvalidInput);
  EXPECT_THROW(SpecSettings::parse("adaptiv"), InvalidInput);
}

}  // namespace
}  // namespace ballast::serve
