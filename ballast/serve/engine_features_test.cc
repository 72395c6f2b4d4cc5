// What the engine does beside plain serving: kept prefixes, swap, drafts by a model, resuming,
// log-probabilities, embeddings, a unified pool, and failures of the library. Oracle throughout: the text of
// a request that ran alone.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <future>
#include <mutex>
#include <numeric>
#include <thread>

#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/llama/test_model.h"
#include "ballast/serve/local_model.h"
#include "ballast/serve/model_test.h"
#include "ballast/serve/test_profile.h"

namespace ballast::serve {
namespace {

struct Result {
  std::vector<llama::Token> tokens;
  std::vector<llama::TokenLogprob> logprobs;
  std::string text;
  Event last;
};

// Submits and waits.
class Call {
 public:
  Call(Engine& engine, Job job) {
    id = engine.submit(std::move(job), [state = state_](Event event) {
      const std::lock_guard lock(state->mutex);
      state->out.text += event.text;
      state->out.tokens.insert(state->out.tokens.end(), event.tokens.begin(), event.tokens.end());
      state->out.logprobs.insert(state->out.logprobs.end(), event.logprobs.begin(), event.logprobs.end());
      if (event.kind == Event::Kind::done) {
        state->out.last = std::move(event);
        state->done = true;
      }
      state->changed.notify_all();
    });
  }
  Result wait() {
    std::unique_lock lock(state_->mutex);
    EXPECT_TRUE(state_->changed.wait_for(lock, std::chrono::seconds(120), [&] { return state_->done; }));
    return state_->out;
  }
  void wait_for_tokens(std::size_t count) {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait_for(lock, std::chrono::seconds(120),
                             [&] { return state_->done || state_->out.tokens.size() >= count; });
  }
  Engine::Id id = 0;

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    Result out;
    bool done = false;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class EngineFeatures : public ModelTest<EngineFeatures> {
 protected:
  static EngineOptions options(int slots) {
    EngineOptions result;
    result.executor = {.slots = slots, .slot_tokens = 256, .batch = 128, .threads = 1};
    return result;
  }
  static std::unique_ptr<Policy> policy(const std::string& speculation = "off") {
    PolicySettings settings;
    settings.slos = {1e5, 1e5, 1e5, 1e5};
    settings.speculation = SpecSettings::parse(speculation);
    return make_policy("slos", settings);
  }
  static Job job(const std::string& prompt, int tokens) {
    Job result;
    result.prompt = model_->tokenize(prompt);
    result.max_tokens = tokens;
    result.sampling.ignore_end = true;
    result.ttft_slowdown = result.tpot_ms = 1e5;
    return result;
  }
};

const std::string kSystem =
    "You are a careful assistant on board of a ship. Answer in one short sentence, and name the sea that you "
    "mean. "
    "Question: ";

EngineSnapshot settled(Engine& engine, std::int64_t finished) {
  for (int i = 0; i < 1000 && engine.snapshot().finished < finished; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return engine.snapshot();
}

TEST_F(EngineFeatures, AKeptPrefixChangesNoText) {
  std::vector<std::string> prompts{kSystem + "Where is Malta?", kSystem + "Where is Gotland?",
                                   kSystem + "Where is Malta? Be quick."};
  std::vector<std::vector<llama::Token>> plain;
  {
    EngineOptions without = options(3);
    without.share_prefixes = false;
    Engine engine(*model_, generous(), policy(), without);
    for (const std::string& prompt : prompts) plain.push_back(Call(engine, job(prompt, 12)).wait().tokens);
    EXPECT_EQ(settled(engine, 3).shared_tokens, 0);
  }
  Engine engine(*model_, generous(), policy(), options(3));
  int same = 0;
  for (std::size_t i = 0; i < prompts.size(); ++i)
    same += Call(engine, job(prompts[i], 12)).wait().tokens == plain[i] ? 1 : 0;
  // Two at once: the second copies from a sequence that is still in use.
  Call first(engine, job(prompts[0], 40));
  first.wait_for_tokens(2);
  same += Call(engine, job(prompts[1], 12)).wait().tokens == plain[1] ? 1 : 0;
  first.wait();
  EXPECT_GE(same, 3) << "of 4; rounding of other batch shapes may part one";
  const auto shared = static_cast<std::int64_t>(model_->tokenize(kSystem).size());
  EXPECT_GE(settled(engine, 5).shared_tokens, 3 * (shared - 2));
}

TEST_F(EngineFeatures, AModelThatDraftsForItselfIsAlwaysRight) {
  const std::string prompt = "The three primary colours are";
  std::vector<llama::Token> plain;
  {
    Engine engine(*model_, generous(), policy(), options(2));
    plain = Call(engine, job(prompt, 20)).wait().tokens;
  }
  EngineOptions with = options(2);
  with.draft = model_;
  Engine engine(*model_, generous(), policy("fixed:4"), with);
  EXPECT_EQ(Call(engine, job(prompt, 20)).wait().tokens, plain);
  Call a(engine, job(prompt, 20)), b(engine, job("Water is made of", 20));
  EXPECT_EQ(a.wait().tokens, plain);
  b.wait();
  const EngineSnapshot figures = settled(engine, 3);
  EXPECT_GT(figures.counters.drafted, 5);
  // Rounding of batch shapes may part the two on a near tie, no more.
  EXPECT_GE(figures.counters.accepted_drafts, figures.counters.drafted * 8 / 10)
      << figures.counters.accepted_drafts << " of " << figures.counters.drafted;
}

TEST_F(EngineFeatures, AResumedTextGoesOnAsItWould) {
  Engine engine(*model_, generous(), policy(), options(2));
  Job whole = job("Monday, Tuesday, Wednesday,", 24);
  whole.stops = {"never this"};
  const Result all = Call(engine, whole).wait();
  for (const std::size_t cut : {1u, 9u, 23u}) {
    Job rest = whole;
    rest.prompt.insert(rest.prompt.end(), all.tokens.begin(),
                       all.tokens.begin() + static_cast<std::ptrdiff_t>(cut));
    rest.resumed = static_cast<int>(cut);
    const Result got = Call(engine, rest).wait();
    EXPECT_EQ(got.tokens, std::vector<llama::Token>(all.tokens.begin() + static_cast<std::ptrdiff_t>(cut),
                                                    all.tokens.end()));
    EXPECT_EQ(got.last.output_tokens, 24);
    EXPECT_EQ(got.last.prompt_tokens, static_cast<int>(whole.prompt.size()));
    EXPECT_EQ(got.last.finish_reason, "length");
  }
  Job foreign = whole;
  foreign.sampling.ignore_end = false;
  foreign.sampling.grammar = "root ::= \"yes\"";
  foreign.prompt.push_back(all.tokens[0]);
  foreign.resumed = 1;
  EXPECT_THROW(engine.submit(foreign, [](Event) {}), InvalidInput);
}

TEST_F(EngineFeatures, LogprobsBelongToTheTokens) {
  Engine engine(*model_, generous(), policy(), options(2));
  Job wanted = job("The capital of France is", 8);
  wanted.top_logprobs = 3;
  const Result out = Call(engine, wanted).wait();
  ASSERT_EQ(out.logprobs.size(), out.tokens.size());
  for (std::size_t i = 0; i < out.tokens.size(); ++i) {
    EXPECT_EQ(out.logprobs[i].token, out.tokens[i]);
    ASSERT_EQ(out.logprobs[i].top.size(), 3u);
    EXPECT_LE(out.logprobs[i].logprob, 0);
    EXPECT_GE(out.logprobs[i].top[0].second, out.logprobs[i].top[1].second);
    // Greedy: the token is the most probable one (the end tokens, which are barred, apart).
    if (!model_->ends_generation(out.logprobs[i].top[0].first)) {
      EXPECT_EQ(out.logprobs[i].top[0].first, out.tokens[i]);
    }
  }
}

TEST_F(EngineFeatures, EmbeddingsAreOfLengthOneAndKnowLikeFromUnlike) {
  Engine engine(*model_, generous(), policy(), options(2));
  auto embedding = [&](const std::string& text) {
    std::promise<std::vector<float>> made;
    engine.embed(model_->tokenize(text),
                 [&](std::vector<float> values) { made.set_value(std::move(values)); });
    return made.get_future().get();
  };
  auto dot = [](const std::vector<float>& a, const std::vector<float>& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  const auto cat = embedding("The cat sleeps on the warm sofa."),
             same = embedding("The cat sleeps on the warm sofa.");
  const auto kitten = embedding("A kitten is sleeping on the couch.");
  const auto law = embedding("Article 7 (2): the tariff is amended as of 1 January.");
  ASSERT_EQ(static_cast<int>(cat.size()), model_->embedding_size());
  EXPECT_NEAR(dot(cat, cat), 1, 1e-4);
  EXPECT_NEAR(dot(cat, same), 1, 1e-4);
  EXPECT_GT(dot(cat, kitten), dot(cat, law));
  // While a request runs, an embedding still comes.
  Call running(engine, job("A long story:", 60));
  running.wait_for_tokens(1);
  EXPECT_NEAR(dot(embedding("The cat sleeps on the warm sofa."), cat), 1, 1e-4);
  EXPECT_EQ(running.wait().tokens.size(), 60u);
}

TEST_F(EngineFeatures, AUnifiedPoolServesUnevenLengthsWithTheSameText) {
  std::vector<llama::Token> plain;
  {
    Engine engine(*model_, generous(), policy(), options(2));
    plain = Call(engine, job("The capital of Italy is", 10)).wait().tokens;
  }
  EngineOptions unified = options(8);
  unified.executor.slot_tokens = 128;
  unified.executor.pool = llama::KvPool::unified;  // 1024 cells for all
  Engine engine(*model_, generous(), policy(), unified);
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 12; ++i)
    calls.push_back(std::make_unique<Call>(engine, job("The capital of Italy is", 10)));
  int same = 0;
  for (auto& call : calls) same += call->wait().tokens == plain ? 1 : 0;
  EXPECT_GE(same, 10) << "of 12; rounding may part few";
  for (int i = 0; i < 500 && engine.snapshot().kv_used > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(engine.snapshot().kv_used, 0);
}

// One slot: an admitted request takes it from a best-effort one, which comes back afterwards, by swap or
// anew.
TEST_F(EngineFeatures, APreemptedRequestComesBackWithTheSameText) {
  for (const bool swap : {false, true}) {
    EngineOptions one = options(1);
    one.swap = swap;
    one.share_prefixes = false;
    Engine engine(*model_, generous(), policy(), one);
    Job patient = job("Once upon a time there was a", 40);
    const auto plain = Call(engine, patient).wait().tokens;
    Job hopeless = patient;
    hopeless.ttft_ms = 0.001;  // no plan can keep this: best effort from the start
    Call victim(engine, hopeless);
    victim.wait_for_tokens(5);
    Call urgent(engine, job("One, two,", 4));
    EXPECT_EQ(urgent.wait().tokens.size(), 4u);
    const Result back = victim.wait();
    EXPECT_EQ(back.tokens.size(), 40u);
    EXPECT_EQ(back.tokens == plain || back.tokens.size() == plain.size(), true);
    const EngineSnapshot figures = settled(engine, 3);
    EXPECT_EQ(figures.counters.preemptions, 1) << "swap " << swap;
    if (swap) {
      EXPECT_EQ(back.tokens, plain) << "restored memory is the same to the bit";
      EXPECT_GT(figures.swapped_tokens, 5);
    } else {
      EXPECT_EQ(figures.swapped_tokens, 0);
    }
  }
}

TEST_F(EngineFeatures, FailedStepsEndTheirRequestsAndThreeInARowTheService) {
  std::atomic<int> failing = 1;
  EngineOptions broken = options(2);
  broken.fault = [&] { return failing.load() > 0 && failing.fetch_sub(1) > 0; };
  Engine engine(*model_, generous(), policy(), broken);
  EXPECT_EQ(Call(engine, job("One, two,", 4)).wait().last.finish_reason, "failed");
  EXPECT_EQ(Call(engine, job("One, two,", 4)).wait().last.finish_reason, "length")
      << "one failure is survived";
  EXPECT_FALSE(engine.down());
  failing = 3;
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(Call(engine, job("One, two,", 4)).wait().last.finish_reason, "failed");
  EXPECT_TRUE(engine.down());
  EXPECT_THROW(engine.submit(job("x", 1), [](Event) {}), Unavailable);
  EXPECT_EQ(engine.snapshot().kv_used, 0);
}

// The number of threads and the weights' format are found by trying.
TEST_F(EngineFeatures, ThreadsAndWeightsAreChosenByMeasurement) {
  const TemporaryFolder folder;
  const char* before = std::getenv("BALLAST_CACHE");
  const std::string kept = before != nullptr ? before : "";
  LocalModelOptions options;
  options.model = model_->path();
  options.weights = "auto";
  options.executor.threads = 0;
  PerfModel perf = generous();
  write_file(folder.file("perf.json"), perf.to_json().dump());
  options.perf = folder.file("perf.json");
  ::setenv("BALLAST_CACHE", folder.path().c_str(), 1);
  const LocalModel first = open_local_model(options), second = open_local_model(options);
  kept.empty() ? ::unsetenv("BALLAST_CACHE") : ::setenv("BALLAST_CACHE", kept.c_str(), 1);
  EXPECT_GE(first.executor.threads, 1);
  EXPECT_LE(first.executor.threads, static_cast<int>(std::thread::hardware_concurrency()));
  // The verdict names every candidate, is kept, and never takes a format below the file's precision.
  EXPECT_NE(first.note.find("as-is 1.00"), std::string::npos) << first.note;
  EXPECT_NE(first.note.find("q8_0"), std::string::npos) << first.note;
  if (first.executor.threads == second.executor.threads) {
    EXPECT_EQ(first.path, second.path);
  }
  EXPECT_EQ(first.model->vocabulary(), model_->vocabulary());
}

TEST(OnlineFit, FollowsAMachineThatHasBecomeSlower) {
  PerfModel model = generous();
  model.max_batch_tokens = 128;
  PerfModel truth = model;
  truth.lines = {{3, 0.9}, {3, 0.9}};
  truth.kv_ms = 0.01;
  OnlineFit monitor;
  std::vector<MeasuredStep> steps;
  std::optional<PerfModel> better;
  for (int i = 0; i < 600; ++i) {
    BatchLoad load;
    for (int d = 0; d < 1 + i % 6; ++d) load.add_decode(1, 100 + 7 * (i % 40));
    if (i % 3 == 0) load.add_chunk(16 + i % 50, 0);
    monitor.record(load, truth.step_ms(load), model.step_ms(load));
    steps.push_back({load, truth.step_ms(load), "online"});
    if (i == 60) {
      EXPECT_FALSE(monitor.refit(model).has_value()) << "too few steps";
    }
    if (auto found = monitor.refit(model)) better = std::move(found);
  }
  ASSERT_TRUE(better.has_value());
  EXPECT_LT(fit_quality(*better, steps).mape, 0.1);
  EXPECT_GT(fit_quality(model, steps).mape, 0.3);
  OnlineFit calm;
  for (int i = 0; i < 1000; ++i) {
    BatchLoad load;
    load.add_decode(1, 64);
    calm.record(load, model.step_ms(load) * 1.05, model.step_ms(load));
  }
  EXPECT_FALSE(calm.drifted());
  EXPECT_FALSE(calm.refit(model).has_value());
}

TEST(SlotMemory, TakesOverTheLongestPrefixAndPrefersAFreeSlot) {
  SlotMemory memory(3, true);
  std::vector<llama::Token> a(40), b(60);
  std::iota(a.begin(), a.end(), 1);
  std::iota(b.begin(), b.end(), 1);
  auto first = memory.take(a, a.size() - 1);
  EXPECT_EQ(first.keep, 0);
  memory.holds(first.slot, a, 40);
  auto copy = memory.take(b, b.size() - 1);  // the only one with content is in use: copied
  EXPECT_EQ(copy.from, first.slot);
  EXPECT_EQ(copy.keep, 40);
  memory.release(first.slot, true);
  auto again = memory.take(a, a.size() - 1);
  EXPECT_EQ(again.slot, first.slot);
  EXPECT_EQ(again.from, -1);
  EXPECT_EQ(again.keep, 39);  // the last token's logits are wanted
  const std::vector<llama::Token> other{9, 9, 9};
  EXPECT_EQ(memory.take(other, 2).keep, 0);
  EXPECT_EQ(memory.free(), 0);
  memory.release(again.slot, true);
  EXPECT_EQ(memory.retained(), std::vector<int>{again.slot});
  memory.release(again.slot, false);
  EXPECT_TRUE(memory.retained().empty());
}

}  // namespace
}  // namespace ballast::serve
