// The baselines, each against what makes it what it is.
#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/serve/simulation_test.h"
#include "ballast/serve/workload.h"

namespace ballast::serve {
namespace {

TEST(Policies, NamesAreCheckedAndTheNearestIsNamed) {
  for (const char* bad : {"slo", "sarathi:0", "sarathi:x", "vllm+spec:99", "slos+spec:2", "", "distserve:2",
                          "distserve:0:1", "distserve:1:x", "sarathi:1:2", "silo:0"})
    EXPECT_THROW(make_policy(bad, {}), InvalidInput) << bad;
  for (const char* good :
       {"sarathi:256+spec:4", "distserve:1:3", "distserve", "silo:1", "qoserve", "scorpio"})
    EXPECT_EQ(make_policy(good, {})->name(), good);
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  for (const char* fleet : {"distserve:1:1", "silo"})
    EXPECT_THROW(run({plain_request(0, 0, 10, 2)}, perf, fleet), InvalidInput) << fleet;
}

// A request that would rather be slower than unpromised: refused at its own pace it is asked again at the
// loosest.
TEST(Slos, ADowngradedRequestGetsTheLoosePromise) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  std::vector<Request> requests;
  // So many that 50 ms cannot be kept for all; 100 ms can for more of them.
  for (std::uint64_t i = 0; i < 300; ++i) requests.push_back(plain_request(i, 0, 16, 200, 400, 50));
  PolicySettings settings;
  settings.guarantee = true;  // without it the planned contexts are means, and an admitted one may be late
  auto admitted = [&](OnMiss on_miss) {
    for (Request& request : requests) request.on_miss = on_miss;
    const RunResult result = run(requests, perf, "slos", settings);
    int count = 0, slow = 0;
    for (const Live& live : result.requests) {
      if (live.admission != Admission::admitted) continue;
      ++count;
      EXPECT_LE(live.worst_tpot, 100 + 1e-6);
      slow += live.met_mean ? 0 : 1;
    }
    return std::pair(count, slow);
  };
  const auto [plain, plain_slow] = admitted(OnMiss::best_effort);
  const auto [relaxed, relaxed_slow] = admitted(OnMiss::downgrade);
  EXPECT_EQ(plain_slow, 0);
  EXPECT_GT(relaxed, plain);
  EXPECT_GT(relaxed_slow, 0) << "what was asked for first is still what is judged";
}

// Oracle (i) for disaggregation: the first token is due after the prompt, the second after the transfer and a
// step on the other replica.
TEST(DistServe, OneRequestTakesPromptTransferAndDecodes) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  SimulationSettings simulation;
  simulation.replicas = 2;
  simulation.record_tokens = true;
  const RunResult result = run({plain_request(0, 0, 1000, 3)}, perf, "distserve:1:1", {}, simulation);
  BatchLoad prompt, second, third;
  prompt.add_chunk(1000, 0);
  second.add_chunk(1, 1000);  // the first token's KV is computed where the decodes are
  third.add_decode(1, 1001);
  const auto& times = result.requests[0].token_times[0];
  ASSERT_EQ(times.size(), 3u);
  const double transfer = 1000 * 819200 / 64e6;
  EXPECT_NEAR(times[0], perf.step_ms(prompt), 1e-9);
  EXPECT_NEAR(times[1] - times[0], transfer + perf.step_ms(second), 1e-9);
  EXPECT_NEAR(times[2] - times[1], perf.step_ms(third), 1e-9);
}

// Roles are kept: prefill replicas never decode, decode replicas compute no prompt token, shares follow P:D.
TEST(DistServe, KeepsPromptsAndDecodesApart) {
  std::printf("seed 5\n");
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  const auto requests = make_requests("mixed", poisson_arrivals(2, 200, 5), SloTable::paper(), 5);
  std::int64_t prompts = 0;
  for (const Request& request : requests) prompts += request.rounds[0].prompt;
  for (const auto& [policy, entries] :
       {std::pair{"distserve:1:1", 2}, {"distserve:3:1", 3}, {"distserve:1:3", 1}}) {
    SimulationSettings simulation;
    simulation.replicas = 4;
    const RunResult result = run(requests, perf, policy, {}, simulation);
    std::int64_t in_front = 0, preemptions = 0;
    for (int i = 0; i < 4; ++i) {
      const ReplicaCounters& counters = result.replicas[static_cast<std::size_t>(i)];
      preemptions += counters.preemptions;
      EXPECT_GT(counters.steps, 0) << policy << " replica " << i;
      if (i < entries) {
        EXPECT_EQ(counters.decodes, 0) << policy;
        in_front += counters.tokens;
      } else {
        EXPECT_EQ(counters.tokens, counters.decodes + counters.chunks) << policy << ": a chunk is one token";
      }
    }
    EXPECT_EQ(preemptions, 0);
    EXPECT_EQ(in_front, prompts) << policy;
    for (const Live& live : result.requests) EXPECT_EQ(live.outcome, Outcome::finished);
  }
}

// A silo's tight requests do not notice the loose ones: to the bit the same as without them.
TEST(Silo, PacesDoNotMeet) {
  std::printf("seed 7\n");
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  const auto all = make_requests("mixed", poisson_arrivals(3, 300, 7), SloTable::paper(), 7);
  std::vector<Request> tight;
  for (const Request& request : all) {
    if (request.rounds[0].output[0].tpot_ms < 75) tight.push_back(request);
  }
  ASSERT_GT(tight.size(), 50u);
  ASSERT_LT(tight.size(), all.size() - 50);
  SimulationSettings four, one;
  four.replicas = 4;
  const RunResult mixed = run(all, perf, "silo:1", {}, four),
                  alone = run(tight, perf, "sarathi:512", {}, one);
  std::size_t i = 0;
  for (const Live& live : mixed.requests) {
    EXPECT_EQ(live.outcome, Outcome::finished);
    if (live.current().output[0].tpot_ms >= 75) continue;
    ASSERT_LT(i, alone.requests.size());
    EXPECT_EQ(live.finish, alone.requests[i++].finish);
  }
  EXPECT_EQ(i, tight.size());
}

// Oracle (j): on the Splitwise conversation's lengths, as in Vidur, whole prompts (vLLM) stall the running
// decodes and chunks (Sarathi-Serve) do not, while the first token comes sooner from whole prompts.
TEST(Fcfs, SarathiAndVllmOrderAsInVidur) {
  std::printf("seed 3\n");
  const auto perf = PerfModel::load("a100-llama2-7b");
  const auto trace = find_trace("azure-conv", 3).trace;
  const auto requests =
      make_requests("chatbot", arrivals_of(trace, 2.5, Rescale::thin, 600, 3), SloTable::paper(), 3,
                    /*keep_lengths=*/true);
  SimulationSettings simulation;
  simulation.record_tokens = true;
  auto figures = [&](const std::string& policy) {
    const RunResult result = run(requests, perf, policy, {}, simulation);
    std::vector<double> gaps, firsts;
    for (const Live& live : result.requests) {
      const auto& times = live.token_times[0];
      firsts.push_back(times.front() - live.first_arrival);
      for (std::size_t i = 1; i < times.size(); ++i) gaps.push_back(times[i] - times[i - 1]);
    }
    return std::pair(quantile(gaps, 0.99), median(firsts));
  };
  const auto [vllm_gap, vllm_first] = figures("vllm");
  const auto [sarathi_gap, sarathi_first] = figures("sarathi:512");
  EXPECT_LT(sarathi_gap, vllm_gap);
  EXPECT_LT(vllm_first, sarathi_first);
}

// A later round waits with the memory of the earlier ones, and whoever is in front of it needs that memory:
// once nothing runs, nobody else could give it back.
TEST(Fcfs, LaterRoundsThatWaitGiveTheirMemoryBack) {
  auto perf = PerfModel::load("a100-opt13b-tp1");
  perf.kv_tokens = 1600;
  auto tools = plain_request(0, 0, 800, 2), lengthy = plain_request(1, 1, 600, 100, 50),
       large = plain_request(2, 2, 1000, 2, 50);
  tools.rounds.push_back(tools.rounds[0]);
  tools.rounds[0].tool_wait_ms = 500;
  tools.rounds[1].prompt = 100;
  tools.rounds[1].ttft_ms = 60000;  // it comes behind the large one, by deadline too
  for (const std::string policy : {"slots:1", "sarathi", "edf", "qoserve", "scorpio"}) {
    const RunResult result = run({tools, lengthy, large}, perf, policy);
    for (const Live& live : result.requests) EXPECT_EQ(live.outcome, Outcome::finished) << policy;
    EXPECT_LT(result.requests[2].finish, result.requests[0].finish) << policy;
  }
}

// QoServe's order: deadline + 8 ms a token of prompt. A short prompt overtakes a long one whose deadline is
// up to that much earlier, and no more.
TEST(QoServe, OrdersByDeadlineAndWork) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  for (const double ahead : {200.0, 20000.0}) {
    // The first keeps the engine busy while the two others arrive.
    auto busy = plain_request(0, 0, 2048, 1, 50), lengthy = plain_request(1, 1, 2000, 1),
         brief = plain_request(2, 2, 500, 1);
    lengthy.rounds[0].ttft_ms = 30000;
    brief.rounds[0].ttft_ms = 30000 + ahead;
    const RunResult result = run({busy, lengthy, brief}, perf, "qoserve");
    const bool brief_first = result.requests[2].finish < result.requests[1].finish;
    EXPECT_EQ(brief_first, ahead < 8 * 1500) << ahead;
  }
}

// Chunks fill the slack of the running decodes and never use more of it: nobody is late to whom prompts come.
TEST(QoServe, PromptsUseTheSlackAndNoMore) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  std::vector<Request> requests{plain_request(0, 0, 100, 400, 50, 100)};
  for (std::uint64_t i = 1; i < 12; ++i)
    requests.push_back(plain_request(i, 300.0 + static_cast<double>(i), 3500, 2, 100, 1000));
  const RunResult result = run(requests, perf, "qoserve");
  EXPECT_EQ(result.requests[0].late_tokens, 0);
  // Whole prompts between its tokens, as prefill-first engines run them, make it late.
  EXPECT_GT(run(requests, perf, "prefill-first").requests[0].late_tokens, 0);
}

// Eager relegation: one that is late anyway does not make others late.
TEST(QoServe, WhoIsLateAnywayGoesLast) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  auto busy = plain_request(0, 0, 2048, 1, 50), hopeless = plain_request(1, 1, 2000, 1),
       good = plain_request(2, 2, 2000, 1);
  hopeless.rounds[0].ttft_ms = 100;
  good.rounds[0].ttft_ms = 600;
  const RunResult relegating = run({busy, hopeless, good}, perf, "qoserve");
  EXPECT_TRUE(relegating.requests[2].met_token);
  EXPECT_EQ(relegating.requests[1].outcome, Outcome::finished);
  EXPECT_FALSE(run({busy, hopeless, good}, perf, "edf").requests[2].met_token);
}

// SCORPIO's credits: beside a pace of 50 ms one of 100 ms takes part in every second step.
TEST(Scorpio, LoosePacesTakePartByTheirCredit) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  SimulationSettings simulation;
  simulation.record_tokens = true;
  const RunResult result = run({plain_request(0, 0, 64, 200, 50, 50), plain_request(1, 0, 64, 60, 50, 100)},
                               perf, "scorpio", {}, simulation);
  const auto &tight = result.requests[0].token_times[0], &loose = result.requests[1].token_times[0];
  for (std::size_t i = 3; i < loose.size(); ++i) {
    const auto between = std::count_if(tight.begin(), tight.end(),
                                       [&](double t) { return t > loose[i - 1] && t <= loose[i]; });
    EXPECT_EQ(between, 2) << i;
  }
  EXPECT_LT(tight.back(), 200 * 50);
}

// Its guards: who cannot make the first token is rejected, nobody else is; whoever decodes keeps the pace.
TEST(Scorpio, RejectsWhatIsLateAndKeepsThePace) {
  std::printf("seed 9\n");
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  for (const auto& [rate, some] : {std::pair{0.2, false}, {20.0, true}}) {
    const auto requests = make_requests("coder", poisson_arrivals(rate, 300, 9), SloTable::paper(), 9);
    const RunResult result = run(requests, perf, "scorpio");
    int declined = 0, slow = 0;
    for (const Live& live : result.requests) {
      declined += live.outcome == Outcome::declined ? 1 : 0;
      slow += live.outcome == Outcome::finished && !live.met_mean && live.late_firsts == 0 ? 1 : 0;
    }
    EXPECT_EQ(declined > 0, some) << rate;
    EXPECT_LE(slow, 3) << rate << ": of " << 300 - declined;
  }
}

}  // namespace
}  // namespace ballast::serve
