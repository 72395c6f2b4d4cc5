// The server over real sockets, with SmolLM2 behind it. The client here is a bare socket, so that what is on
// the wire is what is checked; the official openai client and curl have their own tests in tests/.
#include <arpa/inet.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/llama/weights.h"
#include "ballast/serve/http/http_server.h"
#include "ballast/serve/test_profile.h"

namespace ballast::serve {
namespace {

class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) close();
    const timeval patience{120, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  /// Closes with a reset, as a killed process does.
  void kill() {
    const linger now{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  bool connected() const { return socket_ >= 0; }
  bool write(std::string_view bytes) const {
    return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  /// More bytes, or false when the server has closed.
  bool more() {
    char buffer[4096];
    const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    text_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }
  bool read_until(std::string_view mark) {
    while (text_.find(mark) == std::string::npos) {
      if (!more()) return false;
    }
    return true;
  }
  std::string& text() { return text_; }

 private:
  int socket_;
  std::string text_;
};

struct Reply {
  int status = 0;
  std::string header, body;
  Json json() const { return Json::parse(body, nullptr, false); }
};

// Reads one reply with a Content-Length or chunks.
Reply read_reply(Client& client) {
  Reply reply;
  if (!client.read_until("\r\n\r\n")) return reply;
  const std::size_t end = client.text().find("\r\n\r\n") + 4;
  reply.header = client.text().substr(0, end);
  client.text().erase(0, end);
  reply.status = std::atoi(reply.header.c_str() + 9);
  if (const auto at = reply.header.find("Content-Length: "); at != std::string::npos) {
    const auto length = static_cast<std::size_t>(std::atoll(reply.header.c_str() + at + 16));
    while (client.text().size() < length && client.more()) {
    }
    reply.body = client.text().substr(0, length);
    client.text().erase(0, length);
    return reply;
  }
  for (;;) {
    if (!client.read_until("\r\n")) return reply;
    const std::size_t line = client.text().find("\r\n");
    const std::size_t length = std::stoul(client.text().substr(0, line), nullptr, 16);
    while (client.text().size() < line + 2 + length + 2 && client.more()) {
    }
    reply.body += client.text().substr(line + 2, length);
    client.text().erase(0, line + 2 + length + 2);
    if (length == 0) return reply;
  }
}

std::string post(const std::string& path, const std::string& body, const std::string& headers = {}) {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         headers + "\r\n" + body;
}
std::string get(const std::string& path, const std::string& headers = {}) {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
}

// A server on a free port in this process.
class Running {
 public:
  explicit Running(const llama::Model& model, ServerOptions options = {}, int slots = 4)
      : engine_(model, generous(), make_policy("slos", settings()), engine_options(slots)),
        service_(model, engine_, api()),
        server_(service_, options),
        thread_([this] { server_.run(); }) {}
  ~Running() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }
  void join() { thread_.join(); }
  std::uint16_t port() const { return server_.port(); }
  Engine& engine() { return engine_; }
  HttpServer& server() { return server_; }
  Reply ask(const std::string& request) const {
    Client client(port());
    client.write(request);
    return read_reply(client);
  }

 private:
  static PolicySettings settings() {
    PolicySettings result;
    result.slos = {1e5, 1e5, 1e5, 1e5};
    return result;
  }
  static EngineOptions engine_options(int slots) {
    EngineOptions options;
    options.executor = {.slots = slots, .slot_tokens = 512, .batch = 128, .threads = 1};
    options.max_pending = 16;
    return options;
  }
  static ApiSettings api() {
    ApiSettings result;
    result.model_name = "smol";
    result.tiers = tiers_of(settings().slos);
    result.longest = 512;
    return result;
  }
  Engine engine_;
  Service service_;
  HttpServer server_;
  std::thread thread_;
};

class Http : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    try {
      model_ = std::make_unique<llama::Model>(llama::shipped_model());
    } catch (const Unavailable& error) {
      reason_ = error.what();
    }
  }
  static void TearDownTestSuite() { model_.reset(); }
  void SetUp() override {
    if (!model_) GTEST_SKIP() << reason_;
  }
  static std::unique_ptr<llama::Model> model_;
  static std::string reason_;
};
std::unique_ptr<llama::Model> Http::model_;
std::string Http::reason_;

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
  write_file(file, "# keys\nsecret-one\nsecret-two\n");
  ServerOptions options;
  options.api_keys_file = file;
  Running running(*model_, options);
  EXPECT_EQ(running.ask(get("/health")).status, 200);
  EXPECT_EQ(running.ask(get("/v1/models")).status, 401);
  EXPECT_EQ(running.ask(get("/v1/models", "Authorization: Bearer secret\r\n")).status, 401);
  EXPECT_EQ(running.ask(get("/v1/models", "Authorization: Basic secret-one\r\n")).status, 401);
  EXPECT_EQ(running.ask(get("/v1/models", "Authorization: Bearer secret-two\r\n")).status, 200);
  std::filesystem::remove(file);
}

TEST_F(Http, BindingFailuresAreOneSentence) {
  Running running(*model_);
  ServerOptions same;
  same.port = running.port();
  EXPECT_THROW(Running(*model_, same), Unavailable);
  ServerOptions tls;
  tls.tls_certificate = "/no/such/cert.pem";
  EXPECT_THROW(Running(*model_, tls), InvalidInput);
  tls.tls_key = "/no/such/key.pem";
  EXPECT_THROW(Running(*model_, tls), Unavailable);
  ServerOptions host;
  host.host = "not an address";
  EXPECT_THROW(Running(*model_, host), InvalidInput);
}

int open_descriptors() {
  int count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

// Clients that vanish while streaming, waiting or half-way through a request: memory comes back, no
// descriptor is left.
TEST_F(Http, ClientsThatVanishGiveEverythingBack) {
  Running running(*model_, {}, 3);
  const std::string endless = post(
      "/v1/completions", R"({"prompt":"A long story:","max_tokens":400,"stream":true,"ignore_eos":true})");
  int before = 0;
  for (int round = 0; round < 3; ++round) {
    {
      std::vector<std::unique_ptr<Client>> clients;
      for (int i = 0; i < 10; ++i) {
        clients.push_back(std::make_unique<Client>(running.port()));
        ASSERT_TRUE(clients.back()->connected());
        if (i % 5 == 4)
          clients.back()->write("POST /v1/completions HTTP/1.1\r\nContent-Le");
        else
          clients.back()->write(endless);
      }
      ASSERT_TRUE(clients.front()->read_until("data:"));
      for (std::size_t i = 0; i < clients.size(); i += 2) clients[i]->kill();
    }
    for (int i = 0; i < 600 && !(running.engine().idle() && running.server().connections() == 0); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(running.engine().idle());
    EXPECT_EQ(running.server().connections(), 0);
    if (round == 0) before = open_descriptors();
  }
  EXPECT_LE(open_descriptors(), before);
  EXPECT_EQ(running.ask(post("/v1/completions", R"({"prompt":"x","max_tokens":2})")).status, 200);
  for (int i = 0; i < 100 && running.engine().snapshot().kv_used > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(running.engine().snapshot().kv_used, 0);
}

TEST_F(Http, DeleteEndsARequest) {
  Running running(*model_);
  Client client(running.port());
  client.write(post("/v1/completions",
                    R"({"prompt":"A long story:","max_tokens":400,"stream":true,"ignore_eos":true})"));
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  const auto at = client.text().find("x-request-id: ");
  ASSERT_NE(at, std::string::npos) << client.text();
  const std::string id = client.text().substr(at + 14, client.text().find("\r\n", at) - at - 14);
  ASSERT_TRUE(client.read_until("data:"));
  EXPECT_EQ(running.ask("DELETE /v1/requests/" + id + " HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
  EXPECT_TRUE(client.read_until("\"error\""));
  EXPECT_TRUE(client.read_until("0\r\n\r\n"));
}

TEST_F(Http, ADrainFinishesWhatWasPromisedAndRefusesTheRest) {
  auto running = std::make_unique<Running>(*model_);
  Client client(running->port());
  client.write(
      post("/v1/completions", R"({"prompt":"A story:","max_tokens":40,"stream":true,"ignore_eos":true})"));
  ASSERT_TRUE(client.read_until("data:"));
  EXPECT_EQ(running->ask(post("/admin/drain", "")).status, 200);
  EXPECT_EQ(running->ask(get("/ready")).status, 503);
  const Reply refused = running->ask(post("/v1/completions", R"({"prompt":"x"})"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.header.find("Retry-After"), std::string::npos);
  EXPECT_TRUE(client.read_until("[DONE]"));
  running->join();  // run() returns by itself
}

// A slow sender is cut off after the request time, whatever it sends; nothing else is held up meanwhile.
TEST_F(Http, ASlowSenderIsCutOff) {
  ServerOptions options;
  options.limits.request_seconds = 1;
  Running running(*model_, options);
  Client slow(running.port());
  slow.write("POST /v1/completions HTTP/1.1\r\n");
  std::atomic<bool> over = false;
  std::thread drip([&] {
    while (!over && slow.write("x: y\r\n")) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  });
  EXPECT_EQ(running.ask(get("/health")).status, 200);
  while (slow.more()) {
  }
  over = true;
  drip.join();
  EXPECT_EQ(running.ask(get("/health")).status, 200);
}

// Random damage to valid requests: always an answer or a closed connection, never a crash or a hang.
TEST_F(Http, DamagedRequestsNeverBringItDown) {
  ServerOptions options;
  options.limits.request_seconds = 1;
  options.limits.idle_seconds = 1;
  Running running(*model_, options);
  std::printf("seed 71\n");
  Random random(71);
  const std::string good =
      post("/v1/chat/completions", std::string(kHello) + R"(,"slo":{"tier":"coder"},"stop":["x"]})");
  for (int round = 0; round < 60; ++round) {
    std::string bad = good;
    for (std::uint64_t i = 1 + random.below(4); i > 0; --i) {
      const std::size_t at = random.below(bad.size());
      if (random.below(2) == 0)
        bad[at] = static_cast<char>(random.below(256));
      else
        bad.erase(at, 1 + random.below(8));
    }
    Client client(running.port());
    client.write(bad);
    if (random.below(3) == 0) client.kill();
  }
  EXPECT_EQ(running.ask(get("/health")).status, 200);
}

}  // namespace
}  // namespace ballast::serve
