#include "ballast/cost/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/cost/file.h"
#include "ballast/cost/fit.h"

namespace ballast::cost {
namespace {

constexpr std::uint64_t kSeed = 31;  // of every draw below

Model step_model() {
  Model m{.name = "step", .inputs = {"tokens", "context"}};
  m.base = MaxOfLines{{{"memory", 5e-3, {1e-5, 0}}, {"compute", 1e-3, {1e-3, 0}}}};
  m.terms = {0, 3e-6};
  return m;
}

Model curve_model(Scale scale) {
  Model m{.name = "curve", .inputs = {"n", "c"}};
  m.base = Curve{0, scale, {1, 2, 8, 64}, {1, 1.5, 4, 30}};
  m.terms = {0, 0.25};
  return m;
}

Model grid_model() {
  Model m{.name = "grid", .inputs = {"a", "b"}};
  m.base = Grid{{{0, Scale::linear, {0, 10}}, {1, Scale::log2, {1, 4, 16}}}, {1, 2, 3, 11, 12, 13}};
  return m;
}

TEST(Model, RooflineIsTheLargerOfItsCeilings) {
  const Model m = roofline("r", {{"compute", "flops", 2e12}, {"memory", "bytes", 40e9}}, 5e-6);
  EXPECT_DOUBLE_EQ(m({1e9, 4e7}), 5e-6 + 1e-3);
  EXPECT_EQ(m.bound(std::vector{1e9, 4e7}), "memory");
  EXPECT_EQ(m.bound(std::vector{1e12, 4e7}), "compute");
  // At the ridge, 50 flops a byte, both take as long.
  EXPECT_DOUBLE_EQ(m({50e6, 1e6}), 5e-6 + 25e-6);
  EXPECT_THROW(roofline("r", {{"c", "f", 0}}), InvalidInput);
}

TEST(Model, EvaluatesByHand) {
  const Model m = step_model();
  EXPECT_DOUBLE_EQ(m({1, 0}), 5.01e-3);             // memory: 5e-3 + 1e-5
  EXPECT_DOUBLE_EQ(m({100, 1000}), 101e-3 + 3e-3);  // compute: 1e-3 + 0.1, context 3e-3
  const Model c = curve_model(Scale::linear);
  EXPECT_DOUBLE_EQ(c({5, 0}), 1.5 + 3.0 / 6 * 2.5);
  EXPECT_DOUBLE_EQ(c({0.5, 4}), 1 + 1);
  EXPECT_DOUBLE_EQ(c({120, 0}), 30 + 26);                               // the last piece rises 26 in 56
  EXPECT_DOUBLE_EQ(curve_model(Scale::log2)({4, 0}), 1.5 + 0.5 * 2.5);  // 4 is half way from 2 to 8
  const Model g = grid_model();
  EXPECT_DOUBLE_EQ(g({5, 2}), 6.5);  // between 1, 2 and 11, 12
  EXPECT_DOUBLE_EQ(g({-5, 100}), 3);
  EXPECT_TRUE(std::get<Grid>(g.base).covers(std::vector{5.0, 2.0}));
  EXPECT_FALSE(std::get<Grid>(g.base).covers(std::vector{5.0, 17.0}));
  EXPECT_THROW(m({1.0}), InvalidInput);
}

TEST(Model, PartsSumToTheWhole) {
  Random random(kSeed);
  for (const Model& m : {step_model(), curve_model(Scale::log2), grid_model()}) {
    for (int i = 0; i < 100; ++i) {
      const std::vector<double> x{random.uniform(0, 200), random.uniform(0, 5000)};
      double sum = 0;
      for (const auto& part : m.explain(x)) sum += part.value;
      EXPECT_NEAR(sum, m(x), 1e-12 * m(x));
    }
  }
}

TEST(Model, LargestIsTheInverse) {
  Random random(kSeed, 1);
  for (const Model& m : {step_model(), curve_model(Scale::linear), curve_model(Scale::log2), grid_model()}) {
    for (int i = 0; i < 200; ++i) {
      const std::size_t input = random.below(2);
      std::vector<double> x{random.uniform(0, 100), random.uniform(0, 100)};
      const double limit = m({random.uniform(0, 300), random.uniform(0, 300)});
      const auto found = m.largest(input, x, limit);
      x[input] = 0;
      if (!found) {
        EXPECT_GT(m(x), limit);
        continue;
      }
      x[input] = std::isinf(*found) ? 1e12 : *found;
      EXPECT_LE(m(x), limit * (1 + 1e-9)) << m.name;
      if (!std::isinf(*found)) {
        x[input] = *found * (1 + 1e-6) + 1e-9;
        EXPECT_GE(m(x), limit * (1 - 1e-9)) << m.name << " " << *found;
      }
    }
  }
  EXPECT_TRUE(std::isinf(*step_model().largest(1, {1, 0}, 1.0)) == false);
  Model flat = step_model();
  flat.terms.clear();
  EXPECT_TRUE(std::isinf(*flat.largest(1, {1, 0}, 1.0)));
}

TEST(Model, RefusesWhatDoesNotFit) {
  Model m = step_model();
  m.terms = {1};
  EXPECT_THROW(m.check(), InvalidInput);
  m = step_model();
  std::get<MaxOfLines>(m.base).lines[0].slopes = {1};
  EXPECT_THROW(m.check(), InvalidInput);
  m = curve_model(Scale::log2);
  std::get<Curve>(m.base).xs[0] = 0;
  EXPECT_THROW(m.check(), InvalidInput);
  m = grid_model();
  std::get<Grid>(m.base).values.pop_back();
  EXPECT_THROW(m.check(), InvalidInput);
  EXPECT_THROW(step_model().index_of("token"), InvalidInput);
}

std::vector<Sample> draw_from(const Model& m, int points, double noise, std::uint64_t stream) {
  Random random(kSeed, stream);
  std::vector<Sample> samples;
  for (int i = 0; i < points; ++i) {
    const std::vector<double> x{std::exp2(random.uniform(0, 9)), random.uniform(0, 4000)};
    samples.push_back({x, m(x) * (1 + noise * random.normal())});
  }
  return samples;
}

TEST(Fit, RecoversTheLinesThatMadeTheData) {
  const Model truth = step_model();
  const Model fit = fit_lines("fit", truth.inputs, draw_from(truth, 120, 0, 2));
  EXPECT_LT(fit.held_out->worst, 1e-6);
  EXPECT_NEAR(fit.terms[1], 3e-6, 1e-12);
  // With noise: as good as the noise, on points that were not seen.
  const Model noisy = fit_lines("fit", truth.inputs, draw_from(truth, 200, 0.05, 3));
  EXPECT_LT(noisy.held_out->mape, 0.06);
  EXPECT_GT(noisy.held_out->r2, 0.97);
  EXPECT_GE(noisy.held_out->mape, 0.02);  // and not better: it was not seen
  EXPECT_GT(noisy.held_out->under_p95, 0.04);
  EXPECT_LT(noisy.held_out->under_p95, 0.15);
}

TEST(Fit, NeverFallsInAnyInput) {
  Random random(kSeed, 4);
  std::vector<Sample> samples;
  for (int i = 0; i < 60; ++i)  // data that tempts it: cost falls with the second input
    samples.push_back({{random.uniform(1, 100), random.uniform(0, 100)}, 1.0});
  for (auto& s : samples) s.value = 10 + s.inputs[0] - 0.05 * s.inputs[1];
  for (const Model& m : {fit_lines("l", {"a", "b"}, samples),
                         fit_curve("c", {"a", "b"}, samples, 0, Scale::linear, {1, 25, 50, 100})}) {
    for (double a = 1; a < 100; a += 7) {
      EXPECT_LE(m({a, 10}), m({a + 7, 10}) + 1e-12);
      EXPECT_LE(m({a, 10}), m({a, 17}) + 1e-12);
    }
  }
}

TEST(Fit, CurveRecoversItsKnotsAndTermsCanBeLeftOut) {
  const Model truth = curve_model(Scale::log2);
  const auto samples = draw_from(truth, 100, 0, 5);
  std::vector<Sample> inside;
  for (const auto& s : samples)
    if (s.inputs[0] <= 64) inside.push_back(s);
  const Model fit = fit_curve("fit", truth.inputs, inside, 0, Scale::log2, {1, 2, 8, 64});
  for (int k = 0; k < 4; ++k)
    EXPECT_NEAR(std::get<Curve>(fit.base).ys[k], std::get<Curve>(truth.base).ys[k], 1e-6);
  EXPECT_NEAR(fit.terms[1], 0.25, 1e-9);
  const Model without =
      fit_curve("fit", truth.inputs, inside, 0, Scale::log2, {1, 2, 8, 64}, {.terms = false});
  EXPECT_GT(without.in_sample->mape, fit.in_sample->mape + 0.05);  // the ablation costs something
}

// A slope that grows with the work needs a second line with a negative offset; without leave it cannot be
// had.
TEST(Fit, OffsetsMayFallBelowZeroWhenAllowed) {
  Model truth{.name = "convex", .inputs = {"bytes"}};
  truth.base = MaxOfLines{{{"cache", 1, {1}}, {"memory", -99, {3}}}};
  std::vector<Sample> samples;
  for (double x = 1; x < 1000; x *= 1.2) samples.push_back({{x}, truth({x})});
  EXPECT_LT(fit_lines("free", {"bytes"}, samples, {.free_offsets = true}).held_out->worst, 1e-6);
  const Model bound = fit_lines("bound", {"bytes"}, samples);
  EXPECT_GT(bound.held_out->worst, 0.01);
  for (const Line& line : std::get<MaxOfLines>(bound.base).lines) EXPECT_GE(line.offset, 0);
}

TEST(Fit, SameSeedSameModelAndBadSamplesAreRefused) {
  const auto samples = draw_from(step_model(), 60, 0.1, 6);
  const auto a = to_yaml(fit_lines("m", {"a", "b"}, samples)),
             b = to_yaml(fit_lines("m", {"a", "b"}, samples));
  EXPECT_EQ(a, b);
  using Samples = std::vector<Sample>;
  EXPECT_THROW(fit_lines("m", {"a"}, Samples{{{1}, 1}}), InvalidInput);               // too few
  EXPECT_THROW(fit_lines("m", {"a"}, Samples(10, Sample{{1, 2}, 1})), InvalidInput);  // inputs
  EXPECT_THROW(fit_lines("m", {"a"}, Samples(10, Sample{{1}, 0})), InvalidInput);     // not positive
  EXPECT_THROW(fit_lines("m", {"a"}, Samples(10, Sample{{std::nan("")}, 1})), InvalidInput);
  EXPECT_THROW(fit_lines("m", {"a"}, Samples(10, Sample{{1}, 1}), {.lines = 0}), InvalidInput);
}

TEST(CostFile, YamlAndJsonReadBackEqual) {
  Model fitted = fit_lines("fit", {"a", "b"}, draw_from(step_model(), 60, 0.1, 7));
  fitted.origin = "published: a paper, table 2";
  for (const Model& m : {step_model(), curve_model(Scale::log2), grid_model(), fitted,
                         roofline("r: with a colon", {{"compute", "flops", 3e12}}, 1e-6)}) {
    for (const std::string& text : {to_yaml(m), to_json(m).dump(2)}) {
      const Model back = parse_model(text, "text");
      EXPECT_EQ(to_json(back).dump(), to_json(m).dump()) << text;
      const std::vector<double> at(m.inputs.size(), 3.0);
      EXPECT_EQ(back(at), m(at));
    }
  }
}

struct BadFile {
  const char* what;
  const char* text;
  const char* complaint;
};

TEST(CostFile, ComplaintsNameTheLine) {
  const std::string head = "schema: ballast.cost/1\nname: m\ninputs: [n]\n";
  const BadFile files[] = {
      {"unknown key", "bsae: {}\n", "f:4: unknown key 'bsae'; accepted: "},
      {"the nearest key", "bsae: {}\n", "did you mean 'base'?"},
      {"no base", "", "'base' is missing"},
      {"two bases", "base: {lines: [], curve: {}}\n", "f:4: 2 bases"},
      {"no number", "base:\n  lines:\n    - {offset: x}\n", "f:6: 'x' is no number"},
      {"a hidden nan", "base: {lines: [{offset: .nan}]}\n", "f:4: '.nan' is no number"},
      {"unknown input", "base: {lines: [{offset: 1}]}\nterms: {q: 1}\n", "f:5: unknown key 'q'"},
      {"falling knots", "base:\n  curve: {input: n, knots: [[2, 1], [1, 2]]}\n",
       "f:4: curve of model 'm': knot 2"},
      {"odd knot", "base:\n  curve:\n    input: n\n    knots:\n      - [1, 2, 3]\n",
       "f:8: a knot of 3 numbers"},
      {"rate of zero", "base: {roofline: {ceilings: [{name: c, input: n, per_second: 0}]}}\n", "not above 0"},
      {"broken YAML", "base: {lines: [\n", "f:5: "},
      {"a list as a name", "base: {lines: [{name: [a]}]}\n", "f:4: this is no word"},
      {"bytes that are no UTF-8", "base: {lines: [{name: \"a\x98\x98\"}]}\n", "f:4: this is not UTF-8"},
      {"cells", "base: {grid: {axes: [{input: n, knots: [1, 2]}], values: [1]}}\n", "1 values for 2 cells"},
      {"key twice", "base: {lines: [{offset: 1}]}\nbase: {lines: [{offset: 1}]}\n", "'base' twice"},
  };
  for (const auto& file : files) {
    try {
      parse_model(head + file.text, "f");
      FAIL() << file.what;
    } catch (const InvalidInput& error) {
      EXPECT_NE(std::string(error.what()).find(file.complaint), std::string::npos)
          << file.what << ": " << error.what();
    }
  }
  EXPECT_THROW(parse_model("", "f"), InvalidInput);
  EXPECT_THROW(parse_model("[1, 2]", "f"), InvalidInput);
  EXPECT_THROW(parse_model("schema: other/1\n", "f"), InvalidInput);
  EXPECT_THROW(read_model("/no/such/model.yaml"), Unavailable);
}

TEST(CostFile, AppearsWholeUnderItsName) {
  const TemporaryFolder folder;
  for (const char* name : {"m.yaml", "m.json"}) {
    write_model(step_model(), folder.file(name));
    EXPECT_EQ(to_json(read_model(folder.file(name))).dump(), to_json(step_model()).dump());
  }
  EXPECT_THROW(write_model(step_model(), "/no/such/folder/m.yaml"), Unavailable);
}

}  // namespace
}  // namespace ballast::cost
