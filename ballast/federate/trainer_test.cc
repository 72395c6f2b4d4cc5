#include "ballast/federate/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "ballast/base/json.h"
#include "ballast/base/testing.h"
#include "ballast/federate/samples.h"

namespace ballast::federate {
namespace {

// Mean cross-entropy of a batch in double precision, written down plainly: the trainer's slow twin.
double plain_loss(const ModelShape& shape, const std::vector<double>& p,
                  const std::vector<DrawTable::Pick>& picks) {
  const auto d = static_cast<std::size_t>(shape.features), h = static_cast<std::size_t>(shape.hidden),
             c = static_cast<std::size_t>(shape.classes);
  double total = 0;
  for (const auto& pick : picks) {
    std::vector<double> hidden(h), logits(c);
    for (std::size_t u = 0; u < h; ++u) {
      hidden[u] = p[h * d + u];
      for (std::size_t k = 0; k < d; ++k) hidden[u] += p[u * d + k] * pick.x[k];
      hidden[u] = std::max(hidden[u], 0.0);
    }
    double sum = 0;
    for (std::size_t k = 0; k < c; ++k) {
      logits[k] = p[h * d + h + c * h + k];
      for (std::size_t u = 0; u < h; ++u) logits[k] += p[h * d + h + k * h + u] * hidden[u];
      sum += std::exp(logits[k]);
    }
    total += std::log(sum) - logits[static_cast<std::size_t>(pick.y)];
  }
  return total / static_cast<double>(picks.size());
}

std::vector<DrawTable::Pick> picks_of(const Samples& samples) {
  std::vector<DrawTable::Pick> picks;
  for (std::size_t i = 0; i < samples.size(); ++i) picks.push_back({samples.row(i), samples.y[i]});
  return picks;
}

// Plain SGD with rate 1 turns the step into the gradient; it is compared with central differences in double.
TEST(Trainer, GradientEqualsCentralDifferences) {
  for (const auto& [features, hidden, samples] : {std::tuple{2, 4, 50}, {3, 6, 64}, {3, 5, 130}}) {
    const auto federation =
        make_federation({.name = features == 2 ? "sine" : "sea", .samples = samples, .seed = 3},
                        ConceptPattern::stationary(1, 1));
    const ModelShape shape{features, hidden, 2};
    const auto picks = picks_of(federation.batch(0, 0));
    Params params = fresh_params(shape, 9, 1);
    const std::vector<double> before(params.begin(), params.end());
    Trainer trainer(shape);
    OptimizerState state;
    const double loss =
        trainer.step_on(params, state, {.adam = false, .learning_rate = 1, .weight_decay = 0}, picks);
    EXPECT_NEAR(loss, plain_loss(shape, before, picks), 1e-5);
    for (std::size_t i = 0; i < before.size(); ++i) {
      auto up = before, down = before;
      up[i] += 1e-5;
      down[i] -= 1e-5;
      const double gradient = (plain_loss(shape, up, picks) - plain_loss(shape, down, picks)) / 2e-5;
      EXPECT_NEAR(before[i] - params[i], gradient, 2e-4 * (1 + std::abs(gradient))) << "parameter " << i;
    }
  }
}

// Many features take another path through the backward pass, in full tiles and in remainders.
TEST(Trainer, GradientWithManyFeatures) {
  const ModelShape shape{130, 6, 3};
  Random random(14);
  Samples samples{.features = 130, .x = {}, .y = {}};
  for (int i = 0; i < 70; ++i) {
    for (int f = 0; f < 130; ++f) samples.x.push_back(static_cast<float>(random.uniform()));
    samples.y.push_back(static_cast<std::int32_t>(random.below(3)));
  }
  const auto picks = picks_of(samples);
  Params params = fresh_params(shape, 9, 1);
  const std::vector<double> before(params.begin(), params.end());
  Trainer trainer(shape);
  OptimizerState state;
  trainer.step_on(params, state, {.adam = false, .learning_rate = 1, .weight_decay = 0}, picks);
  for (std::size_t i = 0; i < before.size(); i += 3) {
    auto up = before, down = before;
    up[i] += 1e-5;
    down[i] -= 1e-5;
    const double gradient = (plain_loss(shape, up, picks) - plain_loss(shape, down, picks)) / 2e-5;
    EXPECT_NEAR(before[i] - params[i], gradient, 2e-4 * (1 + std::abs(gradient))) << "parameter " << i;
  }
}

TEST(Trainer, LearnsSineAndScoresAddUp) {
  const auto federation =
      make_federation({.name = "sine", .samples = 500, .seed = 1}, ConceptPattern::stationary(1, 1));
  const ModelShape shape{2, 4, 2};
  Params params = fresh_params(shape, 1, 0);
  OptimizerState state;
  Trainer trainer(shape);
  DrawTable table;
  table.add(federation.batch(0, 0), 1.0);
  trainer.train(params, state, {}, table, 2000, 50, 77);
  const ScoreStat stat = trainer.score(params, federation.batch(0, 1));
  EXPECT_EQ(stat.n, 500u);
  EXPECT_LT(stat.error(), 0.05);
  std::uint64_t correct = 0;
  const auto answers = trainer.predict(params, federation.batch(0, 1));
  for (std::size_t i = 0; i < answers.size(); ++i)
    correct += answers[i] == federation.batch(0, 1).y[i] ? 1 : 0;
  EXPECT_EQ(correct, stat.correct);
}

TEST(DrawTable, DrawsInProportionToWeightTimesSize) {
  Samples a{.features = 1, .x = std::vector<float>(10, 0), .y = std::vector<std::int32_t>(10, 0)};
  Samples b{.features = 1, .x = std::vector<float>(30, 0), .y = std::vector<std::int32_t>(30, 1)};
  DrawTable table;
  table.add(a, 3.0);
  table.add(b, 1.0);  // 30 against 30
  EXPECT_EQ(table.samples(), 40u);
  int ones = 0;
  Random random(2);
  for (int i = 0; i < 10'000; ++i) ones += table.pick(static_cast<std::uint32_t>(random())).y;
  EXPECT_NEAR(ones, 5000, 250);  // five standard deviations
}

TEST(WeightedMean, AgreesWithLongDouble) {
  Random random(4);
  std::vector<Params> params(37, Params(5));
  std::vector<WeightedParams> terms;
  std::vector<long double> sum(5, 0);
  long double weight = 0;
  for (auto& p : params) {
    const double w = 1 + static_cast<double>(random.below(1000));
    for (std::size_t i = 0; i < p.size(); ++i) {
      p[i] = static_cast<float>(random.normal());
      sum[i] += static_cast<long double>(w) * p[i];
    }
    weight += w;
    terms.push_back({&p, w});
  }
  const Params result = weighted_mean(terms);
  for (std::size_t i = 0; i < result.size(); ++i)
    EXPECT_NEAR(result[i], static_cast<double>(sum[i] / weight), 1e-6);
}

// Oracle 10: against libtorch, parameter by parameter, after 100 steps of Adam with AMSGrad.
TEST(Trainer, LibtorchComesToTheSameParameters) {
  const std::string peer = std::string(BALLAST_BINARY_DIR) + "/bin/ballast-federate-torch-peer";
  if (!std::filesystem::exists(peer)) GTEST_SKIP() << "built without libtorch";
  const auto result = run_command("OMP_NUM_THREADS=1 " + peer + " parity");
  ASSERT_EQ(result.code, 0) << result.output;
  const Json report = Json::parse(result.output);
  EXPECT_LT(report.at("largest_difference").get<double>(), 1e-5);
  EXPECT_LT(report.at("loss_difference").get<double>(), 1e-5);
  EXPECT_GT(report.at("moved").get<double>(), 0.1);  // both did train
}

}  // namespace
}  // namespace ballast::federate
