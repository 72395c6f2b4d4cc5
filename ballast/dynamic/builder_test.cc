// Models built in C++: the same tree, text, program and numbers as the .bdm file that says the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/dynamic/compiler/core.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/language/builder.h"
#include "ballast/dynamic/models.h"
#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {
namespace {

/// models/birnn.bdm, written in C++.
Module birnn() {
  Builder b("birnn");
  const auto H = b.constant("H", 8), C = b.constant("C", 16), V = b.constant("V", 50);
  const Ex E = b.param("E", {V, H}, "normal", {0.1});
  const Ex Wf = b.param("Wf", {H, 2 * H}, "xavier"), bf = b.param("bf", {H}), f0 = b.param("f0", {H});
  const Ex Wb = b.param("Wb", {H, 2 * H}, "xavier"), bb = b.param("bb", {H}), b0 = b.param("b0", {H});
  const Ex Wc = b.param("Wc", {C, 2 * H}, "xavier"), bc = b.param("bc", {C});
  const Type row = tensor({H});
  const Ex n = var("n"), s = var("s"), t = var("t"), W = var("W"), bias = var("b");
  b.fn("rnn", {{"xs", list_of(row)}, {"s", row}, {"W", tensor({H, 2 * H})}, {"b", row}}, list_of(row),
       match(var("xs"), {{"Nil", {}, var("Nil")},
                         {"Cons",
                          {"x", "t"},
                          block({{"n", op("sigmoid", {op("dense", {op("concat", {var("x"), s}), W, bias})})}},
                                call("Cons", {n, call("rnn", {t, n, W, bias})}))}}));
  b.entry(
      "main", {{"words", list_of(i32())}}, list_of(tensor({C})),
      block({{"xs", call("par_map", {lambda({"w"}, op("embedding", {E, var("w")})), var("words")})},
             {"fb", concurrent({call("rnn", {var("xs"), f0, Wf, bf}),
                                call("rev", {call("rnn", {call("rev", {var("xs")}), b0, Wb, bb})})})},
             phase()},
            call("par_map",
                 {lambda({"p"}, op("dense", {op("concat", {var("p").field(0), var("p").field(1)}), Wc, bc})),
                  call("zip", {var("fb").field(0), var("fb").field(1)})})));
  return b.build();
}

TEST(DynamicBuilder, GivesTheProgramOfTheModelFile) {
  const Module built = birnn(), read = load_model("birnn", {{"H", 8}, {"V", 50}});
  EXPECT_EQ(to_text(built), to_text(read));
  EXPECT_EQ(to_text(lower(built)), to_text(lower(read)));
  const Module again = Module::from_text(to_text(built));
  EXPECT_EQ(to_text(again), to_text(built));
}

TEST(DynamicBuilder, RunsInBatches) {
  const Module built = birnn(), read = load_model("birnn", {{"H", 8}, {"V", 50}});
  const std::vector<Instance> batch = draw_instances(read, 6, 3);
  const Executable a = compile(built), b = compile(read);
  Session first(a, initial_parameters(built, 5)), second(b, initial_parameters(read, 5));
  EXPECT_EQ(first.run(batch), second.run(batch));
  EXPECT_LT(first.stats().batches, first.stats().nodes / 3);
}

TEST(DynamicBuilder, LoopsBranchesTuplesAndTypes) {
  Builder b("small");
  const Type pair = b.type("Pair", {{"Pair", {i32(), i32()}}, {"Single", {i32()}}});
  const Ex i = var("i"), s = var("s"), n = var("n");
  b.fn("total", {{"n", i32()}}, i32(), loop({{"i", 0}, {"s", 0}}, i < n, tuple({i + 1, s + i})).field(1));
  b.entry("main", {{"p", pair}}, i32(),
          match(var("p"), {{"Pair", {"a", "_"}, call("total", {var("a")})},
                           {"Single", {"a"}, branch(var("a") == 7, 2 * var("a"), -var("a") / 2)}}));
  const Module m = b.build();
  const auto value = [&](int tag, std::vector<Value> fields) {
    return Reference(m, {}).run(std::vector<Value>{Value::of_data(tag, std::move(fields))}).integer;
  };
  EXPECT_EQ(value(0, {Value::of_integer(101), Value::of_integer(0)}), 5050);
  EXPECT_EQ(value(1, {Value::of_integer(7)}), 14);
  EXPECT_EQ(value(1, {Value::of_integer(9)}), -4);
  EXPECT_EQ(to_text(Module::from_text(to_text(m))), to_text(m));
}

TEST(DynamicBuilder, MistakesAreShownInTheModelsText) {
  const auto message = [](const char* a, const char* b) {
    return testing::ThrowsMessage<InvalidInput>(testing::AllOf(testing::HasSubstr(a), testing::HasSubstr(b)));
  };
  Builder wrong("wrong");
  const Ex W = wrong.param("W", {4, 3}, "xavier");
  wrong.entry("main", {{"x", tensor({4})}}, tensor({4}), op("dense", {var("x"), W}));
  EXPECT_THAT([&] { wrong.build(); }, message("wrong:3:", "^^^"));
  Builder unknown("unknown");
  unknown.entry("main", {{"x", tensor({4})}}, tensor({4}), op("sigmoyd", {var("x")}));
  EXPECT_THAT([&] { unknown.build(); }, message("did you mean 'sigmoid'?", "^^^"));
  Builder b("names");
  EXPECT_THAT([&] { b.param("W", {4, 0}); }, message("W", "positive extents"));
  EXPECT_THAT([&] { b.param("W", {4}, "gauss"); }, message("gauss", "xavier"));
  EXPECT_THAT([&] { b.constant("2x", 1); }, message("2x", "letters"));
}

}  // namespace
}  // namespace ballast::dynamic
