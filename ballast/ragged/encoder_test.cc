#include "ballast/ragged/encoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/test_support.h"

namespace ballast::ragged {
namespace {

std::vector<float> noise(std::int64_t n, std::uint64_t stream) {
  Random random(17, stream);
  std::vector<float> v(static_cast<std::size_t>(n));
  for (float& x : v) x = static_cast<float>(random.normal());
  return v;
}

double worst_error(const std::vector<float>& got, const std::vector<double>& want) {
  double worst = 0, scale = 0;
  for (const double w : want) scale = std::max(scale, std::fabs(w));
  for (std::size_t i = 0; i < want.size(); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - want[i]));
  return worst / std::max(scale, 1e-30);
}

const EncoderConfig kSmall{.layers = 2,
                           .model = 48,
                           .heads = 3,
                           .feed_forward = 80,
                           .max_length = 200,
                           .activation = Activation::gelu,
                           .epsilon = 1e-5};

TEST(Encoder, EqualsTheReferenceForAnyLengths) {
  const std::vector<std::vector<std::int32_t>> cases{{1},      {5, 17, 3}, {40, 0, 33, 64, 65},
                                                     {130, 2}, {0, 0},     {}};
  for (bool causal : {false, true}) {
    for (Activation activation : {Activation::relu, Activation::gelu}) {
      EncoderConfig c = kSmall;
      c.causal = causal;
      c.activation = activation;
      const auto weights = random_weights(c, 5);
      const Encoder encoder(registry(), c, weights);
      loop::Launcher launcher(2);
      Workspace workspace;
      for (const auto& lengths : cases) {
        const Plan plan = Plan::ragged(lengths, c.max_length);
        std::vector<float> hidden = noise(plan.rows * c.model, lengths.size());
        std::vector<double> want(hidden.begin(), hidden.end());
        encoder.forward(launcher, plan, hidden.data(), workspace);
        reference_encoder(c, weights, lengths, want);
        EXPECT_LE(worst_error(hidden, want), 2e-5)
            << "causal " << causal << ", " << lengths.size() << " sequences";
      }
    }
  }
}

TEST(Encoder, FullSizeLayerOnShortSentences) {
  const EncoderConfig c;  // 8 heads of 64, 512, 2048
  const auto weights = random_weights(c, 5);
  const Encoder encoder(registry(), c, weights);
  loop::Launcher launcher(1);
  Workspace workspace;
  const auto lengths = draw_lengths("cola", 4, 3);
  const Plan plan = Plan::ragged(lengths);
  std::vector<float> hidden = noise(plan.rows * c.model, 1);
  std::vector<double> want(hidden.begin(), hidden.end());
  encoder.forward(launcher, plan, hidden.data(), workspace);
  reference_encoder(c, weights, lengths, want);
  EXPECT_LE(worst_error(hidden, want), 2e-5);
}

TEST(Encoder, PaddedPlansGiveTheSameRealRows) {
  const auto weights = random_weights(kSmall, 5);
  const Encoder encoder(registry(), kSmall, weights);
  loop::Launcher launcher(2);
  Workspace workspace;
  const std::vector<std::int32_t> lengths{7, 70, 1, 22};
  const Plan ragged = Plan::ragged(lengths), padded = Plan::padded(lengths);
  const std::int64_t d = kSmall.model;
  std::vector<float> a = noise(ragged.rows * d, 2), b(static_cast<std::size_t>(padded.rows * d));
  for (std::size_t s = 0; s < lengths.size(); ++s)
    std::copy_n(a.data() + ragged.offsets[s] * d, lengths[s] * d, b.data() + padded.offsets[s] * d);
  encoder.forward(launcher, ragged, a.data(), workspace);
  encoder.forward(launcher, padded, b.data(), workspace);
  for (std::size_t s = 0; s < lengths.size(); ++s)
    for (std::int64_t i = 0; i < lengths[s] * d; ++i)
      EXPECT_NEAR(a[static_cast<std::size_t>(ragged.offsets[s] * d + i)],
                  b[static_cast<std::size_t>(padded.offsets[s] * d + i)], 2e-6);
}

TEST(Encoder, ASequenceIsTheSameBitsInAnyBatchOrderAndThreadCount) {
  const auto weights = random_weights(kSmall, 5);
  const Encoder encoder(registry(), kSmall, weights);
  const std::int64_t d = kSmall.model;
  const std::vector<std::int32_t> lengths{70, 3, 129, 16, 33};
  std::vector<std::vector<float>> alone;
  loop::Launcher one(1), three(3);
  Workspace workspace;
  for (std::size_t s = 0; s < lengths.size(); ++s) {
    alone.push_back(noise(lengths[s] * d, 100 + s));
    encoder.forward(one, Plan::ragged(std::span(&lengths[s], 1)), alone.back().data(), workspace);
  }
  Random random(4);
  for (int round = 0; round < 6; ++round) {
    std::vector<std::size_t> order{0, 1, 2, 3, 4};
    random.shuffle(order);
    order.resize(2 + random.below(4));
    std::vector<std::int32_t> batch;
    std::vector<float> hidden;
    for (const std::size_t s : order) {
      batch.push_back(lengths[s]);
      const auto x = noise(lengths[s] * d, 100 + s);
      hidden.insert(hidden.end(), x.begin(), x.end());
    }
    const Plan plan = Plan::ragged(batch);
    encoder.forward(round % 2 ? three : one, plan, hidden.data(), workspace);
    for (std::size_t i = 0; i < order.size(); ++i)
      EXPECT_EQ(0, std::memcmp(hidden.data() + plan.offsets[i] * d, alone[order[i]].data(),
                               alone[order[i]].size() * sizeof(float)))
          << "sequence " << order[i];
  }
}

TEST(Encoder, ANanStaysInItsOwnSequence) {
  const auto weights = random_weights(kSmall, 5);
  const Encoder encoder(registry(), kSmall, weights);
  loop::Launcher launcher(2);
  Workspace workspace;
  const std::vector<std::int32_t> lengths{20, 9, 66};
  const Plan plan = Plan::ragged(lengths);
  const std::int64_t d = kSmall.model;
  std::vector<float> clean = noise(plan.rows * d, 8), poisoned = clean;
  poisoned[static_cast<std::size_t>(plan.offsets[1] * d)] = NAN;
  encoder.forward(launcher, plan, clean.data(), workspace);
  encoder.forward(launcher, plan, poisoned.data(), workspace);
  EXPECT_TRUE(std::isnan(poisoned[static_cast<std::size_t>(plan.offsets[1] * d)]));
  EXPECT_EQ(0, std::memcmp(clean.data(), poisoned.data(), static_cast<std::size_t>(20 * d) * 4));
  EXPECT_EQ(
      0, std::memcmp(clean.data() + 29 * d, poisoned.data() + 29 * d, static_cast<std::size_t>(66 * d) * 4));
}

TEST(Encoder, MasksOfTheUserAreCompiledIn) {
  // A window of three keys on both sides; and a row that may see nothing gives zeros, not NaN.
  EncoderConfig c = kSmall;
  c.layers = 1;
  const std::int64_t d = c.model, size = d / c.heads;
  const Mask window = [](const loop::Expr&, const loop::Expr& row, const loop::Expr& column) {
    return loop::logical_and(loop::Expr(0) < row, loop::abs(row - column) <= loop::Expr(3));
  };
  const Encoder encoder(registry(), c, random_weights(c, 5), window);
  loop::Launcher launcher(1);
  const std::vector<std::int32_t> lengths{70, 5};
  const Plan plan = Plan::ragged(lengths, c.max_length);
  const std::vector<float> qkv = noise(plan.rows * 3 * d, 3);
  std::vector<float> out(static_cast<std::size_t>(plan.rows * d), -1);
  encoder.attend(launcher, plan, qkv.data(), out.data());
  for (std::size_t s = 0; s < lengths.size(); ++s)
    for (std::int64_t h = 0; h < c.heads; ++h)
      for (std::int64_t i = 0; i < lengths[s]; ++i) {
        const auto at = [&](std::int64_t row, std::int64_t part, std::int64_t e) {
          return static_cast<double>(
              qkv[static_cast<std::size_t>((plan.offsets[s] + row) * 3 * d + part * d + h * size + e)]);
        };
        std::vector<double> p;
        double total = 0;
        const std::int64_t low = std::max<std::int64_t>(0, i - 3),
                           high = std::min<std::int64_t>(lengths[s] - 1, i + 3);
        for (std::int64_t j = low; j <= high; ++j) {
          double dot = 0;
          for (std::int64_t e = 0; e < size; ++e) dot += at(i, 0, e) * at(j, 1, e);
          p.push_back(std::exp(dot));
          total += p.back();
        }
        for (std::int64_t e = 0; e < size; ++e) {
          double want = 0;
          for (std::int64_t j = low; j <= high && i > 0; ++j)
            want += p[static_cast<std::size_t>(j - low)] / total * at(j, 2, e);
          EXPECT_NEAR(out[static_cast<std::size_t>((plan.offsets[s] + i) * d + h * size + e)], want, 2e-4);
        }
      }
}

TEST(Encoder, RefusesWeightsThatDoNotFit) {
  auto weights = random_weights(kSmall, 5);
  weights[1].up.pop_back();
  try {
    Encoder(registry(), kSmall, weights);
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_NE(std::string(error.what()).find("weight up of layer 1"), std::string::npos) << error.what();
  }
  EncoderConfig c = kSmall;
  c.heads = 5;
  EXPECT_THROW(Encoder(registry(), c, random_weights(kSmall, 5)), InvalidInput);
}

}  // namespace
}  // namespace ballast::ragged
