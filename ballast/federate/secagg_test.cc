#include "ballast/federate/secagg.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ballast/base/errors.h"

namespace ballast::federate {
namespace {

struct Outcome {
  MaskedVector sum, plain;
  std::set<int> survived;
};

/// `late`: clients that share but send no masked vector; `silent`: that do not help to unmask.
Outcome play(int clients, int threshold, const std::set<int>& late, const std::set<int>& silent,
             std::uint64_t seed, int damaged = -1) {
  std::vector<int> cohort;
  for (int c = 0; c < clients; ++c) cohort.push_back(3 * c + 1);
  SecureServer server(cohort, threshold);
  std::map<int, SecureClient> all;
  for (int c : cohort) all.emplace(c, SecureClient(c, cohort, threshold));
  for (auto& [c, client] : all) server.take_keys(c, client.advertise());
  std::map<int, std::map<int, std::string>> post;  // receiver -> owner -> box
  for (auto& [c, client] : all) {
    for (auto& [to, box] : client.share(server.keys())) post[to][c] = box;
  }
  if (damaged >= 0) post[damaged].begin()->second[40] ^= 1;
  Random random(seed);
  Outcome outcome;
  outcome.plain.assign(20, 0);
  for (auto& [c, client] : all) {
    MaskedVector values(20);
    for (auto& v : values) v = static_cast<std::uint32_t>(random.below(kSecureLevels));
    const MaskedVector masked = client.mask(values, post[c]);
    EXPECT_NE(masked, values);
    if (late.count(c) > 0) continue;
    server.take_masked(c, masked);
    for (std::size_t i = 0; i < values.size(); ++i) outcome.plain[i] += values[i];
  }
  outcome.survived = server.survived();
  for (auto& [c, client] : all) {
    if (late.count(c) == 0 && silent.count(c) == 0)
      server.take_opened(c, client.unmask(server.survived(), server.dropped()));
  }
  outcome.sum = server.sum();
  return outcome;
}

// Oracle 14.
TEST(SecureAggregation, ExactSumWithDropoutsUpToTheThreshold) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Outcome none = play(6, 3, {}, {}, seed), some = play(6, 3, {1, 7}, {}, seed),
                  both = play(8, 4, {1}, {4, 7}, seed);
    EXPECT_EQ(none.sum, none.plain);
    EXPECT_EQ(some.sum, some.plain);
    EXPECT_EQ(both.sum, both.plain);
  }
  EXPECT_THROW(play(6, 3, {1, 4, 7}, {}, 1), Unavailable);       // each of three has two shares at the others
  EXPECT_THROW(play(6, 3, {1, 4, 7, 10}, {}, 1), InvalidInput);  // two came through: clients open nothing
  EXPECT_THROW(play(6, 4, {1}, {4, 7}, 1), Unavailable);         // three holders open: one too few
}

TEST(SecureAggregation, SparseNeighboursAboveSixtyFourClients) {
  const Outcome outcome = play(80, 12, {1, 31, 100}, {13}, 9);
  EXPECT_EQ(outcome.sum, outcome.plain);
  std::vector<int> cohort(80);
  for (int c = 0; c < 80; ++c) cohort[static_cast<std::size_t>(c)] = c;
  for (int c : cohort) {
    const auto neighbours = secure_neighbours(c, cohort);
    EXPECT_EQ(neighbours.size(), 32u);
    for (int n : neighbours) {
      const auto back = secure_neighbours(n, cohort);
      EXPECT_NE(std::find(back.begin(), back.end(), c), back.end());
    }
  }
}

TEST(SecureAggregation, WrongUseIsRefused) {
  EXPECT_THROW(play(2, 2, {}, {}, 1), InvalidInput);
  EXPECT_THROW(play(6, 4, {}, {}, 1, 7), InvalidInput);  // a damaged seal
  std::vector<int> huge(1024);
  for (int c = 0; c < 1024; ++c) huge[static_cast<std::size_t>(c)] = c;
  EXPECT_THROW(SecureClient(0, huge, 10), InvalidInput);
  SecureClient client(0, {0, 1, 2, 3}, 2);
  EXPECT_THROW(client.unmask({0, 1, 2}, {2}), InvalidInput);
  client.unmask({0, 1, 2}, {3});
  EXPECT_THROW(client.unmask({0, 1, 3}, {2}), InvalidInput);  // the other secrets of the same clients
}

TEST(SecureAggregation, MeanWithinTheQuantisation) {
  Random random(4);
  std::vector<Params> all;
  std::vector<WeightedParams> terms;
  MaskedVector sum(51, 0);
  for (int c = 0; c < 10; ++c) {
    Params params(50);
    for (float& p : params) p = static_cast<float>(random.uniform(-2, 2));
    all.push_back(params);
  }
  for (std::size_t c = 0; c < 10; ++c) {
    const double samples = 100 + 80 * static_cast<double>(c);
    terms.push_back({&all[c], samples});
    const auto levels = quantise(all[c], samples, 1000);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += levels[i];
  }
  const Params exact = weighted_mean(terms), mean = dequantise_mean(sum, 10);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_NEAR(mean[i], exact[i], 5e-5);
}

}  // namespace
}  // namespace ballast::federate
