#include "ballast/tune/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <optional>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/model/decoder.h"
#include "ballast/model/state.h"
#include "ballast/model/threads.h"
#include "ballast/tune/corpus.h"
#include "ballast/tune/eight_bit.h"
#include "ballast/tune/kernels.h"
#include "ballast/tune/paths.h"

namespace ballast::tune {
namespace {

// Real text that every Debian machine has.
constexpr const char* kText = "/usr/share/common-licenses";

model::DecoderConfig tiny() {
  return {.vocabulary = 256,
          .hidden = 64,
          .blocks = 4,
          .heads = 4,
          .kv_heads = 2,
          .feed_forward = 128,
          .context = 128};
}

std::shared_ptr<model::Decoder> tiny_model() {
  model::use_threads(1);
  torch::manual_seed(1);
  return std::make_shared<model::Decoder>(tiny());
}

Corpus tiny_corpus() {
  Random random(3);
  std::vector<std::int32_t> tokens;
  // Text-like: runs of a few words over a small alphabet.
  for (int i = 0; i < 4000; ++i)
    tokens.push_back(static_cast<std::int32_t>(97 + (i * 7 + static_cast<int>(random.below(3))) % 26));
  return Corpus(std::move(tokens), {.window = 16, .calibration = 4});
}

struct Outcome {
  std::uint64_t checksum;
  std::vector<double> losses;
  std::int64_t d2h, h2d, peak;
};

Outcome run(std::unique_ptr<Method> method, int steps, const DeviceOptions& options = {}, int micro = 1,
            TrainOptions train = {.rate = 1e-3}) {
  auto model = tiny_model();
  EmulatedDevice device(options);
  Trainer trainer(*model, device, std::move(method), train);
  const Corpus corpus = tiny_corpus();
  trainer.calibrate(corpus.calibration(2));
  const std::int64_t d2h = device.d2h().bytes(), h2d = device.h2d().bytes();
  Outcome outcome{};
  for (int i = 0; i < steps; ++i) {
    std::vector<model::TokenBatch> batches;
    for (int j = 0; j < micro; ++j) batches.push_back(corpus.batch(i * micro + j, 4 / micro));
    outcome.losses.push_back(trainer.step(batches).loss);
  }
  trainer.settle();
  outcome.checksum = model::state_checksum(*model);
  outcome.d2h = device.d2h().bytes() - d2h;
  outcome.h2d = device.h2d().bytes() - h2d;
  outcome.peak = device.memory()->peak();
  return outcome;
}

LspOptions lsp_options() {
  return {.fraction = 0.5, .r = 4, .fit = {.iterations = 10, .accept = 0}};
}

// Oracle 5: the order of service changes times, never weights; with a slow link and a single slot too.
TEST(Schedules, AllGiveTheSameWeights) {
  const LinkSpeed slow{.d2h = 200e6, .h2d = 150e6, .latency_s = 20e-6};
  for (const bool lsp : {false, true}) {
    std::optional<Outcome> first;
    for (const std::string& name : schedule_names()) {
      if (name == "zero-dpu") continue;  // stale weights by design
      for (const int slots : {1, 8}) {
        Schedule schedule = schedule_from_string(name);
        schedule.transition = 1;
        const EngineOptions engine{.slots = slots, .chunk_bytes = 4096};
        const Outcome outcome =
            run(lsp ? make_lsp(lsp_options(), schedule, engine) : make_zero(schedule, engine), 6,
                {.link = slow, .host_rate = 50e6});
        if (!first) first = outcome;
        EXPECT_EQ(outcome.checksum, first->checksum) << name << " slots " << slots << " lsp " << lsp;
        EXPECT_EQ(outcome.losses, first->losses);
      }
    }
  }
}

// The delayed update against its plain definition: weights of step k hold the
// updates by gradients up to step k − 2.
TEST(Schedules, DelayedUpdateEqualsAPlainReference) {
  constexpr int kSteps = 6;
  const Outcome ours =
      run(make_zero(schedule_from_string("zero-dpu"), {.chunk_bytes = 4096, .delayed_warmup = -1}), kSteps,
          {.link = {.d2h = 200e6, .h2d = 150e6}}, 1, {.rate = 1e-3, .train_norms = false});

  auto model = tiny_model();
  for (at::Tensor& parameter : model->parameters()) parameter.requires_grad_(false);
  const Corpus corpus = tiny_corpus();
  const std::vector<Unit> units = units_of(*model);
  struct State {
    at::Tensor master, m, v;
  };
  std::vector<State> states;
  std::vector<at::Tensor> gradients(units.size()), before(units.size());
  for (const Unit& unit : units) {
    states.push_back(
        {unit.layer->weight.clone(), at::zeros_like(unit.layer->weight), at::zeros_like(unit.layer->weight)});
    unit.layer->path = std::make_shared<DensePath>(
        [&gradients, id = static_cast<std::size_t>(unit.id)](const at::Tensor& g) { gradients[id] = g; });
  }
  const auto update = [&](std::vector<at::Tensor>& by, int step) {
    for (const Unit& unit : units) {
      const auto id = static_cast<std::size_t>(unit.id);
      const kernels::AdamStep adam{.correction1 = 1 - std::pow(0.9, step + 1),
                                   .correction2 = 1 - std::pow(0.999, step + 1)};
      kernels::adam_parameters(by[id].data_ptr<float>(), states[id].m.data_ptr<float>(),
                               states[id].v.data_ptr<float>(), states[id].master.data_ptr<float>(),
                               unit.size(), adam, 1.0f, 1e-3f);
    }
  };
  for (int step = 0; step < kSteps; ++step) {
    const double loss = forward_backward(*model, corpus.batch(step, 4), {}, {}).mean();
    EXPECT_EQ(loss, ours.losses[static_cast<std::size_t>(step)]) << step;
    if (step > 0) {
      update(before, step - 1);
      for (const Unit& unit : units) {
        at::Tensor weight = unit.layer->weight;
        weight.copy_(states[static_cast<std::size_t>(unit.id)].master);
      }
    }
    for (std::size_t id = 0; id < units.size(); ++id) before[id] = gradients[id].clone();
  }
  for (const Unit& unit : units) unit.layer->path = nullptr;
}

TEST(Schedules, ZeroEqualsNativeBitForBit) {
  const Outcome native = run(make_native(false), 6);
  const Outcome in_backward = run(make_native(true), 6);
  const Outcome zero = run(make_zero(schedule_from_string("zero"), {}), 6);
  EXPECT_EQ(native.checksum, zero.checksum);
  EXPECT_EQ(native.checksum, in_backward.checksum);
}

// Oracle 8: bytes on each channel equal the closed form.
TEST(Schedules, BytesAreThoseOfTheFormula) {
  auto model = tiny_model();
  std::int64_t dense = 0, compressed = 0;
  for (const Unit& unit : units_of(*model)) {
    const std::int64_t d = std::min(unit.rows(), unit.cols()) / 2;
    dense += 4 * unit.size();
    compressed += 4 * d * d;
  }
  const Outcome zero = run(make_zero(schedule_from_string("layerwise"), {}), 3);
  EXPECT_EQ(zero.d2h, 3 * dense);
  EXPECT_EQ(zero.h2d, 3 * dense);
  const Outcome lsp = run(make_lsp(lsp_options(), schedule_from_string("layerwise"), {}), 3);
  EXPECT_EQ(lsp.d2h, 3 * compressed);
  EXPECT_EQ(lsp.h2d, 3 * compressed);
}

TEST(Training, EveryMethodLearns) {
  const auto learns = [](std::unique_ptr<Method> method, double rate) {
    const std::string name = method->name();
    const Outcome outcome = run(std::move(method), 80, {}, 1, {.rate = rate});
    const auto mean_of_five = [&](std::size_t first) {
      return std::accumulate(outcome.losses.begin() + static_cast<long>(first),
                             outcome.losses.begin() + static_cast<long>(first) + 5, 0.0) /
             5;
    };
    EXPECT_LT(mean_of_five(75), mean_of_five(0) - 0.2) << name;
  };
  learns(make_native(false), 2e-3);
  learns(make_lsp(lsp_options(), schedule_from_string("layerwise"), {}), 6e-3);
  learns(make_lora(8), 1e-2);
  learns(make_galore({.rank = 16, .gap = 20, .scale = 1.0}), 2e-3);
}

// Oracle 3, second half: micro-batches add up to the large batch (to rounding).
TEST(Training, MicroBatchesAddUp) {
  for (const bool lsp : {false, true}) {
    const auto method = [&] {
      return lsp ? make_lsp(lsp_options(), schedule_from_string("layerwise"), {})
                 : make_zero(schedule_from_string("zero"), {});
    };
    const Outcome whole = run(method(), 3), parts = run(method(), 3, {}, 2);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(whole.losses[i], parts.losses[i], 1e-4);
  }
}

// Oracle 14: with the full rank, a fixed basis and scale 1, GaLore follows
// Adam's loss closely.
TEST(Training, GaloreOfFullRankTracksAdam) {
  const Outcome adam = run(make_native(false), 15),
                galore = run(make_galore({.rank = 1000, .gap = 1000, .scale = 1.0}), 15);
  for (std::size_t i = 0; i < 15; ++i) EXPECT_NEAR(galore.losses[i], adam.losses[i], 0.15) << i;
}

// Oracle 14: merged adapters give the adapters' forward pass.
TEST(Training, MergedLoraEqualsItsForward) {
  auto model = tiny_model();
  EmulatedDevice device({});
  Trainer trainer(*model, device, make_lora(4), {.rate = 1e-2});
  const Corpus corpus = tiny_corpus();
  for (int i = 0; i < 3; ++i) trainer.step({corpus.batch(i, 4)});
  const at::NoGradGuard no_grad;
  const at::Tensor before = model->logits(corpus.batch(9, 2));
  trainer.method().merge();
  EXPECT_LT((model->logits(corpus.batch(9, 2)) - before).abs().max().item<double>(), 1e-5);
}

// Oracle 3, first half: factored and dense compression agree.
TEST(Training, FactoredEqualsDenseCompression) {
  LspOptions dense = lsp_options();
  dense.factored = false;
  const auto schedule = schedule_from_string("layerwise");
  const Outcome a = run(make_lsp(lsp_options(), schedule, {}), 5), b = run(make_lsp(dense, schedule, {}), 5);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(a.losses[i], b.losses[i], 1e-4);
}

// A loss that is not finite changes nothing; three in a row end the run.
TEST(Training, StepsWithoutAFiniteLossAreSkipped) {
  for (const bool lsp : {false, true}) {
    auto model = tiny_model();
    EmulatedDevice device({});
    const auto schedule = schedule_from_string("layerwise");
    Trainer trainer(*model, device, lsp ? make_lsp(lsp_options(), schedule, {}) : make_zero(schedule, {}),
                    {.rate = 1e-3});
    const Corpus corpus = tiny_corpus();
    trainer.calibrate(corpus.calibration(2));
    trainer.step({corpus.batch(0, 4)});
    trainer.settle();
    const auto set = [&](float value) {
      const at::NoGradGuard no_grad;
      model->output_norm->weight[0] = value;
    };
    const float kept = model->output_norm->weight[0].item<float>();
    set(NAN);
    const std::uint64_t before = model::state_checksum(*model);
    EXPECT_TRUE(trainer.step({corpus.batch(1, 4)}).skipped);
    trainer.settle();
    EXPECT_EQ(model::state_checksum(*model), before);
    set(kept);
    EXPECT_FALSE(trainer.step({corpus.batch(2, 4)}).skipped);
    set(NAN);
    trainer.step({corpus.batch(3, 4)});
    trainer.step({corpus.batch(4, 4)});
    EXPECT_THROW(trainer.step({corpus.batch(5, 4)}), Unavailable);
  }
}

TEST(Training, CheckpointingChangesNothingButMemory) {
  const Outcome plain = run(make_native(false), 4);
  const Outcome again = run(make_native(false), 4, {}, 1, {.rate = 1e-3, .checkpointing = true});
  EXPECT_EQ(plain.checksum, again.checksum);
  EXPECT_LT(again.peak, plain.peak);
}

// Swapping changes where the moments lie, not what is computed; each crosses once each way in a step.
TEST(Training, SwapEqualsNativeAndCountsItsBytes) {
  const Outcome native = run(make_native(true), 6);
  const Outcome swap = run(make_swap(), 6, {.link = {.d2h = 400e6, .h2d = 300e6}});
  EXPECT_EQ(swap.checksum, native.checksum);
  EXPECT_LT(swap.peak, native.peak);
  std::int64_t parameters = 0;
  for (const Unit& unit : units_of(*tiny_model())) parameters += unit.size();
  EXPECT_EQ(swap.h2d, 6 * 8 * parameters);
  EXPECT_EQ(swap.d2h, 6 * 8 * parameters);
}

TEST(EightBit, CodesAreCloseAndKeepSignAndZero) {
  EXPECT_EQ(decode_signed(encode_signed(0)), 0.0f);
  EXPECT_EQ(decode_positive(encode_positive(0)), 0.0f);
  EXPECT_EQ(decode_signed(encode_signed(-1)), -1.0f);
  EXPECT_EQ(decode_positive(encode_positive(1)), 1.0f);
  EXPECT_GT(decode_positive(encode_positive(1e-30f)), 0.0f);  // a root divides by it
  for (float x = 1e-4f; x <= 1; x *= 1.01f) {
    EXPECT_NEAR(decode_signed(encode_signed(-x)), -x, x / 16);
    EXPECT_NEAR(decode_positive(encode_positive(x)), x, x / 16);
  }
}

TEST(EightBit, FollowsAdamInAQuarterOfTheState) {
  const Outcome wide = run(make_native(true), 15), narrow = run(make_native(true, 8), 15);
  for (std::size_t i = 0; i < 15; ++i) EXPECT_NEAR(narrow.losses[i], wide.losses[i], 0.05) << i;
  EXPECT_LT(narrow.peak, wide.peak);
  EXPECT_THROW(make_native(true, 4), InvalidInput);
  EXPECT_THROW(make_native(false, 8), InvalidInput);
}

// A limit that is never reached changes nothing; a global norm is the same wherever the updates run.
TEST(Clipping, GlobalNormsAreThoseOfAllUnits) {
  const auto schedule = schedule_from_string("layerwise");
  const auto train = [](Clip clip, double norm) {
    return TrainOptions{.rate = 1e-3, .clip = clip, .clip_norm = norm};
  };
  const Outcome plain = run(make_native(true), 5);
  for (const Clip clip : {Clip::unit, Clip::global_prev, Clip::global_sync})
    EXPECT_EQ(run(make_native(true), 5, {}, 1, train(clip, 1e9)).checksum, plain.checksum);
  // Adam's epsilon makes a tiny gradient visible: clipping to 1e-6 must change the weights.
  const Outcome sync = run(make_native(true), 5, {}, 1, train(Clip::global_sync, 1e-6));
  EXPECT_NE(sync.checksum, plain.checksum);
  EXPECT_EQ(run(make_native(false), 5, {}, 1, train(Clip::global_sync, 1e-6)).checksum, sync.checksum);
  EXPECT_EQ(run(make_zero(schedule, {}), 5, {}, 1, train(Clip::global_sync, 1e-6)).checksum, sync.checksum);
  EXPECT_NE(run(make_native(true), 5, {}, 1, train(Clip::global_prev, 1e-6)).checksum, plain.checksum);
}

TEST(Engine, Bf16OnTheWireHalvesTheBytes) {
  const auto schedule = schedule_from_string("layerwise");
  const Outcome wide = run(make_lsp(lsp_options(), schedule, {}), 6);
  const Outcome narrow = run(make_lsp(lsp_options(), schedule, {.bf16_wire = true}), 6);
  EXPECT_EQ(2 * narrow.d2h, wide.d2h);
  EXPECT_EQ(2 * narrow.h2d, wide.h2d);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(narrow.losses[i], wide.losses[i], 0.02) << i;
}

// The singular vectors are the best pair of their size for the gradient that they come from.
TEST(Training, SingularVectorsAreTheBestProjectors) {
  const auto bias = [](bool svd) {
    auto model = tiny_model();
    EmulatedDevice device({});
    LspOptions options = lsp_options();
    options.svd = svd;
    options.fit.iterations = 40;
    Trainer trainer(*model, device, make_lsp(options, schedule_from_string("layerwise"), {}), {.rate = 1e-3});
    const Corpus corpus = tiny_corpus();
    std::vector<double> biases;
    for (const UnitBias& unit : trainer.calibrate(corpus.calibration(2)).biases) biases.push_back(unit.after);
    const double before = trainer.step({corpus.batch(0, 4)}).loss;
    for (int i = 1; i < 10; ++i) trainer.step({corpus.batch(i, 4)});
    EXPECT_LT(trainer.step({corpus.batch(0, 4)}).loss, before);
    return biases;
  };
  const auto best = bias(true), learned = bias(false);
  for (std::size_t i = 0; i < best.size(); ++i) EXPECT_LT(best[i], learned[i]) << i;
}

// Oracle 12 in small: a budget between what lsp and native need lets one train and refuses the other.
TEST(Memory, BudgetIsKeptAndNamed) {
  const auto lsp = [&] { return make_lsp(lsp_options(), schedule_from_string("layerwise"), {}); };
  const std::int64_t need = run(lsp(), 2).peak;
  const DeviceOptions tight{.budget = {static_cast<std::uint64_t>(need)}};
  EXPECT_LE(run(lsp(), 2, tight).peak, need);
  try {
    run(make_native(false), 2, tight);
    FAIL() << "native fitted";
  } catch (const DeviceOutOfMemory& error) {
    EXPECT_NE(std::string(error.what()).find("optimizer state"), std::string::npos) << error.what();
  }
}

TEST(Memory, CountsWhatIsMadeInScopeUntilItGoes) {
  install_counting_allocator();
  const auto memory = std::make_shared<DeviceMemory>(Bytes{10000});
  at::Tensor kept;
  {
    const DeviceScope scope(memory, "kept");
    kept = torch::empty({1000}, torch::kFloat32);
    const HostScope host;
    const at::Tensor elsewhere = torch::empty({100000}, torch::kFloat32);
    EXPECT_EQ(memory->used(), 4000);
  }
  {
    const DeviceScope scope(memory, "too much");
    EXPECT_THROW(torch::empty({2000}, torch::kFloat32), DeviceOutOfMemory);
  }
  EXPECT_EQ(memory->used(), 4000);
  kept.reset();
  EXPECT_EQ(memory->used(), 0);
  EXPECT_EQ(memory->peak(), 4000);
}

// A fault in any stage reaches the training thread, with nothing left hanging.
TEST(Engine, FaultsOfWorkersReachTheCaller) {
  EmulatedDevice device({});
  Engine engine(device, schedule_from_string("layerwise"), {});
  engine.begin_step(0);
  at::Tensor values = torch::ones({100});
  engine.submit(
      {.block = 0,
       .unit = 0,
       .source = values,
       .target = values,
       .update = [](std::int64_t, std::int64_t, float*) { throw Unavailable("a fault was injected"); }});
  engine.backward_done();
  EXPECT_THROW(engine.wait_block(0), Unavailable);
  EXPECT_THROW(engine.drain(), Unavailable);
}

TEST(Engine, TheLinkTakesItsTime) {
  EmulatedDevice device({.link = {.d2h = 10e6, .h2d = 20e6, .latency_s = 1e-3}});
  std::vector<char> from(200000), to(200000);
  const double start = now();
  device.d2h().copy(to.data(), from.data(), 200000);
  EXPECT_GE(now() - start, 0.021);
  EXPECT_EQ(device.d2h().bytes(), 200000);
}

TEST(Schedule, TransitionFollowsTheInequality) {
  // Hand-worked: L = 10, T_BWD = 10, stages 2, 1, 1: c = 2, p = 4, k = floor((10 − 2)/2) = 4, so index 10 − 4
  // − 1.
  EXPECT_EQ(transition_block({.blocks = 10, .backward = 10, .d2h = 2, .update = 1, .h2d = 1}), 5);
  // Nothing piles up: first come, first served.
  EXPECT_EQ(transition_block({.blocks = 10, .backward = 10, .d2h = 0.9, .update = 0.5, .h2d = 0.5}), -1);
  // A hopeless link: all blocks last come, first served.
  EXPECT_EQ(transition_block({.blocks = 4, .backward = 1, .d2h = 9, .update = 9, .h2d = 9}), 3);
}

TEST(Corpus, AnEpochHoldsEachWindowOnce) {
  std::vector<std::int32_t> tokens(1001);
  for (int i = 0; i < 1001; ++i) tokens[static_cast<std::size_t>(i)] = i;
  const Corpus corpus(tokens, {.window = 10, .validation = 0.1, .calibration = 5});
  std::set<std::int64_t> seen;
  for (std::int64_t step = 0; step < 17; ++step) {
    const model::TokenBatch batch = corpus.batch(step, 5);
    EXPECT_TRUE(batch.labels.equal(batch.ids + 1));
    for (std::int64_t row = 0; row < 5; ++row)
      EXPECT_TRUE(seen.insert(batch.ids[row][0].item<std::int64_t>()).second);
  }
  EXPECT_EQ(corpus.training_windows(), 85);
  for (const auto& batch : corpus.validation(4))
    EXPECT_FALSE(seen.contains(batch.ids[0][0].item<std::int64_t>()));
  EXPECT_THROW(Corpus(std::vector<std::int32_t>(20), {.window = 10}), InvalidInput);
  EXPECT_GT(read_text(kText).size(), 10000u);
}

}  // namespace
}  // namespace ballast::tune
