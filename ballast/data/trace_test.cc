#include "ballast/data/trace.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "ballast/data/test_files.h"

namespace ballast::data {
namespace {

Trace parse(std::string_view text) {
  return read_trace(InputStream::over("t.csv", text));
}

TEST(Trace, ReadsTheThreeForms) {
  const Trace azure = parse(
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-12-31 23:59:59.5000000,10,2\n2024-01-01 00:00:01,20,3\n"
      "2024-01-01 00:00:01.25+00:00,1,1\n");
  EXPECT_EQ(azure.requests, (std::vector<Request>{{0, 10, 2}, {1.5, 20, 3}, {1.75, 1, 1}}));
  EXPECT_TRUE(azure.has_arrivals);
  const Trace vidur =
      parse("num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n3772,54,3826,69.85\n");
  EXPECT_EQ(vidur.requests, (std::vector<Request>{{0, 3772, 54}}));
  EXPECT_FALSE(vidur.has_arrivals);
  const Trace timed = parse("arrived_at,num_prefill_tokens,num_decode_tokens\n0.5,1,2\n0.75,3,4\n");
  EXPECT_EQ(timed.requests, (std::vector<Request>{{0.5, 1, 2}, {0.75, 3, 4}}));
  EXPECT_EQ(parse("arrival_s,input_tokens,output_tokens\n0,5,6\n").requests,
            (std::vector<Request>{{0, 5, 6}}));
}

TEST(Trace, RefusesWithLineAndColumn) {
  const auto refused = [](const std::string& rows) {
    return refusal([&] { parse("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows); });
  };
  EXPECT_EQ(refused("2023-11-16 18:17:03,1,1\n2023-11-16 18:17:02,1,1\n"),
            "t.csv:3: column 'TIMESTAMP' is '2023-11-16 18:17:02'; accepted: times that do not go back");
  for (const char* time : {"16.11.2023 18:17:03", "2023-13-16 18:17:03", "2023-11-16 18:17:03.",
                           "2023-11-16 18:17:0x", "2023-11-16 25:17:03", ""})
    EXPECT_EQ(refused(std::string(time) + ",1,1\n"),
              "t.csv:2: column 'TIMESTAMP' is '" + std::string(time) +
                  "'; accepted: a time such as 2023-11-16 18:17:03.9799600");
  EXPECT_EQ(refused("2023-11-16 18:17:03,-1,1\n"),
            "t.csv:2: column 'ContextTokens' is '-1'; accepted: an integer from 0 to 16777216");
  EXPECT_EQ(refused(""), "t.csv:2: the trace has no request");
  EXPECT_EQ(refusal([] { parse("num_prefill_tokens,num_decode_tokens,num_total_tokens\n1,2,4\n"); }),
            "t.csv:2: column 'num_total_tokens' is '4'; accepted: the sum of prefill and decode tokens");
  EXPECT_EQ(refusal([] { parse("arrival_s,input_tokens,output_tokens\n-1,5,6\n"); }),
            "t.csv:2: column 'arrival_s' is '-1'; accepted: times of at least 0 that do not go back");
  EXPECT_EQ(
      refusal([] { parse("time,tokens\n"); }),
      "t.csv:1: the header is that of no request trace; accepted: TIMESTAMP,ContextTokens,GeneratedTokens "
      "(Azure), num_prefill_tokens,num_decode_tokens (Vidur), or arrival_s,input_tokens,output_tokens");
}

class TraceFile : public FolderTest {};

TEST_F(TraceFile, RoundTripToTheMicrosecond) {
  const Trace trace = synthetic_trace(TraceKind::azure_code, 300, 5);
  write_trace(path("t.csv"), trace);
  const Trace back = read_trace(path("t.csv"));
  ASSERT_EQ(back.requests.size(), trace.requests.size());
  for (std::size_t i = 0; i < back.requests.size(); ++i) {
    EXPECT_NEAR(back.requests[i].arrival_s, trace.requests[i].arrival_s, 0.51e-6);
    EXPECT_EQ(back.requests[i].input_tokens, trace.requests[i].input_tokens);
    EXPECT_EQ(back.requests[i].output_tokens, trace.requests[i].output_tokens);
  }
}

TEST(Trace, RescalingKeepsWhatItPromises) {
  const Trace trace = synthetic_trace(TraceKind::azure_conv, 1000, 2);
  const double n = static_cast<double>(trace.requests.size());
  EXPECT_NEAR(static_cast<double>(thin(trace, 0.3, 1).requests.size()), 0.3 * n, 5 * std::sqrt(0.21 * n));
  EXPECT_DOUBLE_EQ(stretch(trace, 2).span_s(), 2 * trace.span_s());
  const Trace triple = overlay(trace, 3, 1);
  EXPECT_EQ(triple.requests.size(), 3 * trace.requests.size());
  EXPECT_TRUE(std::is_sorted(triple.requests.begin(), triple.requests.end(),
                             [](const Request& a, const Request& b) { return a.arrival_s < b.arrival_s; }));
  for (const double rate : {1.0, 5.0, 12.0})
    EXPECT_NEAR(at_rate(trace, rate, 3).rate_per_s(), rate, 0.12 * rate);
  EXPECT_THROW(thin(trace, 0, 1), InvalidInput);
  EXPECT_THROW(stretch(trace, -1), InvalidInput);
  EXPECT_THROW(at_rate(trace, std::nan(""), 1), InvalidInput);
}

// The published facts of the two traces (an hour each) and how far an hour of ours, averaged over 8 seeds,
// may lie from them.
struct Fact {
  const char* name;
  double TraceFacts::*member;
  double conv, code;
};
constexpr Fact kFacts[] = {
    {"rate", &TraceFacts::rate_per_s, 5.53, 2.57},
    {"gap cv", &TraceFacts::gap_cv, 1.09, 13.15},
    {"gap p50", &TraceFacts::gap_p50_s, .118, .064},
    {"gap p90", &TraceFacts::gap_p90_s, .421, .273},
    {"gap p99", &TraceFacts::gap_p99_s, .891, 2.205},
    {"max count", &TraceFacts::count_max, 16, 67},
    {"1-s dispersion", &TraceFacts::dispersion_1s, 1.39, 13.2},
    {"10-s dispersion", &TraceFacts::dispersion_10s, 4.0, 71},
    {"60-s dispersion", &TraceFacts::dispersion_60s, 20.6, 161},
    {"empty seconds", &TraceFacts::empty_seconds, .011, .734},
    {"lag 1", &TraceFacts::autocorrelation_1, .22, .76},
    {"lag 10", &TraceFacts::autocorrelation_10, .20, .26},
    {"input mean", &TraceFacts::input_mean, 1155, 2048},
    {"input p50", &TraceFacts::input_p50, 1020, 1469},
    {"input p90", &TraceFacts::input_p90, 2735, 5194},
    {"input p99", &TraceFacts::input_p99, 4142, 7436},
    {"output mean", &TraceFacts::output_mean, 211, 28},
    {"output p50", &TraceFacts::output_p50, 129, 13},
    {"output p90", &TraceFacts::output_p90, 424, 55},
    {"output p99", &TraceFacts::output_p99, 601, 252},
};

class SyntheticTrace : public testing::TestWithParam<TraceKind> {};

TEST_P(SyntheticTrace, HasThePublishedFactsWithin15Percent) {
  const bool code = GetParam() == TraceKind::azure_code;
  constexpr int kSeeds = 8;
  std::vector<TraceFacts> facts;
  for (int seed = 1; seed <= kSeeds; ++seed)
    facts.push_back(
        facts_of(synthetic_trace(GetParam(), code ? 3436 : 3502, static_cast<std::uint64_t>(seed))));
  for (const Fact& fact : kFacts) {
    double sum = 0;
    for (const auto& one : facts) sum += one.*fact.member;
    const double published = code ? fact.code : fact.conv;
    EXPECT_NEAR(sum / kSeeds, published, 0.15 * published) << fact.name;
  }
}
INSTANTIATE_TEST_SUITE_P(Kinds, SyntheticTrace,
                         testing::Values(TraceKind::azure_conv, TraceKind::azure_code));

// The loader against the published facts, where the file is.
TEST(Trace, AzureFilesHaveTheirPublishedFacts) {
  const char* given = std::getenv("BALLAST_SHARED_DATA");
  const std::string folder =
      (given != nullptr ? std::string(given) : BALLAST_SOURCE_DIR "/../shared/data") + "/azure/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no Azure traces at " << folder;
  const Trace conv = read_trace(folder + "AzureLLMInferenceTrace_conv.csv");
  const Trace code = read_trace(folder + "AzureLLMInferenceTrace_code.csv");
  EXPECT_EQ(conv.requests.size(), 19'366u);
  EXPECT_EQ(code.requests.size(), 8'819u);
  const TraceFacts conv_facts = facts_of(conv), code_facts = facts_of(code);
  for (const Fact& fact : kFacts) {
    EXPECT_NEAR(conv_facts.*fact.member, fact.conv, 0.02 * fact.conv) << fact.name;
    EXPECT_NEAR(code_facts.*fact.member, fact.code, 0.02 * fact.code) << fact.name;
  }
}

}  // namespace
}  // namespace ballast::data
