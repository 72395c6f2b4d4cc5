// The server over real sockets, with SmolLM2 behind it. The client here is a bare socket, so that what is on
// the wire is what is checked; the official openai client and curl have their own tests in tests/.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/llama/weights.h"
#include "ballast/serve/http/api_keys.h"
#include "ballast/serve/http/test_client.h"
#include "ballast/serve/model_test.h"

namespace ballast::serve {
namespace {

class Http : public ModelTest<Http> {};

const char* kHello =
    R"({"messages":[{"role":"user","content":"What is the capital of France?"}],"max_tokens":12,"temperature":0)";

TEST_F(Http, AnswersAChatWholeAndAsAStreamWithTheSameText) {
  Running running(*model_);
  const Reply whole = running.ask(post("/v1/chat/completions", std::string(kHello) + "}"));
  ASSERT_EQ(whole.status, 200) << whole.body;
  EXPECT_NE(whole.header.find("x-ballast-admission: guaranteed"), std::string::npos) << whole.header;
  const Json answer = whole.json();
  EXPECT_EQ(answer["object"], "chat.completion");
  const std::string text = answer["choices"][0]["message"]["content"];
  EXPECT_NE(text.find("Paris"), std::string::npos) << text;
  EXPECT_LE(answer["usage"]["completion_tokens"].get<int>(), 12);
  EXPECT_TRUE(answer["usage"]["slo"]["met"].get<bool>());

  const Reply stream =
      running.ask(post("/v1/chat/completions",
                       std::string(kHello) + R"(,"stream":true,"stream_options":{"include_usage":true}})"));
  ASSERT_EQ(stream.status, 200);
  EXPECT_NE(stream.header.find("Content-Type: text/event-stream"), std::string::npos);
  std::string streamed, finish;
  bool usage = false, done = false;
  for (std::size_t at = 0; at < stream.body.size();) {
    const std::size_t end = stream.body.find("\n\n", at);
    ASSERT_NE(end, std::string::npos);
    ASSERT_EQ(stream.body.compare(at, 6, "data: "), 0);
    const std::string data = stream.body.substr(at + 6, end - at - 6);
    at = end + 2;
    ASSERT_FALSE(done) << "nothing may follow [DONE]";
    if (data == "[DONE]") {
      done = true;
      continue;
    }
    const Json chunk = Json::parse(data);
    if (chunk["choices"].empty()) {
      usage = chunk.contains("usage");
      continue;
    }
    streamed += chunk["choices"][0]["delta"].value("content", "");
    if (chunk["choices"][0]["finish_reason"].is_string()) finish = chunk["choices"][0]["finish_reason"];
  }
  EXPECT_EQ(streamed, text);
  EXPECT_EQ(finish, answer["choices"][0]["finish_reason"]);
  EXPECT_TRUE(usage && done);
}

TEST_F(Http, TheOfficialOpenAiClientAndCurlAreServed) {
  Running running(*model_);
  const std::string python = cache_folder() + "/venv/bin/python";
  const std::string script = BALLAST_SOURCE_DIR "/ballast/serve/http/openai_client_test.py";
  const std::string curl =
      "curl -sf --max-time 100 http://127.0.0.1:" + std::to_string(running.port()) +
      R"(/v1/chat/completions -d '{"messages":[{"role":"user","content":"Hi"}],"max_tokens":2}' >/dev/null)";
  if (std::system("command -v curl >/dev/null") == 0) {
    EXPECT_EQ(std::system(curl.c_str()), 0);
  }
  if (!std::filesystem::exists(python)) GTEST_SKIP() << python << " is missing: run setup/setup.sh";
  const int code = std::system((python + " " + script + " " + std::to_string(running.port())).c_str());
  if (WIFEXITED(code) && WEXITSTATUS(code) == 77) GTEST_SKIP() << "the openai client is not installed";
  EXPECT_EQ(code, 0);
}

TEST_F(Http, TheDashboardWorksInABrowser) {
  if (std::system("command -v chromium >/dev/null && command -v chromedriver >/dev/null") != 0)
    GTEST_SKIP() << "needs the packages chromium and chromium-driver";
  Running running(*model_);
  const CommandResult got =
      run_command("timeout 300 python3 " BALLAST_SOURCE_DIR "/ballast/serve/http/dashboard_test.py " +
                  std::to_string(running.port()));
  EXPECT_EQ(got.code, 0) << got.output;
}

TEST_F(Http, OutputOfAGivenForm) {
  Running running(*model_);
  const std::string schema =
      R"({"type":"object","properties":{"city":{"type":"string","maxLength":20},"big":{"type":"boolean"}},)"
      R"("required":["city","big"],"additionalProperties":false})";
  const Reply shaped = running.ask(post(
      "/v1/chat/completions",
      R"({"messages":[{"role":"user","content":"Tell me of Paris, as JSON."}],"max_tokens":60,"temperature":0.8,"seed":3,)"
      R"("response_format":{"type":"json_schema","json_schema":{"name":"city","strict":true,"schema":)" +
          schema + "}}}"));
  ASSERT_EQ(shaped.status, 200) << shaped.body;
  const Json value =
      Json::parse(shaped.json()["choices"][0]["message"]["content"].get<std::string>(), nullptr, false);
  ASSERT_TRUE(value.is_object()) << shaped.body;
  EXPECT_TRUE(value["city"].is_string() && value["big"].is_boolean() && value.size() == 2) << value.dump();

  const std::string tools =
      R"("tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":)"
      R"({"place":{"$ref":"#/$defs/p"}},"required":["place"],"$defs":{"p":{"type":"string","maxLength":16}}}}}])";
  const std::string ask =
      R"({"messages":[{"role":"user","content":"How is the weather in Oslo?"}],"max_tokens":60,)"
      R"("temperature":0,)" +
      tools;
  const Reply called = running.ask(post("/v1/chat/completions", ask + R"(,"tool_choice":"required"})"));
  ASSERT_EQ(called.status, 200) << called.body;
  const Json choice = called.json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls") << called.body;
  EXPECT_TRUE(choice["message"]["content"].is_null());
  const Json call = choice["message"]["tool_calls"][0];
  EXPECT_EQ(call["function"]["name"], "weather");
  EXPECT_TRUE(Json::parse(call["function"]["arguments"].get<std::string>())["place"].is_string());
  const Reply streamed =
      running.ask(post("/v1/chat/completions", ask + R"(,"tool_choice":"required","stream":true})"));
  EXPECT_NE(streamed.body.find("\"tool_calls\":[{"), std::string::npos) << streamed.body;
  EXPECT_NE(streamed.body.find("\"finish_reason\":\"tool_calls\""), std::string::npos);
  EXPECT_EQ(running.ask(post("/v1/chat/completions", ask + R"(,"tool_choice":"none"})"))
                .json()["choices"][0]["message"]["content"]
                .is_string(),
            true);
}

TEST(Structured, TextsThatAreCallsBecomeCalls) {
  const std::vector<std::string> names{"f", "g"};
  EXPECT_EQ(tool_calls_of(R"({"name":"f","arguments":{"x":1}})", names).at(0).arguments, R"({"x":1})");
  EXPECT_EQ(
      tool_calls_of(R"( <tool_call>[{"name":"g","arguments":{}},{"name":"f"}]</tool_call> )", names).size(),
      2u);
  EXPECT_EQ(
      tool_calls_of("<tool_call>{\"name\":\"g\"}</tool_call>\n<tool_call>{\"name\":\"f\"}", names).size(),
      2u);
  for (const char* text :
       {"", "hello", R"({"name":"h"})", R"({"arguments":{}})", R"({"name":"f"} and more)", "[[]]"})
    EXPECT_TRUE(tool_calls_of(text, names).empty()) << text;
  for (const char* text : {"", " ", "{", "<tool", "[", "<tool_call>"})
    EXPECT_TRUE(may_become_tool_call(text)) << text;
  for (const char* text : {"The", "<b>", "\"x"}) EXPECT_FALSE(may_become_tool_call(text)) << text;
}

TEST_F(Http, LogprobsAndEmbeddings) {
  Running running(*model_);
  const Json chat =
      running.ask(post("/v1/chat/completions", std::string(kHello) + R"(,"logprobs":true,"top_logprobs":2})"))
          .json()["choices"][0];
  ASSERT_TRUE(chat["logprobs"]["content"].is_array()) << chat.dump();
  std::string text;
  for (const Json& item : chat["logprobs"]["content"]) {
    text += item["token"].get<std::string>();
    EXPECT_LE(item["logprob"].get<double>(), 0);
    EXPECT_EQ(item["top_logprobs"].size(), 2u);
  }
  EXPECT_EQ(text, chat["message"]["content"].get<std::string>());
  const Json plain =
      running.ask(post("/v1/completions", R"({"prompt":"1, 2, 3,","max_tokens":4,"logprobs":1})"))
          .json()["choices"][0]["logprobs"];
  EXPECT_EQ(plain["tokens"].size(), 4u);
  EXPECT_EQ(plain["top_logprobs"][0].size(), 1u);
  const Json made = running.ask(post("/v1/embeddings", R"({"input":["a cat","a dog"]})")).json();
  ASSERT_EQ(made["data"].size(), 2u) << made.dump();
  EXPECT_EQ(static_cast<int>(made["data"][1]["embedding"].size()), model_->embedding_size());
  EXPECT_GT(made["usage"]["prompt_tokens"].get<int>(), 2);
}

TEST(ApiKeys, LimitsOfAKey) {
  ApiKeys keys = ApiKeys::parse("# all\nplain\nslow tier=coder rate=2 burst=1 concurrent=2 # note\n", "keys");
  ASSERT_EQ(keys.keys().size(), 2u);
  ApiKey* const slow = keys.find("Bearer slow");
  EXPECT_EQ(slow->tier, "coder");
  ApiKeys::admit(slow, 1000);
  EXPECT_THROW(ApiKeys::admit(slow, 1001), ApiError);  // two a second: the next after half a second
  ApiKeys::admit(slow, 1501);
  try {
    ApiKeys::admit(slow, 9000);
    ADD_FAILURE() << "a third at once";
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status, 429);
    EXPECT_EQ(error.code, "rate_limit_exceeded");
    EXPECT_GT(error.retry_after_ms, 0);
  }
  ApiKeys::leave(slow);
  ApiKeys::admit(slow, 9001);
  ApiKey* const plain = keys.find("Bearer plain");
  for (int i = 0; i < 100; ++i) ApiKeys::admit(plain, 0);
  for (const char* bad : {"", "# none", "k rate=0", "k rate=x", "k speed=1", "k concurrent=0", "k tier="})
    EXPECT_THROW(ApiKeys::parse(bad, "keys"), InvalidInput) << bad;
}

TEST_F(Http, KeepsAConnectionForSeveralRequests) {
  Running running(*model_);
  Client client(running.port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(
        client.write(post("/v1/completions", R"({"prompt":"1, 2, 3,","max_tokens":3,"temperature":0})")));
    const Reply reply = read_reply(client);
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.json()["object"], "text_completion");
  }
  // Two at once: the second waits in the buffer while the first streams.
  client.write(post("/v1/completions", R"({"prompt":"a b c","max_tokens":3,"stream":true})") +
               get("/health"));
  EXPECT_EQ(read_reply(client).status, 200);
  EXPECT_EQ(read_reply(client).json()["status"], "ok");
}

TEST_F(Http, OtherEndpoints) {
  Running running(*model_);
  EXPECT_EQ(running.ask(get("/health")).status, 200);
  EXPECT_EQ(running.ask(get("/ready")).status, 200);
  const Json models = running.ask(get("/v1/models")).json();
  EXPECT_EQ(models["data"][0]["id"], "smol");
  EXPECT_TRUE(models["data"][0]["slo_tiers"].contains("coder"));
  const Json tokens = running.ask(post("/tokenize", R"({"content":"Hello world"})")).json();
  EXPECT_EQ(tokens["count"], model_->tokenize("Hello world", false).size());
  running.ask(post("/v1/completions", R"({"prompt":"x","max_tokens":20})"));
  const std::string metrics = running.ask(get("/metrics")).body;
  EXPECT_NE(metrics.find("ballast_requests_total{outcome=\"finished\"} 1"), std::string::npos) << metrics;
  EXPECT_NE(metrics.find("# TYPE ballast_plan_milliseconds histogram"), std::string::npos);
  EXPECT_TRUE(running.ask(get("/v1/plan")).json().contains("items"));
  EXPECT_NE(running.ask(get("/")).body.find("<title>ballast serve</title>"), std::string::npos);
  Client events(running.port());
  events.write(get("/events"));
  EXPECT_TRUE(events.read_until("\"kv_total\""));
}

// Section 11's table: each mistake has its status, its code, and a sentence that names the field.
TEST_F(Http, RefusesEachMistakeWithItsStatusAndCode) {
  Running running(*model_);
  struct Case {
    std::string path, body, code;
    int status;
  };
  const std::string chat = "/v1/chat/completions", text = "/v1/completions";
  const std::vector<Case> cases = {
      {chat, "{", "malformed_json", 400},
      {chat, "[]", "invalid_value", 400},
      {chat, "{}", "invalid_value", 400},
      {chat, R"({"messages":[]})", "invalid_value", 400},
      {chat, R"({"messages":"hi"})", "invalid_value", 400},
      {chat, R"({"messages":[{"role":"wizard","content":"x"}]})", "invalid_value", 400},
      {chat, R"({"messages":[{"role":"user","content":""}]})", "invalid_value", 400},
      {chat, R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})", "invalid_value", 400},
      {text, R"({"prompt":""})", "invalid_value", 400},
      {text, R"({"prompt":7})", "invalid_value", 400},
      {text, R"({"prompt":[1,-5]})", "invalid_value", 400},
      {text, R"({"prompt":"x","max_tokens":"many"})", "invalid_value", 400},
      {text, R"({"prompt":"x","max_tokens":0})", "invalid_value", 400},
      {text, R"({"prompt":"x","temperature":-1})", "invalid_value", 400},
      {text, R"({"prompt":"x","top_p":0})", "invalid_value", 400},
      {text, R"({"prompt":"x","n":2})", "unsupported_field", 400},
      {text, R"({"prompt":"x","best_of":2})", "unsupported_field", 400},
      {chat, R"({"messages":[{"role":"user","content":"x"}],"response_format":{"type":"yaml"}})",
       "invalid_value", 400},
      {chat, R"({"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema"}})",
       "invalid_value", 400},
      {chat,
       R"({"messages":[{"role":"user","content":"x"}],
           "response_format":{"type":"json_schema","json_schema":{"schema":{"pattern":"a+"}}}})",
       "invalid_schema", 400},
      {chat, R"({"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]})", "invalid_value",
       400},
      {chat, R"({"messages":[{"role":"user","content":"x"}],"tool_choice":"required"})", "invalid_value",
       400},
      {chat,
       R"({"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_object"},"ignore_eos":true})",
       "invalid_value", 400},
      {text, R"({"prompt":"x","logprobs":9})", "invalid_value", 400},
      {text, R"({"prompt":"x","seed":1.5})", "invalid_value", 400},
      {text, R"({"prompt":"x","resume":{"token_ids":[-1]}})", "invalid_value", 400},
      {text, R"({"prompt":"x","max_tokens":2,"resume":{"token_ids":[1000,1000]}})", "invalid_value", 400},
      {"/v1/embeddings", R"({"input":""})", "invalid_value", 400},
      {"/v1/embeddings", R"({"input":[]})", "invalid_value", 400},
      {"/v1/embeddings", R"({"input":[[1,99999999]]})", "invalid_value", 400},
      {"/v1/embeddings", R"({"input":"x","encoding_format":"hex"})", "invalid_value", 400},
      {"/v1/embeddings", R"({"input":"x","dimensions":3})", "unsupported_field", 400},
      {"/tokenize", std::string(400000, '['), "malformed_json", 400},
      {chat,
       R"({"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":)" +
           std::string(100000, '[') + std::string(100000, ']') + "}]}",
       "malformed_json", 400},
      {text, R"({"prompt":"x","stop":[1]})", "invalid_value", 400},
      {text, R"({"prompt":"x","max_tokens":1000})", "context_length_exceeded", 400},
      {text, R"({"prompt":"x","model":"other"})", "model_not_found", 404},
      {text, R"({"prompt":"x","slo":{"tier":"codr"}})", "invalid_value", 400},
      {text, R"({"prompt":"x","slo":{"tpot_ms":0}})", "invalid_value", 400},
      {text, R"({"prompt":"x","slo":{"tpot_ms":-5}})", "invalid_value", 400},
      {text, R"({"prompt":"x","slo":{"ttft_ms":"soon"}})", "invalid_value", 400},
      {text, R"({"prompt":"x","slo":{"on_miss":"cry"}})", "invalid_value", 400},
      {text, R"({"prompt":"x","slo":{"speed":1}})", "unsupported_field", 400},
      {text, R"({"prompt":"x","slo":{"tpot_ms":0.1}})", "slo_impossible", 422},
      {text, R"({"prompt":"x","slo":{"ttft_ms":0.1}})", "slo_impossible", 422},
      {text, R"({"prompt":"x","stages":[{"kind":"dream"}]})", "invalid_value", 400},
      {"/v1/embedding", "{}", "not_found", 404},
      {"/v1/models", "{}", "method_not_allowed", 405},
  };
  for (const Case& c : cases) {
    const Reply reply = running.ask(post(c.path, c.body));
    EXPECT_EQ(reply.status, c.status) << c.body << " -> " << reply.body;
    ASSERT_TRUE(reply.json().is_object()) << c.body;
    const Json error = reply.json().value("error", Json::object());
    EXPECT_EQ(error.value("code", ""), c.code) << c.body << " -> " << reply.body;
    EXPECT_FALSE(error.value("message", "").empty());
  }
  EXPECT_EQ(running.ask(post("/v1/completions", R"({"prompt":"x"})", "x-slo-tpot-ms: soon\r\n")).status, 400);
  EXPECT_EQ(running.ask(get("/v1/completions")).status, 405);
  EXPECT_EQ(running.ask("DELETE /v1/requests/none HTTP/1.1\r\nHost: x\r\n\r\n").status, 404);
  EXPECT_EQ(running.ask("NONSENSE\r\n\r\n").status, 400);
  EXPECT_EQ(running.ask("GET / HTTP/1.1\r\nx: " + std::string(20000, 'y') + "\r\n\r\n").status, 431);
  EXPECT_EQ(running.ask(post("/v1/completions", "")).status, 400);
  EXPECT_EQ(
      running.ask("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n").status,
      413);
  EXPECT_TRUE(running.engine().idle());
}

TEST_F(Http, DeclinesWithRetryAfterWhenAskedTo) {
  Running running(*model_, {}, /*slots=*/1);
  Client busy(running.port());
  busy.write(post("/v1/completions",
                  R"({"prompt":"A long story:","max_tokens":500,"stream":true,"ignore_eos":true})"));
  ASSERT_TRUE(busy.read_until("data:"));
  // The only slot is taken for longer than this promise waits.
  const Reply reply = running.ask(
      post("/v1/completions", R"({"prompt":"one two three","slo":{"ttft_ms":200,"on_miss":"decline"}})"));
  EXPECT_EQ(reply.status, 429) << reply.body;
  EXPECT_EQ(reply.json()["error"]["code"], "slo_unattainable");
  EXPECT_NE(reply.header.find("Retry-After: "), std::string::npos);
}

TEST_F(Http, KeysAreAskedForWhereTheyAreSet) {
  const std::string file = testing::TempDir() + "/" + std::to_string(::getpid()) + "-keys";
  write_file(file, "# keys\nsecret-one\nsecret-two tier=coder rate=0.001\n");
  ServerOptions options;
  options.api_keys_file = file;
  Running running(*model_, options);
  EXPECT_EQ(running.ask(get("/health")).status, 200);
  EXPECT_EQ(running.ask(get("/v1/models")).status, 401);
  EXPECT_EQ(running.ask(get("/v1/models", "Authorization: Bearer secret\r\n")).status, 401);
  EXPECT_EQ(running.ask(get("/v1/models", "Authorization: Basic secret-one\r\n")).status, 401);
  EXPECT_EQ(running.ask(get("/v1/models", "Authorization: Bearer secret-two\r\n")).status, 200);
  const std::string wish =
      post("/v1/completions", R"({"prompt":"x","max_tokens":1})", "Authorization: Bearer secret-two\r\n");
  EXPECT_EQ(running.ask(wish).status, 200);
  const Reply over = running.ask(wish);
  EXPECT_EQ(over.status, 429);
  EXPECT_EQ(over.json()["error"]["code"], "rate_limit_exceeded");
  EXPECT_NE(over.header.find("Retry-After: "), std::string::npos);
  write_file(file, "secret tier=codr\n");
  EXPECT_THROW(Running(*model_, options), InvalidInput);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace ballast::serve
