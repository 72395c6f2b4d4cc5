// Gradients against finite differences of the reference interpreter, in double precision.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/models.h"
#include "ballast/dynamic/train/trainer.h"

namespace ballast::dynamic {
namespace {

double reference_loss(const Module& module, const Parameters& parameters,
                      const std::vector<Instance>& batch) {
  const Reference reference(module, parameters);
  double sum = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const std::vector<double> numbers = reference.numbers(batch[i], 1, i);
    // A list: its length, then the losses.
    for (std::size_t k = module.entry().result->kind == TypeNode::Kind::data ? 1 : 0; k < numbers.size(); ++k)
      sum += numbers[k];
  }
  return sum;
}

void expect_gradients(const Module& module, const std::vector<Instance>& batch) {
  const Executable exe = compile(module, {.constants = false});
  const Parameters parameters = initial_parameters(module, 4);
  Trainer trainer(exe, parameters);
  double loss = 0;
  const Parameters gradient = trainer.gradients(batch, &loss);
  EXPECT_NEAR(loss, reference_loss(module, parameters, batch), 1e-4 * std::abs(loss));
  Random random(7);
  int nonzero = 0;
  for (const auto& [name, values] : parameters) {
    for (int draw = 0; draw < 3; ++draw) {
      const std::size_t i = random.below(values.size());
      Parameters up = parameters, down = parameters;
      // The step as it is after rounding to f32.
      up[name][i] += 1.0f / 256;
      down[name][i] -= 1.0f / 256;
      const double step = static_cast<double>(up[name][i]) - static_cast<double>(down[name][i]);
      const double expected =
          (reference_loss(module, up, batch) - reference_loss(module, down, batch)) / step;
      EXPECT_NEAR(gradient.at(name)[i], expected, 2e-3 * std::max(1.0, std::abs(expected)))
          << name << "[" << i << "], seed 7";
      nonzero += std::abs(expected) > 1e-3 ? 1 : 0;
    }
  }
  EXPECT_GT(nonzero, 5);
}

TEST(DynamicTraining, TreeLstmGradientsAreFiniteDifferences) {
  const Module module = load_model("treelstm-loss", {{"H", 6}, {"V", 8}});
  expect_gradients(module, draw_instances(module, 3, 2));
}

TEST(DynamicTraining, OperatorsGradientsAreFiniteDifferences) {
  const Module module = Module::from_text(
      "const H = 5;\nparam W: Tensor[f32, H, 2*H] = xavier; param b: Tensor[f32, H] = normal(0.3); param s: "
      "Tensor[f32, H] = uniform(0.5, 1.5);\n"
      "param U: Tensor[f32, H, H] = xavier; param V: Tensor[f32, 1, H] = xavier;\n"
      "fn rnn(xs: List[Tensor[f32, H]], h: Tensor[f32, H], hs: List[Tensor[f32, H]]) -> List[Tensor[f32, H]] "
      "{\n"
      "  match xs { Nil => hs, Cons(x, t) => { let n = tanh(dense(concat(x, h), W, b)) / s; rnn(t, n, "
      "Cons(n, hs)) } } }\n"
      "@entry fn main(a: Tensor[f32, H], c: Tensor[f32, H]) -> Tensor[f32, 1] {\n"
      "  let m = add_n(rnn(Cons(a, Cons(c, Cons(a, Nil))), zeros(H), Nil));\n"
      "  let p = softmax(dense(exp(m * 0.5) - sqrt(s), U)) * sigmoid(-m);\n"
      "  dense(p, V) + sum(log_softmax(m)) * 0.1 + mean(log(s)) + pick_neg_log_softmax(p, 2) }");
  expect_gradients(module, draw_instances(module, 3, 2));
}

TEST(DynamicTraining, BothOptimisersLearn) {
  const Module module = load_model("treelstm-loss", {{"H", 8}, {"V", 40}});
  const Executable exe = compile(module);
  const std::vector<Instance> batch = draw_instances(module, 8, 3);
  // Labels are drawn at random: going on means learning them by heart, which Adam does faster.
  for (const auto& [optimizer, share] : {std::pair("sgd", 1.0), std::pair("adam", 0.8)}) {
    Trainer trainer(exe, initial_parameters(module, 4),
                    {.optimizer = optimizer, .rate = 0.02, .momentum = 0.5});
    const double before = trainer.step(batch);
    for (int i = 0; i < 30; ++i) trainer.step(batch);
    EXPECT_LT(trainer.step(batch), share * before) << optimizer;
  }
}

TEST(DynamicTraining, WhatCannotBeTrainedIsNamed) {
  const Module module = load_model("mvrnn", {{"H", 4}, {"V", 20}});
  const Executable exe = compile(module);
  EXPECT_THAT([&] { Trainer(exe, initial_parameters(module, 1)); },
              testing::ThrowsMessage<InvalidInput>(testing::HasSubstr("no gradient for")));
}

}  // namespace
}  // namespace ballast::dynamic
