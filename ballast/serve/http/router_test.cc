// The router in front of real servers, over real sockets.
#include "ballast/serve/http/router.h"

#include <gtest/gtest.h>

#include <set>

#include "ballast/llama/test_model.h"
#include "ballast/serve/http/sse.h"
#include "ballast/serve/http/test_client.h"
#include "ballast/serve/model_test.h"

namespace ballast::serve {
namespace {

std::string url(std::uint16_t port) {
  return "http://127.0.0.1:" + std::to_string(port);
}

class RunningRouter {
 public:
  explicit RunningRouter(const std::vector<std::string>& replicas, RouteSettings settings = {})
      : router_(replicas, settings, {}), thread_([this] { router_.run(); }) {}
  ~RunningRouter() {
    router_.stop();
    if (thread_.joinable()) thread_.join();
  }
  std::uint16_t port() const { return router_.port(); }
  Router& router() { return router_; }
  void join() { thread_.join(); }
  Reply ask(const std::string& request) const { return serve::ask(port(), request); }

 private:
  Router router_;
  std::thread thread_;
};

std::string text_of(const std::string& body, bool& done, int& errors) {
  SseSplitter splitter;
  std::string text;
  for (const std::string& data : splitter.add(body)) {
    if (data == "[DONE]") {
      done = true;
      continue;
    }
    const Json event = Json::parse(data);
    errors += event.contains("error") ? 1 : 0;
    if (event.contains("choices") && !event["choices"].empty()) text += event["choices"][0].value("text", "");
  }
  return text;
}

TEST(Sse, EventsAreWholeHoweverTheBytesCome) {
  const std::string stream = "data: {\"a\":1}\n\n: comment\n\ndata: [DONE]\n\n";
  SseSplitter splitter;
  std::vector<std::string> events;
  for (const char c : stream) {
    for (std::string& event : splitter.add(std::string(1, c))) events.push_back(std::move(event));
  }
  EXPECT_EQ(events, (std::vector<std::string>{"{\"a\":1}", "[DONE]"}));
}

// Other servers write events otherwise: CRLF, no blank after the colon, several data lines, other fields.
TEST(Sse, TheFormsOfTheStandardAreRead) {
  SseSplitter splitter;
  EXPECT_EQ(splitter.add("event: x\r\ndata:a\r\ndata: b\r\nid: 1\r\n\r\ndata\r\rdata:  two\n\ndata: open"),
            (std::vector<std::string>{"a\nb", "", " two"}));
  EXPECT_TRUE(splitter.add("\n").empty());
  EXPECT_EQ(splitter.add("\n"), (std::vector<std::string>{"open"}));
}

TEST(Fleet, OrderLimitAndBalance) {
  const std::vector<std::string> urls{"http://h:1", "http://h:2", "http://h:3"};
  Fleet fleet(urls, {}, 1);
  EXPECT_EQ(fleet.route(), (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(fleet.route(), (std::vector<std::size_t>{1, 2, 0}));
  fleet.replicas()[1].up = false;
  for (int i = 0; i < 4; ++i) {
    const auto order = fleet.route();
    EXPECT_EQ(std::set<std::size_t>(order.begin(), order.end()), (std::set<std::size_t>{0, 2}));
  }
  Fleet limited(urls, {.limit = 2}, 1);
  EXPECT_EQ(limited.route().size(), 2u);
  Fleet least(urls, {.first = RouteSettings::Balancer::least_requests}, 1);
  least.replicas()[0].here = 3;
  least.replicas()[2].here = 1;
  EXPECT_EQ(least.route().front(), 1u);
  EXPECT_EQ(least.least_loaded(), 1u);
  for (ReplicaEntry& replica : least.replicas()) replica.up = false;
  EXPECT_TRUE(least.route().empty());
  EXPECT_FALSE(least.least_loaded().has_value());
  EXPECT_THROW(Fleet({}, {}, 1), InvalidInput);
  EXPECT_THROW(Fleet({"ftp://x"}, {}, 1), InvalidInput);
  EXPECT_THROW(RouteSettings::backup_from_string("declin"), InvalidInput);
}

class RouterTest : public ModelTest<RouterTest> {};

const char* kStory =
    R"({"prompt":"A long story about the sea:","max_tokens":60,"temperature":0,"ignore_eos":true,"stream":)";

// The point of the router: a replica that dies while it streams costs the client nothing. The text is, to the
// letter, that of a server that did not die.
TEST_F(RouterTest, AStreamGoesOnWhenItsReplicaIsLost) {
  auto first = std::make_unique<Running>(*model_);
  Running second(*model_);
  const Json alone = second.ask(post("/v1/completions", std::string(kStory) + "false}")).json();
  const std::string expected = alone["choices"][0]["text"];
  RunningRouter router({url(first->port()), url(second.port())});
  Client client(router.port());
  client.write(
      post("/v1/completions", std::string(kStory) + R"(true,"stream_options":{"include_usage":true}})"));
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(client.more());
  first.reset();  // in mid-stream
  const Reply reply = read_reply(client);
  EXPECT_EQ(reply.status, 200);
  bool done = false;
  int errors = 0;
  EXPECT_EQ(text_of(reply.body, done, errors), expected);
  EXPECT_TRUE(done);
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(reply.body.find("token_ids"), std::string::npos) << "what the client did not ask for";
  EXPECT_NE(reply.body.find("\"completion_tokens\":60"), std::string::npos)
      << reply.body.substr(reply.body.size() - 500);
  const Json state = router.ask(get("/v1/router")).json();
  EXPECT_EQ(state["replicas"][0]["lost"], 1);
  EXPECT_EQ(state["replicas"][1]["taken"], 1);
  // All ids of the stream are one.
  std::set<std::string> ids;
  SseSplitter splitter;
  for (const std::string& data : splitter.add(reply.body)) {
    if (data != "[DONE]") ids.insert(Json::parse(data)["id"].get<std::string>());
  }
  EXPECT_EQ(ids.size(), 1u);
}

TEST_F(RouterTest, ARefusedPromiseIsAskedForElsewhereThenTheBackupPolicyDecides) {
  Running busy(*model_, {}, /*slots=*/1), idle(*model_, {}, /*slots=*/1);
  RunningRouter router({url(busy.port()), url(idle.port())});
  RunningRouter one({url(busy.port()), url(idle.port())}, {.limit = 1});
  Client taken(busy.port());
  taken.write(post("/v1/completions",
                   R"({"prompt":"A long story:","max_tokens":450,"stream":true,"ignore_eos":true})"));
  ASSERT_TRUE(taken.read_until("data:"));
  const std::string wish = R"({"prompt":"one two three","max_tokens":2,"slo":{"ttft_ms":20000)";
  // The busy one is first in turn, has no slot, and says no at once; the idle one promises.
  const Reply promised = router.ask(post("/v1/completions", wish + "}}"));
  EXPECT_EQ(promised.status, 200) << promised.body;
  EXPECT_NE(promised.header.find("guaranteed"), std::string::npos);
  const Json state = router.ask(get("/v1/router")).json();
  EXPECT_EQ(state["replicas"][0]["refused"], 1) << state.dump();
  EXPECT_EQ(state["replicas"][1]["taken"], 1);
  // Limit 1: the busy one only. Decline: 429 with the reason.
  const Reply declined = one.ask(post("/v1/completions", wish + R"(,"on_miss":"decline"}})"));
  EXPECT_EQ(declined.status, 429) << declined.body;
  EXPECT_EQ(declined.json()["error"]["code"], "slo_unattainable");
  EXPECT_NE(declined.header.find("Retry-After"), std::string::npos);
  // Downgrade: the same replica is asked again with the looser tier, and answers when its slot is free.
  const Reply relaxed = one.ask(post("/v1/completions", wish + R"(,"on_miss":"downgrade"}})"));
  EXPECT_EQ(relaxed.status, 200) << relaxed.body;
  EXPECT_TRUE(taken.read_until("[DONE]"));
}

TEST_F(RouterTest, ReplicasThatAreDownAreLeftOutAndComeBack) {
  auto first = std::make_unique<Running>(*model_);
  Running second(*model_);
  const std::uint16_t port = first->port();
  RunningRouter router({url(port), url(second.port())});
  first.reset();
  for (int i = 0; i < 3; ++i) {
    const Reply reply = router.ask(post("/v1/completions", R"({"prompt":"x","max_tokens":2})"));
    EXPECT_EQ(reply.status, 200) << reply.body;
  }
  EXPECT_EQ(router.ask(get("/v1/models")).json()["data"][0]["id"], "smol");
  EXPECT_EQ(router.ask(get("/ready")).status, 200);
  ServerOptions again;
  again.port = port;
  Running back(*model_, again);
  bool up = false;
  for (int i = 0; i < 300 && !up; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    up = router.ask(get("/v1/router")).json()["replicas"][0]["up"].get<bool>();
  }
  EXPECT_TRUE(up);
}

TEST_F(RouterTest, MistakesAndTheAbsenceOfReplicasAreAnswered) {
  auto only = std::make_unique<Running>(*model_);
  RunningRouter router({url(only->port())});
  EXPECT_EQ(router.ask(post("/v1/completions", "{")).json()["error"]["code"], "malformed_json");
  EXPECT_EQ(router.ask(post("/v1/completions", R"({"prompt":"x","n":2})")).json()["error"]["code"],
            "unsupported_field");
  EXPECT_EQ(router.ask(post("/v1/completions", R"({"prompt":"x","stream":7})")).status, 400);
  EXPECT_EQ(router.ask(get("/v1/completions")).status, 405);
  EXPECT_EQ(router.ask(get("/nothing")).status, 404);
  EXPECT_EQ(router.ask("DELETE /v1/requests/none HTTP/1.1\r\nHost: x\r\n\r\n").status, 404);
  EXPECT_NE(router.ask(get("/metrics")).body.find("ballast_routed_total"), std::string::npos);
  only.reset();
  const Reply nobody = router.ask(post("/v1/completions", R"({"prompt":"x"})"));
  EXPECT_EQ(nobody.status, 503);
  EXPECT_EQ(nobody.json()["error"]["code"], "no_replica");
}

TEST_F(RouterTest, AClientThatVanishesFreesTheReplicaToo) {
  Running replica(*model_);
  RunningRouter router({url(replica.port())});
  {
    Client client(router.port());
    client.write(post("/v1/completions",
                      R"({"prompt":"A long story:","max_tokens":450,"stream":true,"ignore_eos":true})"));
    ASSERT_TRUE(client.read_until("data:"));
    client.kill();
  }
  for (int i = 0; i < 600 && !replica.engine().idle(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_TRUE(replica.engine().idle());
  EXPECT_EQ(replica.engine().snapshot().cancelled, 1);
}

TEST_F(RouterTest, ADrainFinishesTheStreamsThatAreHere) {
  Running replica(*model_);
  RunningRouter router({url(replica.port())});
  Client client(router.port());
  client.write(
      post("/v1/completions", R"({"prompt":"A story:","max_tokens":30,"stream":true,"ignore_eos":true})"));
  ASSERT_TRUE(client.read_until("data:"));
  router.router().drain();
  EXPECT_TRUE(client.read_until("[DONE]"));
  router.join();
}

}  // namespace
}  // namespace ballast::serve
