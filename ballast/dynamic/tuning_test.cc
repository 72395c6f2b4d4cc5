// Tuning: weights by hand, the same bits with any choice, logs that are refused.
#include "ballast/dynamic/tuning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/dynamic/models.h"

namespace ballast::dynamic {
namespace {

TEST(DynamicTuning, StaticWeightsFollowTheCallGraph) {
  const Executable exe = compile(load_model("nestedrnn", {{"H", 8}}), {.native = false});
  const std::vector<double> weights = static_weights(exe);
  // Kernels of the inner loop lie deeper than those of the outer one, and those deeper than the classifier.
  const auto heaviest = [&](const char* function) {
    double most = 0;
    for (std::size_t t = 0; t < weights.size(); ++t)
      if (exe.unit.types[t].name.starts_with(function)) most = std::max(most, weights[t]);
    return most;
  };
  EXPECT_GT(heaviest("inner"), heaviest("outer"));
  EXPECT_GT(heaviest("outer"), heaviest("main"));
  EXPECT_EQ(heaviest("main"), 1);
}

TEST(DynamicTuning, ChoicesNeverChangeABit) {
  EXPECT_GE(kernel_candidates().size(), 24u);
  const Module module = load_model("latticelstm", {{"H", 8}, {"V", 50}});
  const Parameters parameters = initial_parameters(module, 3);
  const std::vector<Instance> batch = draw_instances(module, 5, 2);
  Executable exe = compile(module);
  const std::vector<Value> expected = Session(exe, parameters).run(batch);
  for (const KernelChoice& choice : kernel_candidates()) {
    if (choice.tile != 4 && choice.tile != 28) continue;
    exe.choices.assign(exe.unit.types.size(), choice);
    EXPECT_EQ(Session(exe, parameters).run(batch), expected) << "tile " << choice.tile;
  }
  exe.choices.clear();
  for (const char* weights : {"uniform", "static", "pgo"}) {
    const Tuning tuning = tune(exe, parameters, batch, {.weights = weights, .trials = 8});
    Executable tuned = exe;
    tuned.choices = tuning.choices;
    EXPECT_EQ(Session(tuned, parameters).run(batch), expected) << weights;
    EXPECT_EQ(choices_from_json(exe, tuning_to_json(tuning, 1), "log"), tuning.choices);
    int trials = 0;
    for (const Tuning::Kernel& kernel : tuning.kernels) trials += kernel.trials;
    EXPECT_GE(trials, static_cast<int>(exe.unit.types.size()) - 1) << weights;
  }
}

TEST(DynamicTuning, LogsThatDoNotFitAreRefused) {
  const Executable exe = compile(load_model("birnn", {{"H", 8}, {"V", 50}}), {.native = false});
  Json log = tuning_to_json({}, 1);
  EXPECT_EQ(choices_from_json(exe, log, "log").size(), exe.unit.types.size());
  const auto refuses = [&](const Json& json, const char* sentence) {
    EXPECT_THAT([&] { choices_from_json(exe, json, "log"); },
                testing::ThrowsMessage<InvalidInput>(testing::HasSubstr(sentence)));
  };
  Json other = log;
  other["cpu"] = "pentium";
  refuses(other, "tuned on the processor pentium");
  refuses(Json::object(), "no tuning log");
  log["kernels"] = {{{"type", "x"}, {"tile", 0}, {"reading", "auto"}}};
  refuses(log, "tile 0");
  log["kernels"] = {{{"type", "x"}, {"tile", 8}, {"reading", "copy"}}};
  refuses(log, "copied");
}

}  // namespace
}  // namespace ballast::dynamic
