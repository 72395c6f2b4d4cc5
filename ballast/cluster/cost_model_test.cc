#include "ballast/cluster/cost_model.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "ballast/base/file.h"
#include "ballast/cluster/cluster.h"

namespace ballast::cluster {
namespace {

// Two supersteps by hand: h is 1040 then 40 + 40 wire bytes at 1 kB/s, messages 1 then 1 at 0.5 s, latency 2
// s each.
TEST(CostModel, AddsTheMaximaOfEverySuperstep) {
  Account a, b;
  a.supersteps = {{.bytes_out = 1000, .messages_out = 1, .cpu_ns = 3'000'000'000},
                  {.bytes_in = 40, .messages_in = 1}};
  b.supersteps = {{.bytes_in = 1000, .messages_in = 1},
                  {.bytes_out = 40, .messages_out = 1, .cpu_ns = 1'000'000'000}};
  const std::vector<Account> both{a, b};
  const auto time =
      model_time(both, {.name = "x", .bytes_per_s = 1000, .per_message_s = 0.5, .latency_s = 2});
  EXPECT_DOUBLE_EQ(time.compute_s, 4);
  EXPECT_DOUBLE_EQ(time.transfer_s, 1.04 + 0.08);
  EXPECT_DOUBLE_EQ(time.messages_s, 1);
  EXPECT_DOUBLE_EQ(time.latency_s, 4);
}

TEST(CostModel, FitFindsTheLawThatMadeThePoints) {
  std::vector<PingPoint> points;
  for (double bytes : {8.0, 1e3, 1e4, 1e5, 1e6}) {
    for (double messages : {1.0, 3.0, 15.0})
      points.push_back({bytes * messages, messages, 2e-5 + 3e-6 * messages + bytes * messages / 5e8});
  }
  const auto fitted = fit_profile(points, "law");
  EXPECT_NEAR(fitted.profile.bytes_per_s / 5e8, 1, 1e-6);
  EXPECT_NEAR(fitted.profile.per_message_s, 3e-6, 1e-11);
  EXPECT_NEAR(fitted.profile.latency_s, 2e-5, 1e-10);
  EXPECT_LT(fitted.held_out_error, 1e-6);
}

TEST(Profiles, AreFoundByNameOrFileOrRefusedWithTheReason) {
  EXPECT_EQ(find_profile("10gbe").bytes_per_s, 1.25e9);
  EXPECT_THROW(find_profile("10gbee"), InvalidInput);
  const std::string path = testing::TempDir() + "ballast_profile.yaml";
  write_file(path, "{bytes_per_s: 5e7, per_message_s: 0, latency_s: 1e-4}");
  EXPECT_EQ(find_profile(path).bytes_per_s, 5e7);
  for (const char* bad : {"[1]", "{bytes_per_s: 0, per_message_s: 0, latency_s: 0}", "{bytes_per_s: x}",
                          "{bytes_per_s: 1, latency_s: 1}", "{", "{speed: 1}"}) {
    write_file(path, bad);
    EXPECT_THROW(find_profile(path), InvalidInput) << bad;
  }
  std::filesystem::remove(path);
  EXPECT_THROW(find_profile("/no/such.yaml"), Unavailable);
}

TEST(Shaped, NobodyIsFasterThanTheLinkAndCountersAreTheSame) {
  const auto body = [](Machine& me) {
    Outbox out = me.outbox();
    if (me.id() == 0) out.to(1).extend(400'000);
    me.exchange(std::move(out));
  };
  auto plain = Cluster::open({.machines = 2});
  plain.run(body);
  auto shaped = Cluster::open({.machines = 2, .transport = "shaped"});  // 20 MB/s and 100 us
  const auto start = std::chrono::steady_clock::now();
  shaped.run(body);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_GE(seconds, 400'040 / 2e7 + 1e-4);
  for (std::size_t m = 0; m < 2; ++m)
    EXPECT_EQ(shaped.accounts()[m].total().wire_out(), plain.accounts()[m].total().wire_out());
  EXPECT_GE(static_cast<double>(shaped.accounts()[1].total().wait_ns), 1e9 * 400'040 / 2e7);
}

}  // namespace
}  // namespace ballast::cluster
