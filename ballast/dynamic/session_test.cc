// The compiled models against the reference interpreter, and against themselves under every policy and pass
// set.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/models.h"
#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {
namespace {

Module small(const std::string& name) {
  if (name == "berxit") return load_model(name, {{"D", 8}, {"G", 2}, {"T", 6}});
  if (name == "nestedrnn") return load_model(name, {{"H", 8}, {"LOW", 2}, {"HIGH", 5}});
  if (name == "drnn") return load_model(name, {{"H", 8}});
  return load_model(name, {{"H", 8}, {"V", 50}});
}

std::vector<double> numbers(const std::vector<Value>& values) {
  std::vector<double> all;
  for (const Value& v : values) flatten(v, all);
  return all;
}

std::vector<Value> run(const Module& module, const std::vector<Instance>& batch,
                       const CompileOptions& compile_options, SessionOptions options,
                       RunStats* stats = nullptr) {
  const Executable exe = compile(module, compile_options);
  Session session(exe, initial_parameters(module, 3), std::move(options));
  std::vector<Value> out = session.run(batch);
  if (stats != nullptr) *stats = session.stats();
  return out;
}

class DynamicModels : public testing::TestWithParam<std::string> {};

TEST_P(DynamicModels, AgreeWithTheReferenceInterpreter) {
  const Module module = small(GetParam());
  const std::vector<Instance> batch = draw_instances(module, 5, 11);
  const Parameters parameters = initial_parameters(module, 3);
  const Reference reference(module, parameters);
  for (const bool native : {false, true}) {
    const std::vector<Value> out = run(module, batch, {.native = native}, {});
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::vector<double> expected = reference.numbers(batch[i], 1, i);
      std::vector<double> got;
      flatten(out[i], got);
      ASSERT_EQ(got.size(), expected.size()) << "instance " << i << ", seed 11, native " << native;
      for (std::size_t k = 0; k < got.size(); ++k)
        ASSERT_NEAR(got[k], expected[k], 2e-5 * std::max(1.0, std::abs(expected[k])))
            << "number " << k << " of instance " << i;
    }
  }
}

TEST_P(DynamicModels, GiveTheSameBitsUnderEveryPolicyBatchSizeAndGather) {
  const Module module = small(GetParam());
  const std::vector<Instance> batch = draw_instances(module, 6, 5);
  const Executable exe = compile(module);
  const Parameters parameters = initial_parameters(module, 3);
  const auto run_with = [&](SessionOptions options) {
    Session session(exe, parameters, std::move(options));
    return numbers(session.run(batch));
  };
  const std::vector<double> expected = run_with({.policy = "unbatched"});
  for (const char* policy : {"inline-depth", "depth", "agenda", "suff"})
    EXPECT_EQ(run_with({.policy = policy}), expected) << policy;
  EXPECT_EQ(run_with({.gather = Gather::copied}), expected);
  EXPECT_EQ(run_with({.gather = Gather::fused}), expected);
  EXPECT_EQ(run_with({.threads = 2}), expected);
  EXPECT_EQ(run_with({.fibers = false}), expected);
  std::vector<double> one_by_one;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Session session(exe, parameters, {.first_instance = i});
    for (const Value& v : session.run(std::span(batch).subspan(i, 1))) flatten(v, one_by_one);
  }
  EXPECT_EQ(one_by_one, expected);
}

TEST_P(DynamicModels, PassesChangeTheScheduleNotTheValues) {
  const Module module = small(GetParam());
  const std::vector<Instance> batch = draw_instances(module, 4, 7);
  const std::vector<double> expected = numbers(run(module, batch, {}, {}));
  bool CompileOptions::*const passes[] = {
      &CompileOptions::reuse,       &CompileOptions::fuse,    &CompileOptions::hoist,
      &CompileOptions::split_dense, &CompileOptions::coarsen, &CompileOptions::hfuse,
      &CompileOptions::ghost,       &CompileOptions::phases,  &CompileOptions::forks};
  CompileOptions none;
  for (const auto pass : passes) none.*pass = false;
  std::vector<CompileOptions> all{none};
  for (const auto pass : passes) {
    CompileOptions one;
    one.*pass = false;
    all.push_back(one);
  }
  for (std::size_t o = 0; o < all.size(); ++o) {
    const std::vector<double> got = numbers(run(module, batch, all[o], {}));
    ASSERT_EQ(got.size(), expected.size()) << "pass set " << o;
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], expected[i], 1e-5 * std::max(1.0, std::abs(expected[i])))
          << "pass set " << o << ", number " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, DynamicModels, testing::ValuesIn(model_names()), [](const auto& model) {
  std::string name = model.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(DynamicSession, BatchesAreFewerThanNodes) {
  const Module module = small("treelstm");
  RunStats stats;
  run(module, draw_instances(module, 16, 5), {}, {}, &stats);
  EXPECT_GT(stats.nodes, 200);
  EXPECT_LT(stats.batches, stats.nodes / 5);
}

TEST(DynamicSession, ALearnedPolicyOfAnotherModelIsRefused) {
  const Module tree = small("treelstm"), list = small("birnn");
  const Executable exe = compile(tree), other = compile(list);
  const Parameters parameters = initial_parameters(tree, 3);
  Session session(exe, parameters);
  const Graph graph = session.graph_of(draw_instances(tree, 8, 5)),
              unseen = session.graph_of(draw_instances(tree, 8, 6));
  const Structure a(graph), b(unseen);
  const Learned learned = learn({&a}, {&b}, Encoding::base, {.iterations = 100});
  const std::vector<Instance> batch = draw_instances(tree, 6, 5);
  Session by_policy(exe, parameters, {.policy = "fsm", .fsm = learned.table});
  EXPECT_EQ(by_policy.run(batch), session.run(batch));
  EXPECT_THAT([&] { Session(other, initial_parameters(list, 3), {.policy = "fsm", .fsm = learned.table}); },
              testing::ThrowsMessage<InvalidInput>(testing::HasSubstr("learned for another model")));
}

TEST(DynamicData, ReadersNameTheRecord) {
  const Module tree = small("treelstm"), words = small("birnn"), lattice = small("latticelstm");
  EXPECT_EQ(
      parse_instances(tree, "(3 (2 An) (3 (2 odd) (2 tree)))\n", "ptb", "t").instances[0][0].fields.size(),
      3u);
  EXPECT_EQ(parse_instances(words, "the|DT cat|NN\nit|PRP\n", "tags", "t").instances.size(), 2u);
  EXPECT_EQ(parse_instances(words, "EU NNP I-NP\nrejects VBZ\n\nPeter NNP\n", "conll", "t")
                .instances[0][0]
                .fields.size(),
            2u);
  EXPECT_EQ(parse_instances(lattice, R"({"len": 3, "arcs": [[0, 2, 7], [1, 3, 9]]})", "lattice", "t")
                .instances[0][0]
                .fields.size(),
            3u);
  const auto refuse = [](const Module& module, const char* text, const char* format, const char* sentence) {
    EXPECT_THAT([&] { parse_instances(module, text, format, "t"); },
                testing::ThrowsMessage<InvalidInput>(testing::HasSubstr(sentence)));
  };
  refuse(tree, "(2 a)\n(3 (2 a) (2 b)\n", "ptb", "t:2: column 15: unbalanced bracket");
  refuse(lattice, R"({"len": 3, "arcs": [[2, 1, 7]]})", "lattice", "t:1: an arc from 2 to 1");
  refuse(lattice, R"({"len": 3, "arcs": [[0, 2, 50]]})", "lattice", "word 50; accepted: 0 to 49");
  refuse(words, "[[1, 2.5]]\n", "jsonl", "t:1: words[1]: expected i32, found 2.5");
  refuse(words, "(3 a)", "ptb", "do not fit");
  const ReadResult read = parse_instances(tree, "(2 a)\n(3\n(4 b)\n", "ptb", "t", {.skip_bad = true});
  EXPECT_EQ(read.instances.size(), 2u);
  EXPECT_EQ(read.skipped, 1);
}

TEST(DynamicSession, ALongListIsNoProblem) {
  const Module module = Module::from_text(
      "param w: Tensor[f32, 1] = ones;\nfn f(xs: List[i32]) -> i32 { match xs { Nil => 0, Cons(x, t) => x + "
      "f(t) } }\n"
      "@entry fn main(xs: List[i32]) -> i32 { f(xs) }");
  std::vector<Value> list(50000, Value::of_integer(2));
  const std::vector<Instance> batch{{Value::of_list(list)}};
  for (const bool native : {false, true})
    EXPECT_EQ(run(module, batch, {.native = native}, {})[0].integer, 100000);
}

TEST(DynamicSession, LimitsNameTheFunctionAndTheProcessLives) {
  const std::string param = "param w: Tensor[f32, 2] = ones;\n";
  const Module spin = Module::from_text(
      param + "fn spin(x: i32) -> i32 { spin(x + 1) }\n@entry fn main(x: i32) -> i32 { spin(x) }");
  const Module dig = Module::from_text(
      param + "fn dig(x: i32) -> i32 { 1 + dig(x) }\n@entry fn main(x: i32) -> i32 { dig(x) }");
  const Module grow = Module::from_text(param +
                                        "fn grow(x: Tensor[f32, 2]) -> Tensor[f32, 2] { grow(x + w) "
                                        "}\n@entry fn main(x: Tensor[f32, 2]) -> Tensor[f32, 2] { grow(x) }");
  const std::vector<Instance> one{{Value::of_integer(1)}}, tensor{{Value::of_tensor({2}, {1, 2})}};
  const auto message = [](const char* function, const char* option) {
    return testing::ThrowsMessage<InvalidInput>(
        testing::AllOf(testing::HasSubstr(function), testing::HasSubstr(option)));
  };
  for (const bool native : {false, true}) {
    EXPECT_THAT([&] { run(spin, one, {.native = native}, {.limits = {.steps = 100000}}); },
                message("function 'spin'", "--max-steps"));
    EXPECT_THAT([&] { run(dig, one, {.native = native}, {.limits = {.depth = 5000}}); },
                message("function 'dig'", "--max-depth"));
    EXPECT_THAT([&] { run(grow, tensor, {.native = native}, {.limits = {.nodes = 1000}}); },
                message("function 'grow'", "--max-nodes"));
  }
  EXPECT_THAT([&] { run(dig, one, {.native = true}, {.limits = {.depth = 100'000'000}, .stack_kib = 512}); },
              message("function 'dig'", "--stack-kib"));
}

TEST(DynamicSession, OneBadInstanceCanBeSetApart) {
  const Module module = small("birnn");
  std::vector<Instance> batch = draw_instances(module, 3, 5);
  const Executable exe = compile(module);
  const Parameters parameters = initial_parameters(module, 3);
  Session good(exe, parameters);
  const std::vector<Value> expected = good.run(batch);
  batch[1] = {Value::of_list({Value::of_integer(7), Value::of_integer(50)})};
  EXPECT_THAT([&] { Session(exe, parameters).run(batch); },
              testing::ThrowsMessage<InvalidInput>(testing::HasSubstr("index 50; accepted: 0 to 49")));
  Session session(exe, parameters, {.isolate = true});
  const std::vector<Value> out = session.run(batch);
  EXPECT_EQ(out[0], expected[0]);
  EXPECT_EQ(out[2], expected[2]);
  EXPECT_THAT(session.errors()[1], testing::HasSubstr("index 50"));
}

TEST(DynamicSession, EmptyAndTinyInputsAreValid) {
  const Module module = small("birnn");
  const Executable exe = compile(module);
  Session session(exe, initial_parameters(module, 3));
  EXPECT_TRUE(session.run({}).empty());
  const std::vector<Instance> empty{{Value::of_list({})}};
  EXPECT_TRUE(session.run(empty)[0].fields.empty());
}

TEST(DynamicSession, ParametersThatDoNotFitAreAllListed) {
  const Module module = small("birnn");
  const Executable exe = compile(module);
  Parameters parameters = initial_parameters(module, 3);
  parameters.erase("bf");
  parameters["Wc"].pop_back();
  parameters["extra"] = {1};
  EXPECT_THAT([&] { Session(exe, parameters); },
              testing::ThrowsMessage<InvalidInput>(
                  testing::AllOf(testing::HasSubstr("'bf' is missing"), testing::HasSubstr("'Wc' has"),
                                 testing::HasSubstr("no parameter 'extra'"))));
}

TEST(DynamicSession, ShortMemoryGivesResultsBackAndTooShortIsRefused) {
  const Module module = small("twoarms");
  const Executable exe = compile(module);
  const Parameters parameters = initial_parameters(module, 3);
  const std::vector<Instance> batch = draw_instances(module, 8, 5);
  Session whole(exe, parameters);
  const std::vector<Value> expected = whole.run(batch);
  // The least limit with which the batch still runs, by halving: well below what all results take together.
  std::int64_t least = 0;
  for (std::int64_t limit = 1 << 22; limit > 64; limit /= 2) {
    Session session(exe, parameters, {.memory_limit = limit});
    try {
      EXPECT_EQ(session.run(batch), expected) << "limit " << limit;
    } catch (const Unavailable& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("--memory-limit"));
      break;
    }
    if (session.stats().slices > 0) least = limit;
  }
  EXPECT_GT(least, 0) << "no limit was met by giving results back";
  for (const char* policy : {"depth", "agenda", "unbatched"}) {
    Session session(exe, parameters, {.policy = policy, .memory_limit = 2 * least});
    EXPECT_EQ(session.run(batch), expected) << policy;
  }
  EXPECT_THROW(Session(exe, parameters, {.memory_limit = 64}).run(batch), Unavailable);
  // A model that decides from tensors holds what its instances hold: refused.
  const Module deciding = small("drnn");
  const Executable other = compile(deciding);
  Session session(other, initial_parameters(deciding, 3), {.memory_limit = 64});
  EXPECT_THROW(session.run(draw_instances(deciding, 4, 5)), Unavailable);
  session.options().memory_limit = 1 << 30;
  EXPECT_EQ(session.run(draw_instances(deciding, 4, 5)).size(), 4u) << "the session lives on";
}

TEST(DynamicSession, ArmsThatWaitRunAsChildrenAndBatchTogether) {
  const Module module = small("drnn");
  const std::vector<Instance> batch = draw_instances(module, 8, 5);
  RunStats beside, in_line;
  for (const bool native : {true, false}) {
    const auto expected = numbers(run(module, batch, {.forks = false, .native = native}, {}, &in_line));
    EXPECT_EQ(numbers(run(module, batch, {.native = native}, {}, &beside)), expected);
    EXPECT_GT(beside.child_fibers, 8);
    EXPECT_EQ(in_line.child_fibers, 0);
    EXPECT_EQ(beside.nodes, in_line.nodes);
    EXPECT_LT(beside.batches, in_line.batches);
    EXPECT_LT(beside.flushes, in_line.flushes);
  }
}

TEST(DynamicSession, MoreArmsThanFibersRunInLine) {
  // 3000 arms of one instance; at most 1024 are fibers at once.
  const Module module = Module::from_text(
      "param w: Tensor[f32, 1] = ones;\nfn count(n: i32) -> List[i32] { if n == 0 { Nil } else { Cons(n, "
      "count(n - 1)) } }\n"
      "@entry fn main(x: Tensor[f32, 1], n: i32) -> Tensor[f32, 1] {\n"
      "  add_n(Cons(x, par_map(|i| { if item(x * w) > 0.0 { x } else { w } }, count(n)))) }");
  const std::vector<Instance> batch{{Value::of_tensor({1}, {0.5F}), Value::of_integer(3000)}};
  RunStats stats;
  const auto out = run(module, batch, {}, {}, &stats);
  EXPECT_FLOAT_EQ(out[0].elements[0], 0.5F * 3001);
  EXPECT_GT(stats.child_fibers, 1000);
}

TEST(DynamicSession, AnInstanceThatFailsInAnArmTakesOnlyItself) {
  const Module module = Module::from_text(
      "const V = 5;\nparam E: Tensor[f32, V, 1] = ones;\n"
      "fn look(i: i32) -> Tensor[f32, 1] { let e = embedding(E, i); if item(e) > 0.0 { embedding(E, i + 1) } "
      "else { e } }\n"
      "@entry fn main(a: i32, b: i32) -> (Tensor[f32, 1], Tensor[f32, 1]) { concurrent { look(a), look(b) } "
      "}");
  const auto arguments = [](int a, int b) { return Instance{Value::of_integer(a), Value::of_integer(b)}; };
  for (const bool native : {true, false}) {
    const Executable exe = compile(module, {.native = native});
    const Parameters parameters = initial_parameters(module, 1);
    // The failing arm is the child, then the parent itself.
    const std::vector<Instance> batch{arguments(0, 1), arguments(4, 1), arguments(1, 4), arguments(2, 3)};
    Session session(exe, parameters, {.isolate = true});
    for (int round = 0; round < 2; ++round) {
      const std::vector<Value> out = session.run(batch);
      EXPECT_EQ(out[0].fields.size(), 2u);
      EXPECT_EQ(out[3].fields.size(), 2u);
      EXPECT_THAT(session.errors()[1], testing::HasSubstr("index 5"));
      EXPECT_THAT(session.errors()[2], testing::HasSubstr("index 5"));
      EXPECT_TRUE(session.errors()[0].empty() && session.errors()[3].empty());
    }
    Session strict(exe, parameters);
    EXPECT_THROW(strict.run(batch), InvalidInput);
    EXPECT_EQ(strict.run(std::vector<Instance>{arguments(0, 1)}).size(), 1u) << "the session lives on";
  }
}

TEST(DynamicSession, AFibersStackThatIsUsedUpIsNamed) {
  const Module module = Module::from_text(
      "param w: Tensor[f32, 1] = ones;\nfn dig(x: i32) -> i32 { 1 + dig(x) }\n"
      "@entry fn main(x: Tensor[f32, 1]) -> i32 { if item(x * w) > 0.0 { dig(1) } else { 0 } }");
  const std::vector<Instance> batch{{Value::of_tensor({1}, {1})}};
  EXPECT_THAT([&] { run(module, batch, {}, {.limits = {.depth = 100'000'000}, .stack_kib = 4096}); },
              testing::ThrowsMessage<InvalidInput>(
                  testing::AllOf(testing::HasSubstr("function 'dig'"), testing::HasSubstr("--stack-kib"))));
}

TEST(DynamicSession, NumbersThatAreNoneAreCountedOrNamed) {
  const Module module = Module::from_text(
      "param w: Tensor[f32, 2] = ones;\n@entry fn main(x: Tensor[f32, 2]) -> Tensor[f32, 2] { log(x) * w }");
  const std::vector<Instance> batch{{Value::of_tensor({2}, {1, 2})}, {Value::of_tensor({2}, {-1, 0})}};
  RunStats stats;
  run(module, batch, {}, {}, &stats);
  EXPECT_EQ(stats.not_a_number, 2);
  EXPECT_THAT([&] { run(module, batch, {}, {.stop_at_nan = true}); },
              testing::ThrowsMessage<InvalidInput>(
                  testing::AllOf(testing::HasSubstr("instance 1"), testing::HasSubstr("of block"))));
}

TEST(DynamicSession, PolicyAutoChoosesOneOfItsCandidates) {
  const Module module = small("treelstm");
  const std::vector<Instance> batch = draw_instances(module, 6, 5);
  const Executable exe = compile(module);
  Session session(exe, initial_parameters(module, 3), {.policy = "auto"});
  EXPECT_EQ(session.run(batch), run(module, batch, {}, {}));
  EXPECT_THAT(session.options().policy, testing::AnyOf("inline-depth", "agenda"));
  EXPECT_THAT(session.chosen(), testing::HasSubstr("ms"));
}

TEST(DynamicSession, ATreeOfOneLeafAndOneInstance) {
  const Module module = small("treelstm");
  const std::vector<Instance> batch{{Value::of_data(0, {Value::of_integer(3), Value::of_integer(0)})}};
  RunStats stats;
  EXPECT_EQ(run(module, batch, {}, {}, &stats)[0].tag, 0);
  EXPECT_LE(stats.batches, 1);
}

}  // namespace
}  // namespace ballast::dynamic
