// Services over Cyclone DDS: calls, their header on the wire, their announcement.
#include "ballast/robot/node/service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::ros {
namespace {

TEST(Service, AnswersTheCallerAndNobodyElse) {
  const PrivateDomain domain;
  Context there({.domain_id = domain.id()}), here({.domain_id = domain.id()});
  Composition process(there, ExecutorOptions::parse("single"));
  Node node(process, "/lamp");
  int calls = 0;
  Service<std_srvs::SetBool> service(node, "/flag", [&](const std_srvs::SetBool_Request& request) {
    ++calls;
    return std_srvs::SetBool_Response{request.data, request.data ? "on" : "off"};
  });
  std::thread spinner([&] { process.spin(); });
  {
    Client<std_srvs::SetBool> one(here, "/flag", "/one"), two(here, "/flag", "/two");
    for (int i = 0; i < 2000 && !(one.available() && two.available()); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(one.available() && two.available());
    for (int i = 0; i < 20; ++i) {
      auto& client = i % 3 == 0 ? two : one;
      const auto answer = client.call({.data = i % 2 == 0}, std::chrono::seconds(20));
      ASSERT_TRUE(answer) << i;
      EXPECT_EQ(answer->success, i % 2 == 0);
      EXPECT_EQ(answer->message, i % 2 == 0 ? "on" : "off");
    }
    // On the graph: a server of Cyclone's, whose endpoints carry the messages' hash behind the identity.
    GraphCache cache(here);
    ASSERT_TRUE(cache.wait_until(
        [](const Graph& graph) {
          return std::any_of(graph.endpoints.begin(), graph.endpoints.end(), [](const Endpoint& endpoint) {
            return endpoint.kind == NameKind::service_request && endpoint.name == "/flag" && !endpoint.writer;
          });
        },
        std::chrono::seconds(20)));
    const auto graph = cache.snapshot();
    EXPECT_NO_THROW(check_service_vendor(graph, "/flag"));
    for (const auto& endpoint : graph.endpoints)
      if (endpoint.name == "/flag" && endpoint.kind == NameKind::service_request) {
        EXPECT_EQ(endpoint.type, "std_srvs/srv/SetBool_Request");
        EXPECT_EQ(endpoint.type_hash, type_hash(TypeLibrary::standard(), "std_srvs/srv/SetBool_Request"));
      }
    auto foreign = graph;
    for (auto& endpoint : foreign.endpoints) endpoint.guid[1] = 0x0f;  // Fast DDS
    EXPECT_THROW(check_service_vendor(foreign, "/flag"), InvalidInput);
  }
  process.stop();
  spinner.join();
  EXPECT_EQ(calls, 20);
}

TEST(Service, FramesBeginWithTheClientsIdentityAndTheSequence) {
  ServiceFrame<std_srvs::SetBool_Request> frame{0x0807060504030201u, 0x1817161514131211, {.data = true}};
  Bytes bytes;
  serialize_into(frame, bytes);
  const std::vector<std::uint8_t> expected{1,    2,    3,    4,    5,    6,    7,    8, 0x11,
                                           0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 1};
  ASSERT_GE(bytes.size(), 4 + expected.size());
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), bytes.begin() + 4));
  Guid guid{};
  guid[0] = 1;
  guid[1] = 0x10;
  EXPECT_EQ(service_identity("clientid", guid, 0x01020304),
            "clientid=01.10.00.00.00.00.00.00.00.00.00.00.01.02.03.04;");
}

TEST(Service, ACallWithoutAServerEndsInTime) {
  const PrivateDomain domain;
  Context here({.domain_id = domain.id()});
  Client<std_srvs::Empty> client(here, "/nobody");
  EXPECT_FALSE(client.available());
  EXPECT_FALSE(client.call({}, std::chrono::milliseconds(50)));
}

}  // namespace
}  // namespace ballast::ros
