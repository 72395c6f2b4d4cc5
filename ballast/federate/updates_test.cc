// What happens to updates on their way: compression, robust means, clipping, noise, faults, damaged records.
#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/federate/engine.h"
#include "ballast/federate/task.h"

namespace ballast::federate {
namespace {

Params random_params(std::size_t size, std::uint64_t seed, double scale = 1) {
  Random random(seed, 9);
  Params params(size);
  for (float& value : params) value = static_cast<float>(scale * random.normal());
  return params;
}

// Oracle 9.
TEST(TreeSum, WeightedMeanIsThatOfLongDouble) {
  std::vector<Params> all;
  std::vector<WeightedParams> terms;
  for (std::uint64_t i = 0; i < 37; ++i) all.push_back(random_params(50, i));
  for (std::size_t i = 0; i < all.size(); ++i) terms.push_back({&all[i], static_cast<double>(1 + i * i)});
  const Params mean = weighted_mean(terms);
  for (std::size_t k = 0; k < 50; ++k) {
    long double sum = 0, weight = 0;
    for (const auto& term : terms) {
      sum += static_cast<long double>(term.weight) * (*term.params)[k];
      weight += term.weight;
    }
    EXPECT_NEAR(mean[k], static_cast<double>(sum / weight), 1e-6);
  }
}

TEST(TreeSum, BlocksSummedApartGiveTheSameBits) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    TreeSum whole;
    std::map<std::uint64_t, TreeSum> blocks;
    const std::uint64_t block = std::uint64_t{1} << random.below(5);
    for (std::uint64_t id = 0; id < 60; ++id) {
      if (random.uniform() < 0.3) continue;
      const Params params = random_params(7, seed * 100 + id);
      whole.add(id, params, static_cast<double>(id + 1));
      blocks[id / block].add(id, params, static_cast<double>(id + 1));
    }
    TreeSum joined;
    for (const auto& [number, sum] : blocks) joined.add(from_bytes<TreeSum>(to_bytes(sum)));
    EXPECT_EQ(joined.mean(), whole.mean()) << "seed " << seed;
  }
}

TEST(Compression, EachKindComesBackWithinItsPrecision) {
  const Params start = random_params(1000, 1), target = random_params(1000, 2);
  Params residual;
  EXPECT_EQ(Compression{}.decode(Compression{}.encode(target, start, residual, 1), start), target);
  float largest = 0;
  for (std::size_t i = 0; i < start.size(); ++i) largest = std::max(largest, std::abs(target[i] - start[i]));
  const auto half = Compression::from_string("fp16"), byte = Compression::from_string("int8");
  const Params h = half.decode(half.encode(target, start, residual, 1), start),
               b = byte.decode(byte.encode(target, start, residual, 1), start);
  for (std::size_t i = 0; i < start.size(); ++i) {
    EXPECT_NEAR(h[i], target[i], std::abs(target[i] - start[i]) * 0x1p-11 + 1e-6);
    EXPECT_NEAR(b[i], target[i], largest / 127 * 1.01);
  }
  EXPECT_EQ(half.encode(target, start, residual, 1).size(), half.bytes(1000));
}

TEST(Compression, StochasticRoundingHasTheRightMean) {
  const auto byte = Compression::from_string("int8");
  const Params start(4, 0.0f), target{1.0f, 0.3f, -0.123f, 0.0041f};
  std::vector<double> sum(4, 0);
  Params residual;
  constexpr int kTimes = 20'000;
  for (std::uint64_t key = 0; key < kTimes; ++key) {
    const Params got = byte.decode(byte.encode(target, start, residual, key), start);
    for (std::size_t i = 0; i < 4; ++i) sum[i] += got[i];
  }
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(sum[i] / kTimes, target[i], 5 * (1.0 / 127) / std::sqrt(kTimes));
}

TEST(Compression, TopKSendsInTheEndWhatItLeftOut) {
  const auto topk = Compression::from_string("topk:0.1");
  Params server(100, 0.0f), residual;
  const Params change = random_params(100, 5, 0.01);
  for (int round = 0; round < 200; ++round) {
    Params trained = server;
    for (std::size_t i = 0; i < trained.size(); ++i) trained[i] += change[i];
    server = topk.decode(topk.encode(trained, server, residual, 1), server);
  }
  for (std::size_t i = 0; i < server.size(); ++i) EXPECT_NEAR(server[i] + residual[i], 200 * change[i], 1e-3);
}

TEST(Compression, WrongPayloadsAreRefused) {
  const Params start(10, 0.0f);
  for (const char* kind : {"none", "fp16", "int8", "topk:0.5"})
    EXPECT_THROW(Compression::from_string(kind).decode("abc", start), InvalidInput);
  std::string payload(Compression::from_string("topk:0.1").bytes(10), '\xff');
  EXPECT_THROW(Compression::from_string("topk:0.1").decode(payload, start), InvalidInput);
  for (const char* word : {"topk:0", "topk:x", "zip", "topk:2"})
    EXPECT_THROW(Compression::from_string(word), InvalidInput);
}

TEST(Robust, FewWrongClientsDoNotMoveThem) {
  std::vector<Params> all;
  for (std::uint64_t i = 0; i < 9; ++i) all.push_back(random_params(20, i, 0.01));
  all.push_back(Params(20, 1000.0f));
  std::vector<WeightedParams> terms;
  for (const auto& params : all) terms.push_back({&params, 1.0});
  const Params start(20, 0.0f);
  EXPECT_GT(Aggregator{}.combine(terms, start)[0], 90);
  for (const char* word : {"median", "trimmed:0.1", "krum:1", "multi_krum:1", "clipped"}) {
    for (float value : Aggregator::from_string(word).combine(terms, start))
      EXPECT_LT(std::abs(value), 0.1) << word;
  }
  for (const char* word : {"mean:1", "trimmed:0.5", "krum:-1", "mode"})
    EXPECT_THROW(Aggregator::from_string(word), InvalidInput);
}

// With every value different the median of an odd number is the middle one, and equals scikit-like by hand.
TEST(Robust, SmallCasesByHand) {
  std::vector<Params> all{{1}, {2}, {3}, {10}, {100}};
  std::vector<WeightedParams> terms;
  for (const auto& params : all) terms.push_back({&params, 1.0});
  const Params start(1, 0.0f);
  EXPECT_EQ(Aggregator::from_string("median").combine(terms, start)[0], 3);
  EXPECT_EQ(Aggregator::from_string("trimmed:0.2").combine(terms, start)[0], 5);  // (2 + 3 + 10) / 3
  EXPECT_EQ(Aggregator::from_string("krum:1").combine(terms, start)[0], 2);       // neighbours 1 and 3
}

TEST(Privacy, ClippingShortensAndNoiseHasItsDeviation) {
  const Params start = random_params(1000, 1);
  Params trained = random_params(1000, 2);
  EXPECT_TRUE(clip_update(trained, start, 1.5));
  EXPECT_NEAR(update_norm(trained, start), 1.5, 1e-4);
  EXPECT_FALSE(clip_update(trained, start, 2));
  Params zero(20'000, 0.0f);
  add_noise(zero, 0.7, 3);
  EXPECT_NEAR(update_norm(zero, Params(20'000, 0.0f)) / std::sqrt(20'000.0), 0.7,
              0.7 * 5 / std::sqrt(40'000.0));
  double clip = 100;  // half of the norms are below 3: the clip ends near it
  for (int i = 0; i < 200; ++i) clip = next_clip(clip, clip > 3 ? 1.0 : 0.0);
  EXPECT_NEAR(clip, 3, 0.4);
}

TEST(Engine, BudgetStopsTrainingAndModelsStillServe) {
  const auto federation =
      make_federation({.name = "sine", .samples = 50, .seed = 1}, ConceptPattern::stationary(4, 3));
  RunConfig config;
  config.rounds = 10;
  config.local_steps = 2;
  config.privacy = {.clip = 0.5, .noise = 4, .epsilon_budget = 6};
  const auto strategy = make_strategy({.name = "oblivious"}, federation.pattern());
  const auto log = run(federation, *strategy, config);
  EXPECT_GT(log.epsilon, 0);
  EXPECT_LE(log.epsilon, 6);
  EXPECT_EQ(log.prequential.size(), 3u);
  EXPECT_LT(log.optimizer_steps, 4u * 30 * 2);
}

TEST(Archive, DamagedRecordsAreRefused) {
  ClientTask task;
  task.slots = {1, 2, 3};
  task.trains = {{.slot = 2, .batches = {{1, 0.5}}}};
  const std::string bytes = to_bytes(task);
  EXPECT_EQ(to_bytes(from_bytes<ClientTask>(bytes)), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(from_bytes<ClientTask>(std::string_view(bytes).substr(0, size)), InvalidInput);
  EXPECT_THROW(from_bytes<ClientTask>(bytes + "x"), InvalidInput);
  std::string huge(8, '\xff');
  EXPECT_THROW(from_bytes<std::vector<double>>(huge), InvalidInput);
}

}  // namespace
}  // namespace ballast::federate
