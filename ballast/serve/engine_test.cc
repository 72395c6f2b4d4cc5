#include "ballast/serve/engine.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/llama/weights.h"
#include "ballast/serve/model_test.h"
#include "ballast/serve/test_profile.h"
#include "ballast/serve/text_assembler.h"

namespace ballast::serve {
namespace {

// Collects the events of one request.
class Collector {
 public:
  Sink sink() {
    return [state = state_](Event event) {
      const std::lock_guard lock(state->mutex);
      if (event.kind == Event::Kind::admitted) ++state->admitted;
      state->text += event.text;
      for (const llama::Token token : event.tokens) state->tokens.push_back(token);
      if (event.kind == Event::Kind::done) {
        state->last = event;
        state->done = true;
      }
      state->changed.notify_all();
    };
  }
  Event wait() {
    std::unique_lock lock(state_->mutex);
    EXPECT_TRUE(state_->changed.wait_for(lock, std::chrono::seconds(120), [&] { return state_->done; }));
    return state_->last;
  }
  void wait_for_tokens(std::size_t count) {
    std::unique_lock lock(state_->mutex);
    EXPECT_TRUE(state_->changed.wait_for(lock, std::chrono::seconds(120),
                                         [&] { return state_->done || state_->tokens.size() >= count; }));
  }
  std::vector<llama::Token> tokens() {
    const std::lock_guard lock(state_->mutex);
    return state_->tokens;
  }
  std::string text() {
    const std::lock_guard lock(state_->mutex);
    return state_->text;
  }
  int admitted() {
    const std::lock_guard lock(state_->mutex);
    return state_->admitted;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::string text;
    std::vector<llama::Token> tokens;
    Event last;
    int admitted = 0;
    bool done = false;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class EngineTest : public ModelTest<EngineTest> {
 protected:
  static EngineOptions options(int slots = 6) {
    EngineOptions result;
    result.executor = {.slots = slots, .slot_tokens = 256, .batch = 128, .threads = 1};
    return result;
  }
  static PolicySettings settings() {
    PolicySettings result;
    result.slos = {1000, 1000, 1e5, 1e5};
    return result;
  }
  static Job job(const std::string& prompt, int tokens) {
    Job result;
    result.prompt = model_->tokenize(prompt);
    result.max_tokens = tokens;
    result.sampling.ignore_end = true;
    result.ttft_slowdown = 1e5;
    result.tpot_ms = 1e5;
    return result;
  }

  // Greedy continuation straight from the library, with the gap between the two highest logits at every
  // position.
  struct Alone {
    std::vector<llama::Token> tokens;
    std::vector<float> margins;
  };
  static Alone alone(const std::vector<llama::Token>& prompt, int count) {
    llama::Context context(*model_, {.cells = 256, .sequences = 1, .batch = 128, .threads = 1});
    llama::Sampler sampler(*model_, {.ignore_end = true});
    llama::Batch batch(128);
    for (std::size_t i = 0; i < prompt.size(); ++i)
      batch.add(prompt[i], static_cast<int>(i), 0, i + 1 == prompt.size());
    Alone result;
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(context.decode(batch), llama::DecodeStatus::ok);
      const auto logits = context.logits(batch.size() - 1);
      const llama::Token token = sampler.sample(logits);
      float second = -1e30f;
      for (std::size_t t = 0; t < logits.size(); ++t) {
        if (static_cast<llama::Token>(t) != token) second = std::max(second, logits[t]);
      }
      result.tokens.push_back(token);
      result.margins.push_back(logits[static_cast<std::size_t>(token)] - second);
      batch.clear();
      batch.add(token, static_cast<int>(prompt.size()) + i, 0, true);
    }
    return result;
  }

  // Oracle (g): equal token by token, up to a position where rounding may decide (the batch's shape changes
  // it).
  static void expect_same(const std::vector<llama::Token>& got, const Alone& expected, int& undecided) {
    ASSERT_EQ(got.size(), expected.tokens.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (got[i] == expected.tokens[i]) continue;
      ASSERT_LT(std::abs(expected.margins[i]), 0.3f) << "position " << i << ": " << model_->piece(got[i])
                                                     << " for " << model_->piece(expected.tokens[i]);
      ++undecided;
      return;  // from here on the texts are different
    }
  }
};

const std::vector<std::string> kPrompts = {
    "The three primary colours are",
    "def add(a, b):\n    return a + b\n\ndef add3(a, b, c):\n    return",
    "one two three four one two three four one two three",
    "The capital of Italy is",
    "Water is made of hydrogen and",
    "A, B, C, D, A, B, C, D, A, B, C, D, A,",
    "Monday, Tuesday, Wednesday,",
    "Once upon a time there was a"};

TEST_F(EngineTest, ManyAtOnceGiveWhatEachGivesAloneWithAndWithoutSpeculation) {
  std::vector<Alone> expected;
  for (const std::string& prompt : kPrompts) expected.push_back(alone(model_->tokenize(prompt), 16));
  for (const char* speculation : {"off", "fixed:4"}) {
    EngineOptions with = options();
    with.ngram = std::string(speculation) != "off";
    PolicySettings policy = settings();
    policy.speculation = SpecSettings::parse(speculation);
    Engine engine(*model_, generous(), make_policy("slos", policy), with);
    std::vector<Collector> collectors(kPrompts.size());
    for (std::size_t i = 0; i < kPrompts.size(); ++i)
      engine.submit(job(kPrompts[i], 16), collectors[i].sink());
    int undecided = 0;
    for (std::size_t i = 0; i < kPrompts.size(); ++i) {
      const Event done = collectors[i].wait();
      EXPECT_EQ(done.finish_reason, "length");
      EXPECT_EQ(done.output_tokens, 16);
      EXPECT_EQ(collectors[i].admitted(), 1);
      EXPECT_EQ(collectors[i].text(), valid_utf8(model_->detokenize(collectors[i].tokens())));
      expect_same(collectors[i].tokens(), expected[i], undecided);
    }
    for (int i = 0; i < 500 && engine.snapshot().finished < 8; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const EngineSnapshot figures = engine.snapshot();
    std::printf(
        "speculation %s: %d of %zu texts part where two logits are nearly equal; %lld of %lld drafts were "
        "right\n",
        speculation, undecided, kPrompts.size(), static_cast<long long>(figures.counters.accepted_drafts),
        static_cast<long long>(figures.counters.drafted));
    EXPECT_LE(undecided, 3);
    if (with.ngram) {
      EXPECT_GT(figures.counters.accepted_drafts, 0) << "prompt lookup must hit on repeating text";
    }
  }
}

TEST_F(EngineTest, BaselinePoliciesRunOnTheRealEngineToo) {
  const Alone expected = alone(model_->tokenize(kPrompts[0]), 12);
  for (const char* policy : {"vllm", "sarathi:32", "slots:3"}) {
    Engine engine(*model_, generous(), make_policy(policy, settings()), options(4));
    std::vector<Collector> collectors(7);
    for (Collector& collector : collectors) engine.submit(job(kPrompts[0], 12), collector.sink());
    int undecided = 0;
    for (Collector& collector : collectors) {
      EXPECT_EQ(collector.wait().finish_reason, "length") << policy;
      expect_same(collector.tokens(), expected, undecided);
    }
    for (int i = 0; i < 500 && engine.snapshot().kv_used > 0; ++i)  // figures follow the last event
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(engine.snapshot().kv_used, 0);
  }
}

TEST_F(EngineTest, CancellationFreesItsSlot) {
  Engine engine(*model_, generous(), make_policy("slos", settings()), options(1));
  Collector first, second;
  const Engine::Id id = engine.submit(job("A very long story about nothing:", 200), first.sink());
  first.wait_for_tokens(2);
  engine.submit(job("The capital of Italy is", 3), second.sink());
  engine.cancel(id);
  EXPECT_EQ(first.wait().finish_reason, "cancelled");
  EXPECT_EQ(second.wait().finish_reason, "length");
  EXPECT_LT(first.tokens().size(), 200u);
  engine.cancel(987654);  // nobody
  for (int i = 0; i < 500 && engine.snapshot().finished < 1; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(engine.snapshot().cancelled, 1);
}

TEST_F(EngineTest, StopsAtStopStringsAndEndTokens) {
  Engine engine(*model_, generous(), make_policy("slos", settings()), options());
  Job counting = job("1, 2, 3, 4, 5, 6, 7,", 40);
  counting.stops = {" 10", "never"};
  Collector stopped;
  engine.submit(counting, stopped.sink());
  EXPECT_EQ(stopped.wait().finish_reason, "stop");
  EXPECT_EQ(stopped.text().find("10"), std::string::npos) << stopped.text();
  EXPECT_NE(stopped.text().find("9"), std::string::npos) << stopped.text();

  Job ended = job("x", 100);
  ended.prompt = model_->tokenize(*model_->render_chat({{"user", "Say only the word yes."}}), true, true);
  ended.sampling.ignore_end = false;
  Collector collector;
  engine.submit(ended, collector.sink());
  const Event done = collector.wait();
  EXPECT_EQ(done.finish_reason, "stop");
  EXPECT_TRUE(model_->ends_generation(collector.tokens().back()));
  EXPECT_EQ(collector.text().find("<|im_end|>"), std::string::npos);
}

TEST_F(EngineTest, RefusesWhatCanNeverRun) {
  Engine engine(*model_, generous(), make_policy("slos", settings()), options());
  Collector nobody;
  EXPECT_THROW(engine.submit(job("x", 1000), nobody.sink()), InvalidInput);
  EXPECT_THROW(engine.submit(job("x", 0), nobody.sink()), InvalidInput);
  Job empty = job("x", 1);
  empty.prompt.clear();
  EXPECT_THROW(engine.submit(empty, nobody.sink()), InvalidInput);
  Job decline = job("x y z", 4);
  decline.ttft_slowdown = 0;
  decline.ttft_ms = 1e-6;  // no machine can
  decline.on_miss = OnMiss::decline;
  Collector collector;
  engine.submit(decline, collector.sink());
  const Event done = collector.wait();
  EXPECT_EQ(done.finish_reason, "declined");
  EXPECT_NE(done.reason.find("slo_unattainable"), std::string::npos);
  EXPECT_TRUE(engine.idle());
}

TEST_F(EngineTest, BestEffortRequestsAreServedAndSaySo) {
  Engine engine(*model_, generous(), make_policy("slos", settings()), options());
  Job hurried = job("The capital of Italy is", 5);
  hurried.ttft_slowdown = 0;
  hurried.ttft_ms = 1e-6;
  Collector collector;
  engine.submit(hurried, collector.sink());
  const Event done = collector.wait();
  EXPECT_EQ(done.finish_reason, "length");
  EXPECT_EQ(done.admission, Admission::best_effort);
  EXPECT_FALSE(done.met);
  for (int i = 0; i < 500 && engine.snapshot().finished < 1; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(engine.snapshot().went_best_effort, 1);
}

TEST(Drafter, LooksUpTheLongestRepeatedSuffix) {
  const std::vector<llama::Token> history{1, 2, 3, 4, 5, 9, 9, 2, 3, 4, 5};
  EXPECT_EQ(NgramDrafter::look_up(history, 3), (std::vector<llama::Token>{9, 9, 2}));
  EXPECT_EQ(NgramDrafter::look_up(history, 0), std::vector<llama::Token>{});
  EXPECT_EQ(NgramDrafter::look_up(std::vector<llama::Token>{1, 2, 3}, 4), std::vector<llama::Token>{});
  EXPECT_EQ(NgramDrafter::look_up({}, 4), std::vector<llama::Token>{});
  const std::vector<llama::Token> latest{7, 8, 1, 7, 8, 2, 7, 8};
  EXPECT_EQ(NgramDrafter::look_up(latest, 1), std::vector<llama::Token>{2});
}

TEST(TextAssembler, SendsWholeCharactersAndNothingOfAStopString) {
  const std::string text = "a\xC3\xA9\xE6\x97\xA5\xF0\x9F\x99\x82 END here";
  std::printf("seed 61\n");
  Random random(61);
  for (int round = 0; round < 200; ++round) {
    TextAssembler assembler({"END"});
    std::string sent;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = std::min<std::size_t>(text.size() - at, 1 + random.below(4));
      const std::string part = assembler.add(std::string_view(text).substr(at, length));
      EXPECT_EQ(valid_utf8(part), part);
      sent += part;
      EXPECT_EQ(sent.find('E'), std::string::npos);
      at += length;
    }
    sent += assembler.finish();
    EXPECT_TRUE(assembler.stopped());
    EXPECT_EQ(sent, text.substr(0, text.find("END")));
  }
  TextAssembler cut;
  EXPECT_EQ(cut.add("x\xF0\x9F"), "x");
  EXPECT_EQ(cut.finish(), "\xEF\xBF\xBD\xEF\xBF\xBD");
  TextAssembler almost({"STOP"});
  EXPECT_EQ(almost.add("a ST"), "a ");
  EXPECT_EQ(almost.add("ART"), "START");
  EXPECT_EQ(valid_utf8("\xC0\x80 \xED\xA0\x80 ok"),
            "\xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD ok");
}

}  // namespace
}  // namespace ballast::serve
