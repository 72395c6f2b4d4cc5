// The language: errors with their places, rules by name, round trips, and the reference interpreter by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/dynamic/compiler/core.h"
#include "ballast/dynamic/language/reference.h"
#include "ballast/dynamic/models.h"

namespace ballast::dynamic {
namespace {

std::string error_of(const std::string& text) {
  try {
    Module::from_text(text, "m.bdm");
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return "";
}

double scalar_of(const std::string& text, std::vector<Value> arguments = {}) {
  const Module module = Module::from_text(text);
  const Value v = Reference(module, initial_parameters(module, 1)).run(arguments);
  return v.kind == Value::Kind::real ? v.real : static_cast<double>(v.integer);
}

TEST(DynamicLanguage, AnErrorShowsItsLineWithACaret) {
  EXPECT_EQ(error_of("const H = 4;\n@entry fn main(x: Tensor[f32, H]) -> Tensor[f32, H] {\n  sigmoyd(x) }\n"),
            "m.bdm:3:3: unknown operator or function 'sigmoyd'; did you mean 'sigmoid'?\n    sigmoyd(x) }\n  "
            "  ^^^^^^^");
  EXPECT_THAT(error_of("@entry fn main(x: Tensor[f32, 3]) -> Tensor[f32, 4] { tanh(x) }"),
              testing::HasSubstr("m.bdm:1:55: expected Tensor[f32, 4], found Tensor[f32, 3]"));
  EXPECT_THAT(error_of("@entry fn main(x: i32) -> i32 { let y = ; y }"),
              testing::HasSubstr("1:41: expected an expression, found ';'"));
}

TEST(DynamicLanguage, AllErrorsOfAFileAreReportedUpToTwenty) {
  std::string text = "@entry fn main(x: i32) -> i32 {\n";
  for (int i = 0; i < 30; ++i) text += "  let a = missing;\n";
  const std::string message = error_of(text + "  x }\n");
  std::size_t count = 0;
  for (std::size_t at = message.find("unknown name"); at != std::string::npos;
       at = message.find("unknown name", at + 1))
    ++count;
  EXPECT_EQ(count, 20u);
}

TEST(DynamicLanguage, RulesAreNamed) {
  const std::string list = "@entry fn main(xs: List[i32]) -> i32 ";
  EXPECT_THAT(error_of(list + "{ match xs { Nil => 0, } }"),
              testing::HasSubstr("match is not exhaustive: no arm for 'Cons'"));
  EXPECT_THAT(error_of("fn f(x: i32) -> i32 { phase; x }\n@entry fn main(x: i32) -> i32 { f(x) }"),
              testing::HasSubstr("1:23: phase outside of the @entry function"));
  EXPECT_THAT(error_of("@block fn f(x: i32) -> i32 { if x == 0 { 1 } else { 2 } }\n@entry fn main(x: i32) -> "
                       "i32 { f(x) }"),
              testing::HasSubstr("control flow in a @block function"));
  EXPECT_THAT(error_of("@entry fn main(x: Tensor[f32, 2]) -> f32 { item(x) }"),
              testing::HasSubstr("only a tensor of one element"));
  EXPECT_THAT(error_of("@entry fn main(x: Tensor[f32, 2]) -> Tensor[f32, 2] { dense(x, x) }"),
              testing::HasSubstr("expected x [.., k] and W [n, k]"));
  EXPECT_THAT(error_of("fn f(x: i32) -> i32 { x }"), testing::HasSubstr("no @entry function"));
  EXPECT_THAT(error_of("type T = A(U);\n@entry fn main(x: i32) -> i32 { x }"),
              testing::HasSubstr("unknown type 'U'"));
  EXPECT_THAT(error_of("@entry fn main(x: Tensor[f32, ?n]) -> i32 { 0 }"),
              testing::HasSubstr("only known at run time"));
  EXPECT_THAT(error_of("@entry fn main(x: i32) -> i32 { let y = Nil; x }"),
              testing::HasSubstr("cannot tell the type"));
}

TEST(DynamicLanguage, DeepNestingIsRefusedNotACrash) {
  EXPECT_THAT(error_of("@entry fn main(x: i32) -> i32 { " + std::string(100000, '(') + "x }"),
              testing::HasSubstr("nested too deep"));
  EXPECT_THAT(error_of("@entry fn main(x: i32) -> i32 { " + std::string(100000, '-') + "x }"),
              testing::HasSubstr("nested too deep"));
}

TEST(DynamicLanguage, ScalarsListsAndLoopsByHand) {
  EXPECT_EQ(scalar_of("@entry fn main(x: i32) -> i32 { 7 / 2 * 10 + 7 % 4 - x }", {Value::of_integer(3)}),
            30);
  EXPECT_EQ(scalar_of("@entry fn main(n: i32) -> i32 { while (i = 0, s = 0; i < n) { (i + 1, s + i) }.1 }",
                      {Value::of_integer(101)}),
            5050);
  EXPECT_EQ(scalar_of("@entry fn main(k: i32) -> i32 { foldl(|s, x| s * 10 + x, 0, map(|x| x + k, Cons(1, "
                      "Cons(2, Nil)))) }",
                      {Value::of_integer(4)}),
            56);
  EXPECT_EQ(scalar_of("@entry fn main(k: i32) -> i32 { let l = append(rev(Cons(1, Cons(2, Nil))), Cons(k, "
                      "Nil)); nth(l, 0, 9) * 100 + len(l) * 10 + nth(l, 2, 9) }",
                      {Value::of_integer(5)}),
            235);
  // 1*3 + 2*4 = 11 by a tensor, read back.
  EXPECT_EQ(
      scalar_of("@entry fn main(a: Tensor[f32, 2], b: Tensor[f32, 2]) -> f32 { item(sum(a * b)) + 0.5 }",
                {Value::of_tensor({2}, {1, 2}), Value::of_tensor({2}, {3, 4})}),
      11.5);
}

TEST(DynamicLanguage, EveryModelIsSoundAndItsTextMeansTheSame) {
  ASSERT_GE(model_names().size(), 17u);
  for (const std::string& name : model_names()) {
    const Module module = load_model(name, name == "berxit" ? std::map<std::string, std::int64_t>{{"D", 8}}
                                                            : std::map<std::string, std::int64_t>{{"H", 8}});
    const std::string text = to_text(module);
    const Module again = Module::from_text(text, name);
    EXPECT_EQ(to_text(again), text) << name;
    EXPECT_EQ(to_text(lower(again)), to_text(lower(module))) << name;
  }
}

TEST(DynamicLanguage, EndlessProgramsAndTooDeepRecursionNameTheFunction) {
  const Module endless =
      Module::from_text("fn spin(x: i32) -> i32 { spin(x + 1) }\n@entry fn main(x: i32) -> i32 { spin(x) }");
  const Module deep =
      Module::from_text("fn dig(x: i32) -> i32 { 1 + dig(x) }\n@entry fn main(x: i32) -> i32 { dig(x) }");
  const std::vector<Value> one{Value::of_integer(1)};
  EXPECT_THAT([&] { Reference(endless, {}, {.steps = 10000}).run(one); },
              testing::ThrowsMessage<InvalidInput>(testing::HasSubstr("function 'spin'")));
  EXPECT_THAT([&] { Reference(deep, {}, {.depth = 10000}).run(one); },
              testing::ThrowsMessage<InvalidInput>(testing::HasSubstr("function 'dig'")));
}

TEST(DynamicLanguage, ValuesKeepTheirJson) {
  const Module module = load_model("treelstm");
  const Type tree = module.entry().parameters[0].second;
  const Json json = Json::parse(R"({"Node": [{"Leaf": [3, 0]}, {"Leaf": [4, 1]}, 2]})");
  const Value value = value_from_json(module, tree, json, "line 1");
  EXPECT_EQ(value_to_json(module, tree, value), json);
  EXPECT_THAT(
      [&] {
        value_from_json(module, tree, Json::parse(R"({"Node": [{"Leaf": [3, 0]}, {"Leef": [4, 1]}, 2]})"),
                        "line 1");
      },
      testing::ThrowsMessage<InvalidInput>(
          testing::HasSubstr("line 1.Node.1: 'Leef' is no constructor of Tree")));
}

}  // namespace
}  // namespace ballast::dynamic
