// What the server refuses: wrong tokens, foreign shapes, wrong results; at the desk and over real sockets.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>

#include "ballast/base/testing.h"
#include "ballast/data/safetensors.h"
#include "ballast/federate/net/checkpoint.h"
#include "ballast/federate/net/deployment.h"
#include "federate.grpc.pb.h"

namespace ballast::federate {
namespace {

using testing::HasSubstr;

TEST(Deployment, WrongTokenAndForeignShapeAreRefused) {
  const auto federation = small(2, 1);
  const TemporaryFolder folder;
  FederationServer server(server_options(folder, 2, 1));
  Store store(federation, 0);
  ClientOptions wrong = client_options(0, server.port());
  wrong.token = "t1";  // another client's
  try {
    run_client(wrong, store);
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("does not know client 'c0'"));
  }
  std::thread waiting([&] { EXPECT_THROW(server.run(), Interrupted); });
  std::thread other([&] { server.desk().register_client(1, 5, 3); });
  while (server.desk().features() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_THROW(server.desk().register_client(0, 2, 2), InvalidInput);
  server.stop();
  waiting.join();
  other.join();
}

// Everything that the desk refuses, on one open training task.
TEST(Desk, WrongResultsAreRefusedAndCounted) {
  Roster roster{{{"a", to_hex(blake2b("x"))}, {"b", to_hex(blake2b("y"))}}};
  ServerDesk desk(roster, {.min_clients = 2, .open_deadline_s = 60, .round_deadline_s = 60});
  EXPECT_EQ(roster.authenticate("a", "x"), 0);
  EXPECT_EQ(roster.authenticate("a", "y"), -1);
  EXPECT_EQ(roster.authenticate("nobody", "x"), -1);
  WireSettings settings{.features = 2, .classes = 2, .config = {}};
  desk.set_problem(settings, "run");
  desk.register_client(0, 2, 2);
  desk.register_client(1, 2, 2);
  EXPECT_THROW(desk.register_client(1, 3, 2), InvalidInput);
  const ModelShape shape{2, 4, 2};
  ModelStore models;
  models.set(0) = fresh_params(shape, 1, 1);
  const auto work_of = [&](const std::vector<ClientTask>& tasks, const std::function<void()>& clients) {
    std::vector<bool> absent;
    std::thread server(
        [&] { desk.perform(tasks, models, false, [&](ClientResult& r) { absent.push_back(r.absent); }); });
    clients();
    server.join();
    return absent;
  };
  ClientTask open0, open1;
  open1.client = 1;
  const auto answer = [&](int client, ClientResult result) {
    const auto work = desk.next_task(client, std::chrono::seconds(20));
    result.client = client;
    result.absent = false;
    return std::pair(work.id, desk.push(client, work.id, to_bytes(result)));
  };
  ClientResult counted;
  counted.samples = 50;
  std::uint64_t old_id = 0;
  work_of({open0, open1}, [&] {
    old_id = answer(0, counted).first;
    EXPECT_EQ(answer(1, counted).second, "");
    EXPECT_EQ(desk.push(0, old_id, "anything"), "have");  // a repeated result is acknowledged
  });
  ClientTask train0, train1;
  train0.phase = train1.phase = Phase::train;
  train1.client = 1;
  train0.trains = train1.trains = {{.slot = 0, .batches = {{0, 1.0}}}};
  Trained right{.slot = 0, .samples = 50, .payload = std::string(shape.size() * 4, '\0')};
  const auto absent = work_of({train0, train1}, [&] {
    ClientResult good;
    good.trained = {right};
    EXPECT_EQ(answer(1, good).second, "");
    ClientResult bad = good;
    bad.trained[0].samples = 5000;
    EXPECT_EQ(answer(0, bad).second, "wrong number of samples");
    bad = good;
    bad.trained[0].payload.resize(12);
    EXPECT_EQ(answer(0, bad).second, "wrong layout");
    bad = good;
    const float nan = std::nanf("");
    std::memcpy(bad.trained[0].payload.data() + 8, &nan, 4);
    EXPECT_EQ(answer(0, bad).second, "parameters that are no finite numbers");  // the third: quarantine
    EXPECT_EQ(desk.push(0, 77, "x"), "quarantined");
  });
  EXPECT_EQ(absent, (std::vector<bool>{true, false}));
  EXPECT_EQ(desk.facts().refused, 3u);
  EXPECT_EQ(desk.facts().quarantined, std::set<int>{0});
  EXPECT_EQ(desk.push(1, 12345, "stale round"), "no such task is open");
  EXPECT_THROW(desk.blob("none"), InvalidInput);
}

/// A client written by hand, which may say anything.
class RawClient {
 public:
  RawClient(int port, std::string name, std::string token)
      : name_(std::move(name)),
        token_(std::move(token)),
        stub_(v1::Federation::NewStub(
            grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()))) {}
  std::unique_ptr<grpc::ClientContext> context() const {
    auto made = std::make_unique<grpc::ClientContext>();
    made->AddMetadata("ballast-client", name_);
    made->AddMetadata("ballast-token", token_);
    made->set_wait_for_ready(true);
    made->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(120));
    return made;
  }
  grpc::Status enlist(int features = 2, int classes = 2) {
    v1::NodeInfo info;
    info.set_features(static_cast<std::uint32_t>(features));
    info.set_classes(static_cast<std::uint32_t>(classes));
    v1::Ticket ticket;
    const auto call = context();
    const auto status = stub_->Register(call.get(), info, &ticket);
    run = ticket.run();
    return status;
  }
  grpc::Status next(v1::Task& task) {
    v1::TaskRequest request;
    request.set_run(run);
    request.set_wait_ms(1000);
    const auto call = context();
    return stub_->NextTask(call.get(), request, &task);
  }
  /// The next task of this phase; others are answered as they should be.
  v1::Task until(Phase phase, const Samples& samples) {
    for (v1::Task task;;) {
      if (!next(task).ok() || task.kind() == v1::Task::END) return {};
      if (task.kind() != v1::Task::WORK) continue;
      const auto record = from_bytes<ClientTask>(task.record());
      if (record.phase == phase) return task;
      ClientResult result;
      result.client = record.client;
      result.samples = samples.size();
      push(task.id(), to_bytes(result));
    }
  }
  std::string push(std::uint64_t id, const std::string& record, bool right_checksum = true) {
    const auto call = context();
    v1::Ack ack;
    auto writer = stub_->PushResult(call.get(), &ack);
    for (std::size_t at = 0; at == 0 || at < record.size(); at += kChunkBytes) {
      v1::Chunk chunk;
      chunk.set_task(id);
      chunk.set_data(record.substr(at, kChunkBytes));
      chunk.set_checksum(checksum64(chunk.data()) ^ (right_checksum ? 0 : 1));
      if (!writer->Write(chunk)) break;
    }
    writer->WritesDone();
    const auto status = writer->Finish();
    return status.ok() ? ack.reason() : "status: " + status.error_message();
  }
  /// Sends the first half of a record and goes away.
  void push_half(std::uint64_t id, const std::string& record) {
    const auto call = context();
    v1::Ack ack;
    auto writer = stub_->PushResult(call.get(), &ack);
    v1::Chunk chunk;
    chunk.set_task(id);
    chunk.set_data(record.substr(0, record.size() / 2));
    chunk.set_checksum(checksum64(chunk.data()));
    writer->Write(chunk);
    call->TryCancel();
    (void)writer->Finish();
  }
  std::string run;

 private:
  std::string name_, token_;
  std::unique_ptr<v1::Federation::Stub> stub_;
};

std::string payload_of(const Params& params) {
  return {reinterpret_cast<const char*>(params.data()), params.size() * sizeof(float)};
}

// Section 9 over real sockets: whatever client 1 sends, the round ends with the right result that it sends at
// last, and client 0 never notices.
TEST(Refusals, EveryWrongResultOverASocket) {
  const auto federation = small(2, 1);
  const TemporaryFolder folder;
  ServerOptions options = server_options(folder, 2, 1);
  options.strategy = {.name = "oblivious", .drift = {}};
  options.config.rounds = 1;
  FederationServer server(options);
  std::thread running([&] { (void)server.run(); });
  Store store(federation, 0);
  std::thread good([&] {
    try {
      (void)run_client(client_options(0, server.port()), store);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  });

  // Who is not known learns nothing but that.
  for (const auto& [name, token] : {std::pair("c1", "wrong"), {"c1", "t0"}, {"nobody", "t1"}}) {
    RawClient stranger(server.port(), name, token);
    const auto status = stranger.enlist();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(status.error_message(), "unknown client or wrong token");
  }
  RawClient client(server.port(), "c1", "t1");
  v1::Task task;
  EXPECT_EQ(client.next(task).error_code(), grpc::StatusCode::FAILED_PRECONDITION);  // no ticket yet
  const Samples& samples = federation.batch(1, 0);
  ASSERT_TRUE(client.enlist().ok());
  RawClient shaped(server.port(), "c1", "t1");
  const auto foreign = shaped.enlist(7, 3);
  EXPECT_EQ(foreign.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(foreign.error_message(), HasSubstr("7 features and 3 classes; the federation has 2 and 2"));

  const v1::Task train = client.until(Phase::train, samples);
  ASSERT_EQ(train.kind(), v1::Task::WORK);
  const ModelShape shape{2, 4, 2};
  ClientResult right;
  right.client = 1;
  right.absent = false;
  right.trained = {{.slot = 0, .samples = samples.size(), .payload = payload_of(Params(shape.size(), 0.5f))}};
  const auto with = [&](const std::function<void(ClientResult&)>& change) {
    ClientResult result = right;
    change(result);
    return to_bytes(result);
  };
  Params endless(shape.size(), 0.5f);
  endless[3] = INFINITY;
  const std::vector<std::tuple<const char*, std::uint64_t, std::string, const char*>> rows = {
      {"wrong layout", train.id(), with([](ClientResult& r) { r.trained[0].payload += "more"; }),
       "wrong layout"},
      {"not finite", train.id(), with([&](ClientResult& r) { r.trained[0].payload = payload_of(endless); }),
       "parameters that are no finite numbers"},
      {"wrong n", train.id(), with([](ClientResult& r) { r.trained[0].samples += 1; }),
       "wrong number of samples"},
      {"another slot", train.id(), with([](ClientResult& r) { r.trained[0].slot = 5; }),
       "another model than asked for"},
      {"another client", train.id(), with([](ClientResult& r) { r.client = 0; }), "another client's result"},
      {"no models", train.id(), with([](ClientResult& r) { r.trained.clear(); }), "another number of models"},
      {"unknown task", 4711, to_bytes(right), "no such task is open"},
      {"not a record", train.id(), "abc", "damaged record"},
      {"oversized", train.id(), std::string(3 << 20, 'x'), "oversized"}};
  std::uint64_t refused = 0;
  for (const auto& [what, id, record, reason] : rows) {
    EXPECT_EQ(client.push(id, record), reason) << what;
    EXPECT_EQ(server.desk().facts().refused, ++refused) << what;
    EXPECT_TRUE(server.desk().release("c1"));  // or the third would quarantine it
  }
  EXPECT_EQ(client.push(train.id(), to_bytes(right), false), "wrong checksum");
  client.push_half(train.id(), to_bytes(right));
  EXPECT_TRUE(server.desk().release("c1"));
  EXPECT_FALSE(server.desk().release("nobody"));
  EXPECT_EQ(client.push(train.id(), to_bytes(right)), "");
  EXPECT_THAT(client.push(train.id(), to_bytes(right)),
              testing::AnyOf("have", "no such task is open", "late"));
  (void)client.until(Phase::secure_open, samples);  // to the end
  good.join();
  running.join();
  EXPECT_EQ(server.status().value("state", ""), "ended");
}

TEST(Refusals, ThirdOneQuarantinesUntilReleased) {
  const auto federation = small(2, 1);
  const TemporaryFolder folder;
  ServerOptions options = server_options(folder, 2, 1);
  options.strategy = {.name = "oblivious", .drift = {}};
  FederationServer server(options);
  std::thread running([&] { EXPECT_THROW((void)server.run(), Interrupted); });
  RawClient first(server.port(), "c0", "t0"), second(server.port(), "c1", "t1");
  std::thread other([&] { (void)first.enlist(); });
  ASSERT_TRUE(second.enlist().ok());
  other.join();
  for (int k = 0; k < 3; ++k) EXPECT_EQ(second.push(1, "x"), "no such task is open");
  EXPECT_EQ(second.push(1, "x"), "quarantined");
  EXPECT_EQ(server.desk().facts().quarantined, std::set<int>{1});
  EXPECT_TRUE(server.desk().release("c1"));
  EXPECT_EQ(second.push(1, "x"), "no such task is open");
  server.stop();
  running.join();
}

// An upload that takes longer than the round: the round does not wait for it, and what comes is late; with
// `late_next_round` it counts in the next round.
TEST(Refusals, SlowUploadIsLateAndDoesNotHoldTheRound) {
  for (const bool next_round : {false, true}) {
    const auto federation = small(2, 1);
    const TemporaryFolder folder;
    ServerOptions options = server_options(folder, 2, 1);
    options.strategy = {.name = "oblivious", .drift = {}};
    options.config.rounds = 15;
    options.desk.open_deadline_s = 60;
    options.desk.round_deadline_s = 1;
    options.desk.late_next_round = next_round;
    FederationServer server(options);
    std::optional<RunLog> log;
    std::thread running([&] { log = server.run(); });
    struct Slow : Store {  // so that the run has not ended when the late result comes
      using Store::Store;
      const Samples* batch(int step) override {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        return Store::batch(step);
      }
    };
    Slow store(federation, 0);
    std::thread good([&] {
      try {
        (void)run_client(client_options(0, server.port()), store);
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    });
    RawClient client(server.port(), "c1", "t1");
    ASSERT_TRUE(client.enlist().ok());
    const v1::Task train = client.until(Phase::train, federation.batch(1, 0));
    ASSERT_EQ(train.kind(), v1::Task::WORK);
    for (int wait = 0; wait < 4000 && server.status().value("round", 0) == 0; ++wait)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ClientResult result;
    result.client = 1;
    result.trained = {{.slot = 0, .samples = 80, .payload = payload_of(Params(22, 100.0f))}};
    EXPECT_EQ(client.push(train.id(), to_bytes(result)), "late");
    good.join();
    running.join();
    EXPECT_EQ(server.desk().facts().late, 1u);
    EXPECT_EQ(server.desk().facts().refused, 0u);
    // 100 is far from what client 0 trains: it is in the mean, with less than half of the weight, or it is
    // not.
    const float largest = *std::max_element(log->parameters.at(0).begin(), log->parameters.at(0).end());
    if (next_round) {
      EXPECT_GT(largest, 10);
      EXPECT_LT(largest, 60);
    } else {
      EXPECT_LT(largest, 10);
    }
  }
}

}  // namespace
}  // namespace ballast::federate
