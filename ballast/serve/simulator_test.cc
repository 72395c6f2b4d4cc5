#include "ballast/serve/simulator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/serve/simulation_test.h"
#include "ballast/serve/workload.h"

namespace ballast::serve {
namespace {

// Oracle (e): every request ends in exactly one final state and gives exactly its tokens; the ledger is empty
// at the end (checked inside); computed tokens are the prompts (again after each preemption), the outputs and
// rejected drafts.
TEST(Simulator, ConservesRequestsAndTokensUnderEveryPolicy) {
  std::printf("seed 41\n");
  PerfModel perf = PerfModel::load("a100-opt13b-tp1");
  perf.kv_tokens = 16000;  // small enough that everybody has to preempt or refuse
  for (const std::string& scenario : scenario_names()) {
    const auto requests = make_requests(scenario, poisson_arrivals(3, 60, 41), SloTable::paper(), 41);
    for (std::string policy : policy_names()) {
      for (const int replicas : {1, 3}) {
        if (replicas == 1 && make_policy(policy, {})->division().any()) continue;  // it divides a fleet
        if (policy != "slos" && replicas == 1) policy += "+spec:3";
        PolicySettings settings;
        if (replicas == 1) settings.speculation = SpecSettings::parse("adaptive");
        SimulationSettings simulation;
        simulation.replicas = replicas;
        simulation.record_tokens = true;
        const RunResult result = run(requests, perf, policy, settings, simulation);
        std::int64_t rejected = 0, computed = 0;
        for (const ReplicaCounters& counters : result.replicas) {
          rejected += counters.drafted - counters.accepted_drafts;
          computed += counters.tokens;
        }
        std::int64_t least = 0;
        for (const Live& live : result.requests) {
          ASSERT_NE(live.outcome, Outcome::open) << policy << " " << scenario;
          if (live.outcome == Outcome::declined) {
            const bool too_large = live.request->total_tokens() > perf.kv_tokens - 16;
            EXPECT_TRUE(too_large || policy.starts_with("scorpio")) << policy << ": " << live.reason;
            continue;
          }
          ASSERT_EQ(live.outcome, Outcome::finished);
          ASSERT_EQ(live.token_times.size(), live.request->rounds.size());
          for (std::size_t r = 0; r < live.token_times.size(); ++r) {
            ASSERT_EQ(static_cast<int>(live.token_times[r].size()), live.request->rounds[r].output_tokens());
            ASSERT_TRUE(std::is_sorted(live.token_times[r].begin(), live.token_times[r].end()));
          }
          least += live.request->total_tokens() - 1;  // the very last token is never fed back
        }
        EXPECT_GE(computed, least + rejected) << policy << " " << scenario;
        std::int64_t preemptions = 0;
        for (const ReplicaCounters& counters : result.replicas) preemptions += counters.preemptions;
        if (preemptions == 0 && scenario != "toolcall") {
          EXPECT_EQ(computed, least + rejected) << policy << " " << scenario;
        }
      }
    }
  }
}

// Oracle (i), first part: alone, every policy takes exactly the time that the model says.
TEST(Simulator, OneRequestTakesTheTimeOfTheFormula) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  const auto request = plain_request(0, 5, 200, 3);
  BatchLoad prompt, second, third;
  prompt.add_chunk(200, 0);
  second.add_decode(1, 200);
  third.add_decode(1, 201);
  const double first = 5 + perf.step_ms(prompt);
  for (const std::string policy : {"slos", "vllm", "sarathi:512", "edf", "slots:4", "vllm-v1"}) {
    SimulationSettings simulation;
    simulation.record_tokens = true;
    const RunResult result = run({request}, perf, policy, {}, simulation);
    const auto& times = result.requests[0].token_times[0];
    ASSERT_EQ(times.size(), 3u);
    EXPECT_DOUBLE_EQ(times[0], first) << policy;
    EXPECT_NEAR(times[1], first + perf.step_ms(second), 1e-9) << policy;
    EXPECT_NEAR(times[2], first + perf.step_ms(second) + perf.step_ms(third), 1e-9) << policy;
  }
}

// Oracle (i), second part: one slot, output 1, Poisson arrivals, fixed prompt: the M/D/1 queue. Mean wait is
// rho / (2 (1 - rho)) service times (Pollaczek-Khinchine).
TEST(Simulator, SingleSlotFcfsIsAnMD1Queue) {
  std::printf("seed 43\n");
  PerfModel perf = PerfModel::load("a100-opt13b-tp1");
  const double service = perf.idle_prefill_ms(500);
  for (const double rho : {0.5, 0.8}) {
    const auto arrivals = poisson_arrivals(rho / service * 1000, 200000, 43);
    std::vector<Request> requests;
    for (std::size_t i = 0; i < arrivals.size(); ++i)
      requests.push_back(plain_request(i, arrivals[i].ms, 500, 1));
    const RunResult result = run(requests, perf, "slots:1");
    double wait = 0;
    for (const Live& live : result.requests) wait += live.finish - live.first_arrival - service;
    wait /= static_cast<double>(requests.size()) * service;
    EXPECT_NEAR(wait / (rho / (2 * (1 - rho))), 1, rho > 0.7 ? 0.04 : 0.02) << "rho " << rho;
  }
}

// Oracle (d): with the executor's own model, exact lengths and no speculation, the guarantee settings keep
// every promise that was made.
TEST(Simulator, GuaranteeKeepsEveryPromise) {
  std::printf("seeds 51, 52\n");
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  PolicySettings settings;
  settings.guarantee = true;
  for (const auto& [scenario, rate] :
       {std::pair{"chatbot", 2.0}, {"coder", 8.0}, {"mixed", 1.5}, {"summarizer", 1.0}}) {
    for (const std::uint64_t seed : {51u, 52u}) {
      const auto requests =
          make_requests(scenario, poisson_arrivals(rate, 1000, seed), SloTable::paper(), seed);
      const RunResult result = run(requests, perf, "slos", settings);
      int late_tokens = 0, late_firsts = 0, admitted = 0;
      for (const Live& live : result.requests) {
        if (live.ever_best_effort || live.admission != Admission::admitted) continue;
        ++admitted;
        late_tokens += live.late_tokens;
        late_firsts += live.late_firsts;
      }
      EXPECT_GT(admitted, 300) << scenario;
      EXPECT_EQ(late_tokens, 0) << scenario << " seed " << seed << ", " << admitted << " admitted";
      EXPECT_EQ(late_firsts, 0) << scenario << " seed " << seed << ", " << admitted << " admitted";
    }
  }
}

TEST(Simulator, SameSeedSameBits) {
  const auto perf = PerfModel::load("a100-llama2-7b");
  const auto requests = make_requests("mixed", poisson_arrivals(4, 300, 3), SloTable::paper(), 3);
  SimulationSettings simulation;
  simulation.replicas = 2;
  simulation.noise = 0.1;
  PolicySettings settings;
  settings.speculation = SpecSettings::parse("adaptive");
  const RunResult a = run(requests, perf, "slos", settings, simulation),
                  b = run(requests, perf, "slos", settings, simulation);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(a.requests[i].finish, b.requests[i].finish);
    EXPECT_EQ(a.requests[i].met_token, b.requests[i].met_token);
  }
  EXPECT_EQ(a.steps(), b.steps());
  auto backwards = requests;
  std::swap(backwards.front(), backwards.back());
  EXPECT_THROW(run(backwards, perf, "slos"), InvalidInput);
}

// The point of the whole: near its capacity, planning serves more promises than any of the engines of today.
TEST(Simulator, PlanningKeepsMorePromisesThanTheBaselinesUnderLoad) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  const auto requests = make_requests("chatbot", poisson_arrivals(2, 600, 7), SloTable::paper(), 7);
  const double ours = run(requests, perf, "slos").attainment(Metric::token);
  for (const std::string policy :
       {"vllm", "vllm-v1", "sarathi:256", "sarathi:512", "sarathi:1024", "edf", "slots:64"})
    EXPECT_GT(ours, run(requests, perf, policy).attainment(Metric::token)) << policy;
  PolicySettings fixed;
  fixed.dynamic_batch = false;
  EXPECT_GT(ours, run(requests, perf, "slos", fixed).attainment(Metric::token));
}

TEST(Simulator, ReplicasTakeOverFromEachOther) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  const auto requests =
      make_requests("coder", arrivals_of(find_trace("azure-code", 5).trace, 60, Rescale::thin, 1200, 5),
                    SloTable::paper(), 5);
  SimulationSettings with, without;
  with.replicas = without.replicas = 4;
  without.routing.hand_over = false;
  const RunResult on = run(requests, perf, "slos", {}, with), off = run(requests, perf, "slos", {}, without);
  EXPECT_GT(on.handed_over, 0);
  EXPECT_EQ(off.handed_over, 0);
  // On some traces the handed-over requests displace as many as they save, never noticeably more.
  EXPECT_GT(on.attainment(Metric::token), off.attainment(Metric::token) - 0.01);
}

TEST(Workload, MetersJudgeTokensAgainstTheirDeadlines) {
  Round round;
  round.output = {{Segment::Kind::think, 3, 50}, {Segment::Kind::decode, 2, 100}};
  RoundMeter meter(round, 100);
  for (const double t : {100.0, 150.0, 199.0, 260.0, 360.0}) meter.token(t);
  EXPECT_TRUE(meter.met_token());  // the answer's first token starts the answer's own clock
  EXPECT_TRUE(meter.met_mean());
  RoundMeter late(round, 100);
  for (const double t : {100.0, 151.0, 199.0, 260.0, 360.0}) late.token(t);
  EXPECT_FALSE(late.met_token());  // one token a millisecond late ...
  EXPECT_TRUE(late.met_mean());    // ... is made up by the next
  RoundMeter first(round, 99);
  first.token(100);
  EXPECT_TRUE(first.first_late());
}

TEST(Workload, TracesAndScenarios) {
  const auto trace = find_trace("azure-conv", 9);
  for (const double rate : {1.0, 20.0}) {
    for (const Rescale mode : {Rescale::thin, Rescale::stretch}) {
      const auto arrivals = arrivals_of(trace.trace, rate, mode, 0, 9);
      const double got = static_cast<double>(arrivals.size() - 1) * 1000 / arrivals.back().ms;
      EXPECT_NEAR(got / rate, 1, 0.06);
      EXPECT_EQ(arrivals.front().ms, 0);
    }
  }
  EXPECT_THROW(find_trace("azure-cod", 1), InvalidInput);
  EXPECT_THROW(make_requests("codr", {}, SloTable::paper(), 1), InvalidInput);
  const auto tools = make_requests("toolcall", poisson_arrivals(1, 50, 1), SloTable::paper(), 1);
  for (const Request& request : tools) {
    EXPECT_GE(request.rounds.size(), 2u);
    EXPECT_EQ(request.rounds.back().tool_wait_ms, 0);
    EXPECT_GT(request.rounds.front().tool_wait_ms, 0);
    EXPECT_EQ(request.rounds.back().output[0].tpot_ms, 100);
  }
}

}  // namespace
}  // namespace ballast::serve
