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

void expect_gradients(const Module& module, const std::vector<Instance>& batch, int nonzeros = 6) {
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
  EXPECT_GE(nonzero, nonzeros);
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

/// A loss whose gradient has no zeros by accident: y as one row, times a row of weights.
struct OperatorCase {
  const char* name;
  const char* expression;  ///< of A, B [3, 4], M [4, 3], r [4], p [4] > 0, G [2, 3, 4], K [2, 4, 3]
  int numbers;             ///< of the result
};
class DynamicGradient : public testing::TestWithParam<OperatorCase> {};

TEST_P(DynamicGradient, IsTheFiniteDifference) {
  const OperatorCase& c = GetParam();
  const std::string text =
      std::string(
          "param A: Tensor[f32, 3, 4] = normal(1.0); param B: Tensor[f32, 3, 4] = normal(1.0);\n"
          "param M: Tensor[f32, 4, 3] = normal(1.0); param r: Tensor[f32, 4] = normal(1.0);\n"
          "param p: Tensor[f32, 4] = uniform(0.5, 1.5); param G: Tensor[f32, 2, 3, 4] = normal(1.0);\n"
          "param K: Tensor[f32, 2, 4, 3] = normal(1.0); param w: Tensor[f32, ") +
      std::to_string(c.numbers) +
      "] = normal(1.0);\n@entry fn main(x: Tensor[f32, 4], k: Tensor[f32, 3, 4]) -> Tensor[f32, 1] {\n  let "
      "y = " +
      c.expression + ";\n  sum(reshape(y, " + std::to_string(c.numbers) + ") * w) }";
  const Module module = Module::from_text(text);
  expect_gradients(module, draw_instances(module, 2, 5), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Each, DynamicGradient,
    testing::Values(
        OperatorCase{"dense_matrix", "dense(k, A, slice(r, 0, 0, 3))", 9},
        OperatorCase{"dense_of_intermediates", "dense(x, k * A)", 3},
        OperatorCase{"dense_vector", "dense(x * r, A)", 3}, OperatorCase{"matmul", "matmul(k * A, M)", 9},
        OperatorCase{"matmul_of_intermediates", "matmul(k * A, M * 0.5 + M * M)", 9},
        OperatorCase{"batch_matmul", "batch_matmul(G * 0.5, K)", 18}, OperatorCase{"relu", "relu(k * A)", 12},
        OperatorCase{"gelu", "gelu(k * A)", 12}, OperatorCase{"erf", "erf(k * A)", 12},
        OperatorCase{"max", "max(k * A, B)", 12}, OperatorCase{"min", "min(k * A, B)", 12},
        OperatorCase{"layer_norm", "layer_norm(k * A, p, r)", 12},
        OperatorCase{"layer_norm_row", "layer_norm(x * r, p, r)", 4},
        OperatorCase{"softmax_matrix", "softmax(k * A)", 12},
        OperatorCase{"log_softmax_matrix", "log_softmax(k * A)", 12},
        OperatorCase{"sum_first_axis", "sum(k * A, 0)", 4}, OperatorCase{"sum_last_axis", "sum(k * A, 1)", 3},
        OperatorCase{"mean_axis", "mean(k * A, 0)", 4}, OperatorCase{"reduce_max", "reduce_max(k * A, 1)", 3},
        OperatorCase{"reduce_max_first_axis", "reduce_max(k * A, 0)", 4},
        OperatorCase{"broadcast_row", "k * r", 12},
        OperatorCase{"broadcast_column", "k * reshape(sum(A, 1), 3, 1)", 12},
        OperatorCase{"division_by_row", "k / p", 12},
        OperatorCase{"transpose", "transpose(G, 2, 0, 1) * 1.5", 24},
        OperatorCase{"concat_slice", "slice(concat(A, B, 0), 0, 1, 5) * 2.0", 16},
        OperatorCase{"exp_log_sqrt", "exp(r) + log(p) * sqrt(p)", 4},
        OperatorCase{"tanh_sigmoid_neg", "tanh(r) * sigmoid(-p) - r", 4}),
    [](const auto& c) { return c.param.name; });

TEST(DynamicTraining, ModelsOfIntermediateProductsAndAttentionAreFiniteDifferences) {
  // mvrnn multiplies intermediates; berxit is attention with layer norm and gelu, and decides from tensors.
  for (const char* name : {"mvrnn", "berxit"}) {
    const std::string full = model_text(name);
    const bool tree = std::string(name) == "mvrnn";
    std::string text = full.substr(0, full.find("@entry"));
    text += tree ? "@entry fn main(t: Tree) -> Tensor[f32, 1] { sum(tanh(walk(t).0) * reshape(slice(Wc, 0, "
                   "0, 1), H)) }"
                 : "@entry fn main(x: Tensor[f32, T, H]) -> Tensor[f32, 1] { let cls = encode(x, 1); "
                   "pick_neg_log_softmax(dense(cls, Wc, bc), 3) }";
    const Module module =
        Module::from_text(text, name,
                          tree ? std::map<std::string, std::int64_t>{{"H", 3}, {"V", 6}}
                               : std::map<std::string, std::int64_t>{{"D", 4}, {"G", 2}, {"T", 3}});
    expect_gradients(module, draw_instances(module, 2, 5));
  }
}

/// Steps of both optimisers on sum((w - a)^2), whose gradient is 2 (w - a), computed here in double.
TEST(DynamicTraining, StepsAreTheOptimisersRecurrences) {
  const Module module = Module::from_text(
      "param w: Tensor[f32, 3] = ones;\n@entry fn main(a: Tensor[f32, 3]) -> Tensor[f32, 1] "
      "{ sum((w - a) * (w - a)) }");
  const Executable exe = compile(module, {.constants = false});
  const std::vector<Instance> batch{{Value::of_tensor({3}, {0.5F, -1, 2})},
                                    {Value::of_tensor({3}, {1, 3, -2})}};
  const double mean[] = {0.75, 1, 0};
  for (const std::string optimizer : {"sgd", "adam"}) {
    const TrainOptions options{.optimizer = optimizer, .rate = 0.05, .momentum = 0.5};
    Trainer trainer(exe, initial_parameters(module, 1), options);
    double w[] = {1, 1, 1}, m[] = {0, 0, 0}, v[] = {0, 0, 0};
    for (int step = 1; step <= 25; ++step) {
      double loss = 0;
      for (const Instance& one : batch)
        for (int i = 0; i < 3; ++i) {
          const double d = w[i] - static_cast<double>(one[0].elements[static_cast<std::size_t>(i)]);
          loss += d * d / 2;
        }
      EXPECT_NEAR(trainer.step(batch), loss, 1e-4 * loss) << optimizer << " step " << step;
      for (int i = 0; i < 3; ++i) {
        const double g = 2 * (w[i] - mean[i]);
        if (optimizer == "sgd") {
          m[i] = 0.5 * m[i] + g;
          w[i] -= 0.05 * m[i];
        } else {
          m[i] = 0.9 * m[i] + 0.1 * g;
          v[i] = 0.999 * v[i] + 0.001 * g * g;
          w[i] -= 0.05 * (m[i] / (1 - std::pow(0.9, step))) /
                  (std::sqrt(v[i] / (1 - std::pow(0.999, step))) + 1e-8);
        }
        EXPECT_NEAR(trainer.parameters().at("w")[static_cast<std::size_t>(i)], w[i], 2e-5)
            << optimizer << " step " << step << " number " << i;
      }
    }
  }
}

TEST(DynamicTraining, LabelsAreLearnedByHeart) {
  const Module module = load_model("treelstm-loss", {{"H", 8}, {"V", 40}});
  const Executable exe = compile(module, {.constants = false});
  const std::vector<Instance> batch = draw_instances(module, 8, 3);
  Trainer trainer(exe, initial_parameters(module, 4), {.optimizer = "adam", .rate = 0.02});
  const double before = trainer.step(batch);
  for (int i = 0; i < 30; ++i) trainer.step(batch);
  EXPECT_LT(trainer.step(batch), 0.8 * before);
}

}  // namespace
}  // namespace ballast::dynamic
