#include "ballast/serve/perf_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/serve/perf_fitter.h"
#include "ballast/serve/slo.h"

namespace ballast::serve {
namespace {

// By hand, lines 19.93 + 0.0385 N and 18.10 + 0.1019 N: at 50 ms the second gives (50 - 18.10) / 0.1019 =
// 313.05, at 100 ms (100 - 18.10) / 0.1019 = 803.7; the first would give more. 313 / 50 ms = 6260 and 803 /
// 100 ms = 8030 tokens/s.
TEST(PerfModel, WorkedExample) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  EXPECT_EQ(perf.tokens_within(50), 313);
  EXPECT_EQ(perf.tokens_within(100), 803);
  EXPECT_EQ(perf.tokens_within(10), 0);
  EXPECT_EQ(perf.basis(), Basis::modelled);
}

TEST(PerfModel, ChunksOfAPromptAddUpToItsSquare) {
  BatchLoad load;
  int done = 0;
  for (const int chunk : {100, 33, 867, 1}) {
    load.add_chunk(chunk, done);
    done += chunk;
  }
  EXPECT_DOUBLE_EQ(load.prefill_area, 1001.0 * 1001.0);
  EXPECT_EQ(load.tokens, 1001);
}

PerfModel with_everything() {
  PerfModel perf;
  perf.table = {{1, 5}, {8, 12}, {64, 40}, {512, 600}};
  perf.origin = "measured";
  perf.kv_ms = 1e-3;
  perf.cpu = {1e-5, 2e-5, 3e-5, 2.0, 0};
  perf.overhead_ms = 0.3;
  perf.safety = 0.1;
  perf.kv_tokens = 4096;
  perf.max_batch_tokens = 512;
  return perf;
}

TEST(PerfModel, LargestChunkIsTheLargestThatFits) {
  std::printf("seed 21\n");
  Random random(21);
  for (const PerfModel& perf :
       {PerfModel::load("a100-opt13b-tp1"), PerfModel::load("h100-llama2-7b"), with_everything()}) {
    for (int round = 0; round < 400; ++round) {
      BatchLoad load;
      for (std::uint64_t i = random.below(20); i > 0; --i)
        load.add_decode(1, static_cast<int>(random.below(3000)));
      const int done = static_cast<int>(random.below(2000)), limit = 1 + static_cast<int>(random.below(600));
      const double ms = random.uniform(1, 150);
      const int chunk = perf.max_chunk(load, done, limit, ms);
      auto time_of = [&](int c) {
        BatchLoad with = load;
        with.add_chunk(c, done);
        return perf.planned_ms(with);
      };
      ASSERT_GE(chunk, 0);
      ASSERT_LE(chunk, limit);
      if (chunk > 0) {
        ASSERT_LE(time_of(chunk), ms + 1e-6);
      }
      if (chunk < limit && load.tokens + chunk < perf.max_batch_tokens) {
        ASSERT_GT(time_of(chunk + 1), ms - 1e-6);
      }
    }
  }
}

TEST(PerfModel, TokensWithinIsTheInverseOfTheStepTime) {
  for (const PerfModel& perf : {PerfModel::load("a100-opt66b-tp4"), with_everything()}) {
    for (const double context : {0.0, 5000.0}) {
      for (double ms = 5; ms < 300; ms *= 1.3) {
        const int tokens = static_cast<int>(perf.tokens_within(ms, context));
        BatchLoad load;
        load.tokens = tokens;
        load.decode_context = context;
        if (tokens > 0) {
          EXPECT_LE(perf.planned_ms(load), ms + 1e-6);
        }
        load.tokens = tokens + 1;
        if (tokens < perf.max_batch_tokens) {
          EXPECT_GT(perf.planned_ms(load), ms);
        }
      }
    }
  }
}

TEST(PerfModel, FileRoundTripAndBadFiles) {
  const std::string path = testing::TempDir() + "/" + std::to_string(::getpid()) + "-perf.json";
  const PerfModel perf = with_everything();
  write_file(path, perf.to_json().dump());
  const PerfModel again = PerfModel::load(path);
  EXPECT_EQ(again.to_json(), perf.to_json());
  for (const char* bad :
       {"{}", "[]", R"({"schema":"ballast.perf/1","origin":"measured"})",
        R"({"schema":"ballast.perf/1","origin":"measured","lines":[{"fixed_ms":-1,"ms_per_token":1}]})",
        R"({"schema":"ballast.perf/1","origin":"measured","table":[[1,5],[2,4]]})",
        R"({"schema":"ballast.perf/1","origin":"measured","lines":[{"fixed_ms":5}]})", "no json"}) {
    write_file(path, bad);
    EXPECT_THROW(PerfModel::load(path), InvalidInput) << bad;
  }
  std::filesystem::remove(path);
  try {
    PerfModel::load("a100-opt13b-tp");
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_NE(std::string(error.what()).find("a100-opt13b-tp1"), std::string::npos) << error.what();
  }
  EXPECT_THROW(perf.without({"nonsense"}), InvalidInput);
  EXPECT_EQ(perf.without({"kv", "cpu"}).kv_ms, 0);
}

std::vector<MeasuredStep> steps_of(const PerfModel& truth, double noise, std::uint64_t seed) {
  Random random(seed);
  std::vector<MeasuredStep> points;
  auto add = [&](BatchLoad load, const char* region) {
    points.push_back({load, truth.step_ms(load) * std::exp(noise * random.normal()), region});
  };
  for (int n = 1; n <= 512; n *= 2) {
    for (const int done : {0, 128, 1024}) {
      BatchLoad load;
      load.add_chunk(n, done);
      add(load, "prefill");
    }
  }
  for (int n = 1; n <= 16; n *= 2) {
    for (const int context : {32, 256, 2048}) {
      BatchLoad load;
      for (int i = 0; i < n; ++i) load.add_decode(1, context);
      add(load, "decode");
      load.add_chunk(64, 100);
      add(load, "mixed");
    }
  }
  return points;
}

TEST(PerfFitter, RecoversTheModelThatMadeThePoints) {
  std::printf("seeds 1, 2\n");
  PerfModel truth;
  truth.table = {{1, 5},   {2, 6},   {4, 8},     {8, 12},    {16, 17},
                 {32, 33}, {64, 60}, {128, 125}, {256, 260}, {512, 610}};
  truth.kv_ms = 2e-3;
  truth.cpu.done = 4e-5;
  truth.cpu.mixed_pass = 3;
  const PerfModel exact = fit_perf_model(steps_of(truth, 0, 1));
  EXPECT_GT(fit_quality(exact, steps_of(truth, 0, 1)).r2, 0.99999);
  EXPECT_NEAR(exact.kv_ms, truth.kv_ms, 1e-4);
  EXPECT_NEAR(exact.cpu.mixed_pass, 3, 0.1);
  // With noise, and judged on points that the fit has not seen.
  const PerfModel noisy = fit_perf_model(steps_of(truth, 0.05, 2));
  EXPECT_GT(fit_quality(noisy, steps_of(truth, 0, 3)).r2, 0.99);
  EXPECT_GE(noisy.safety, 0.03);
  EXPECT_EQ(noisy.basis(), Basis::measured);
}

TEST(PerfFitter, FindsTwoLinesAndShowsWhatTheContextTermsAreWorth) {
  std::printf("seed 4\n");
  const auto truth = PerfModel::load("a100-opt13b-tp1");
  auto points = steps_of(truth, 0.01, 4);
  FitOptions lines;
  lines.table = false;
  lines.cpu_terms = false;
  const PerfModel fit = fit_perf_model(points, lines);
  EXPECT_GT(fit_quality(fit, steps_of(truth, 0, 5)).r2, 0.99);
  EXPECT_NEAR(fit.kv_ms, truth.kv_ms, 2e-4);
  lines.context_terms = false;
  lines.force = true;
  EXPECT_LT(fit_quality(fit_perf_model(points, lines), points).r2, fit_quality(fit, points).r2);
}

TEST(PerfFitter, RefusesWhatExplainsTooLittle) {
  std::printf("seed 6\n");
  PerfModel truth = with_everything();
  auto points = steps_of(truth, 1.5, 6);
  EXPECT_THROW(fit_perf_model(points), Unavailable);
  FitOptions force;
  force.force = true;
  EXPECT_NO_THROW(fit_perf_model(points, force));
  points.resize(5);
  EXPECT_THROW(fit_perf_model(points, force), InvalidInput);
}

TEST(Slo, ProfileScalesThePromises) {
  const PerfModel perf = with_everything();
  const SloTable slos = SloTable::from_profile(perf);
  EXPECT_DOUBLE_EQ(slos.tight_tpot_ms, 2.5 * 5.3);
  EXPECT_DOUBLE_EQ(slos.loose_tpot_ms, 5 * 5.3);
  EXPECT_THROW(SloTable::named("papre", perf), InvalidInput);
}

}  // namespace
}  // namespace ballast::serve
