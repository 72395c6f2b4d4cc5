#include "ballast/llama/json_grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/llama/sampler.h"
#include "ballast/llama/test_model.h"

namespace ballast::llama {
namespace {

// The slow twin: does this value follow the schema, by the words of JSON Schema itself.
bool follows(const Json& schema, const Json& value, const Json& root) {
  if (schema.contains("$ref"))
    return follows(root.at(Json::json_pointer(schema.at("$ref").get<std::string>().substr(1))), value, root);
  if (schema.contains("const")) return value == schema.at("const");
  if (schema.contains("enum"))
    return std::find(schema.at("enum").begin(), schema.at("enum").end(), value) != schema.at("enum").end();
  if (schema.contains("anyOf"))
    return std::any_of(schema.at("anyOf").begin(), schema.at("anyOf").end(),
                       [&](const Json& one) { return follows(one, value, root); });
  const std::string type = schema.value("type", "");
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "string") {
    if (!value.is_string()) return false;
    // Code points: bytes that do not continue one.
    const auto& text = value.get_ref<const std::string&>();
    const auto length = std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
    return length >= schema.value("minLength", 0) && length <= schema.value("maxLength", 1 << 20);
  }
  if (type == "array") {
    if (!value.is_array()) return false;
    const auto size = static_cast<int>(value.size());
    return size >= schema.value("minItems", 0) && size <= schema.value("maxItems", 1 << 20) &&
           std::all_of(value.begin(), value.end(), [&](const Json& item) {
             return !schema.contains("items") || follows(schema.at("items"), item, root);
           });
  }
  if (type == "object") {
    if (!value.is_object()) return false;
    for (const Json& name : schema.value("required", Json::array())) {
      if (!value.contains(name.get<std::string>())) return false;
    }
    for (const auto& [name, item] : value.items()) {
      if (!schema.value("properties", Json::object()).contains(name)) return false;
      if (!follows(schema.at("properties").at(name), item, root)) return false;
    }
  }
  return true;
}

// Draws a text from noise in place of a model: what holds it in form is the grammar alone. Tokens that close
// something weigh more, so that texts end.
std::string noise_text(const Model& model, const std::string& grammar, Random& random) {
  Sampler sampler(model,
                  {.temperature = 1, .seed = static_cast<std::uint32_t>(random()), .grammar = grammar});
  std::vector<float> logits(static_cast<std::size_t>(model.vocabulary()));
  std::vector<Token> closing;
  for (const char* text : {"\"", "}", "]", ",", ":", "1", "\"}", "\"]"}) {
    const auto tokens = model.tokenize(text, false);
    if (tokens.size() == 1) closing.push_back(tokens[0]);
  }
  for (const Token token : model.end_tokens()) closing.push_back(token);
  std::string text;
  for (int i = 0; i < 400; ++i) {
    for (float& logit : logits) logit = static_cast<float>(4 * random.uniform());
    for (const Token token : closing)
      logits[static_cast<std::size_t>(token)] += static_cast<float>(8 + random.uniform() * 6);
    const Token token = sampler.sample(logits);
    if (model.ends_generation(token)) return text;
    text += model.piece(token);
  }
  return "(unfinished) " + text;
}

TEST(JsonGrammar, WhateverIsSampledFollowsTheSchema) {
  BALLAST_NEEDS_SHIPPED_MODEL();
  const Model model(shipped_model(), {.vocabulary_only = true});
  const std::vector<const char*> schemas = {
      R"({"type":"object","properties":{"city":{"type":"string","maxLength":12},"people":{"type":"integer"}},
          "required":["city","people"],"additionalProperties":false})",
      R"({"type":"object","properties":{"a":{"type":"boolean"},"b":{"type":"null"},"c":{"type":"number"}},
          "required":["b"]})",
      R"({"type":"object","properties":{"a":{"enum":["x","y\"z",3,null]},"b":{"const":{"k":[1]}}}})",
      R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":4})",
      R"({"type":"array","items":{"type":"string","minLength":1,"maxLength":3},"maxItems":3})",
      R"({"anyOf":[{"type":"null"},{"type":"array","items":{"type":"boolean"},"maxItems":2}]})",
      R"({"$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},
          "next":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/node"}]}},"required":["v","next"]}},"$ref":"#/$defs/node"})",
  };
  std::printf("seed 81\n");
  Random random(81);
  for (const char* text : schemas) {
    const Json schema = Json::parse(text);
    const std::string grammar = json_grammar(schema);
    for (int round = 0; round < 3; ++round) {
      const std::string made = noise_text(model, grammar, random);
      const Json value = Json::parse(made, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << made << "\n" << grammar;
      EXPECT_TRUE(follows(schema, value, schema)) << made << "\n" << text;
    }
  }
  const Json any = Json::parse(noise_text(model, json_object_grammar(), random), nullptr, false);
  EXPECT_TRUE(any.is_object());
}

// Every optional property may be there or not: of the texts that the grammar allows, these are accepted and
// those are refused, byte by byte.
TEST(JsonGrammar, AcceptsAndRefusesTexts) {
  BALLAST_NEEDS_SHIPPED_MODEL();
  const Model model(shipped_model(), {.vocabulary_only = true});
  const std::string grammar = json_grammar(Json::parse(
      R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},"c":{"type":"null"}},
          "required":["b"]})"));
  auto accepted = [&](const std::string& text) {
    Sampler sampler(model, {.grammar = grammar});
    try {
      for (const Token token : model.tokenize(text, false)) sampler.accept(token);
      sampler.accept(model.end_tokens().front());
    } catch (const InvalidInput&) {
      return false;
    }
    return true;
  };
  for (const char* good :
       {R"({"b":"x"})", R"({"a":-1,"b":""})", R"({"b":"é","c":null})", R"({"a": 12, "b": "y", "c": null})"})
    EXPECT_TRUE(accepted(good)) << good;
  for (const char* bad : {R"({})", R"({"a":1})", R"({"b":"x","a":1})", R"({"b":"x","d":1})", R"({"b":"x",})",
                          R"({"a":01,"b":"x"})", R"({"b":"x"}})", R"(["b"])", R"({"b":"x")", R"({"b":7})"})
    EXPECT_FALSE(accepted(bad)) << bad;
}

TEST(JsonGrammar, RefusesWhatItCannotKeep) {
  for (const char* bad :
       {"[]", "7", R"({"type":"strin"})", R"({"type":7})", R"({"type":"string","pattern":"a+"})",
        R"({"allOf":[{"type":"string"}]})", R"({"enum":[]})", R"({"anyOf":[]})", R"({"$ref":"#/$defs/none"})",
        R"({"$ref":"http://elsewhere/x"})", R"({"$ref":"#"})",
        R"({"type":"array","minItems":3,"maxItems":2})", R"({"type":"string","maxLength":100000})",
        R"({"type":"object","required":["x"]})", R"({"type":"object","required":"x"})",
        R"({"type":"object","properties":[]})"})
    EXPECT_THROW(json_grammar(Json::parse(bad)), InvalidInput) << bad;
}

TEST(Logprob, IsTheLogarithmOfTheSoftmax) {
  const std::vector<float> logits{1, 3, 2, 3};
  const TokenLogprob got = logprob_of(logits, 2, 3);
  const double sum = std::exp(1.0) + 2 * std::exp(3.0) + std::exp(2.0);
  EXPECT_NEAR(got.logprob, 2 - std::log(sum), 1e-12);
  ASSERT_EQ(got.top.size(), 3u);
  EXPECT_EQ(got.top[0].first, 1);
  EXPECT_EQ(got.top[1].first, 3);
  EXPECT_EQ(got.top[2].first, 2);
  EXPECT_NEAR(got.top[0].second, 3 - std::log(sum), 1e-12);
  EXPECT_EQ(logprob_of(logits, 0, 9).top.size(), 4u);
}

}  // namespace
}  // namespace ballast::llama
