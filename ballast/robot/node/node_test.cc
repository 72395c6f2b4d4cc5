// Executors and the intra-process hand-over.
#include "ballast/robot/node/node.h"

#include <gtest/gtest.h>

#include <thread>

namespace ballast::ros {
namespace {

class EveryExecutor : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryExecutor, DeliversEverythingOnceInOrderAndFiresTimers) {
  const PrivateDomain domain;
  Context context({.domain_id = domain.id()});
  Composition process(context, ExecutorOptions::parse(GetParam()));
  Node source(process, "/source"), sink(process, "/sink");
  std::vector<std::uint64_t> got;
  int ticks = 0;
  constexpr std::uint64_t kMessages = 200;
  const QosProfile qos = QosProfile{}.with_depth(1000);
  auto out = source.publisher<std_msgs::UInt64>("/numbers", qos);
  sink.subscribe<std_msgs::UInt64>("/numbers", qos, [&](auto message) {
    got.push_back(message->data);
    if (got.size() == kMessages) process.stop();
  });
  sink.timer(1'000'000, [&] { ++ticks; });
  std::uint64_t next = 0;
  source.timer(500'000, [&] {
    for (int i = 0; i < 5 && next < kMessages; ++i) out->publish(std_msgs::UInt64{next++});
  });
  process.spin();
  ASSERT_EQ(got.size(), kMessages);
  for (std::uint64_t i = 0; i < kMessages; ++i) EXPECT_EQ(got[i], i);
  EXPECT_GT(ticks, 0);
}

TEST_P(EveryExecutor, CrossesProcessBoundariesByDds) {
  const PrivateDomain domain;
  Context here({.domain_id = domain.id()}), there({.domain_id = domain.id()});
  Composition ours(here, ExecutorOptions::parse(GetParam())),
      theirs(there, ExecutorOptions::parse(GetParam()));
  Node ping(ours, "/ping"), pong(theirs, "/pong");
  auto out = ping.publisher<std_msgs::String>("/ping", {});
  auto back = pong.publisher<std_msgs::String>("/pong", {});
  pong.subscribe<std_msgs::String>("/ping", {}, [&](auto message) { back->publish(*message); });
  int round = 0;
  auto in = ping.subscribe<std_msgs::String>("/pong", {}, [&](auto message) {
    EXPECT_EQ(message->data, std::to_string(round));
    if (++round == 20) {
      ours.stop();
      theirs.stop();
    } else {
      out->publish(std_msgs::String{std::to_string(round)});
    }
  });
  std::thread other([&] { theirs.spin(); });
  while (out->matched() == 0 || back->matched() == 0 || in->matched() == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  out->publish(std_msgs::String{"0"});
  ours.spin();
  other.join();
  EXPECT_EQ(round, 20);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryExecutor,
                         ::testing::Values("single", "static", "multi(3)", "prioritized", "events"));

TEST(Executor, PrioritizedRunsTheHotPathFirst) {
  const PrivateDomain domain;
  Context context({.domain_id = domain.id()});
  Composition process(context, ExecutorOptions::parse("prioritized"));
  Node node(process, "/node");
  std::vector<int> order;
  auto slow = node.publisher<std_msgs::UInt64>("/slow", {});
  auto hot = node.publisher<std_msgs::UInt64>("/hot", {});
  node.subscribe<std_msgs::UInt64>("/slow", {}, [&](auto) { order.push_back(0); });
  node.set_priority(10);
  node.subscribe<std_msgs::UInt64>("/hot", {}, [&](auto) { order.push_back(1); });
  node.set_priority(-1);
  node.timer(20'000'000, [&] { process.stop(); });
  for (int i = 0; i < 3; ++i) {
    slow->publish(std_msgs::UInt64{1});
    hot->publish(std_msgs::UInt64{1});
  }
  process.spin();
  EXPECT_EQ(order, (std::vector<int>{1, 1, 1, 0, 0, 0}));
}

TEST(Executor, AGroupOfOneThreadNeverOverlaps) {
  const PrivateDomain domain;
  Context context({.domain_id = domain.id()});
  Composition process(context, ExecutorOptions::parse("multi(4)"));
  Node node(process, "/node");
  std::atomic<int> inside{0}, worst{0}, calls{0};
  const auto work = [&] {
    worst = std::max(worst.load(), ++inside);
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    --inside;
    if (++calls == 60) process.stop();
  };
  for (int i = 0; i < 4; ++i) node.timer(100'000, work);
  process.spin();
  EXPECT_EQ(worst, 1);
}

TEST(IntraProcess, KeepsTheLastAndCountsTheRest) {
  const PrivateDomain domain;
  Context context({.domain_id = domain.id()});
  Composition process(context, ExecutorOptions::parse("single"));
  Node node(process, "/node");
  std::vector<std::uint64_t> got;
  auto out = node.publisher<std_msgs::UInt64>("/numbers", {});
  auto in = node.subscribe<std_msgs::UInt64>("/numbers", QosProfile{}.with_depth(2), [&](auto message) {
    got.push_back(message->data);
    if (message->data == 9) process.stop();
  });
  auto shared = std::make_shared<const std_msgs::UInt64>(std_msgs::UInt64{9});
  for (std::uint64_t i = 0; i < 9; ++i) out->publish(std_msgs::UInt64{i});
  out->publish(shared);
  process.spin();
  EXPECT_EQ(got, (std::vector<std::uint64_t>{8, 9}));
  EXPECT_EQ(in->overwritten(), 8u);
}

TEST(Executor, RefusesWords) {
  EXPECT_EQ(ExecutorOptions::parse("multi(7)").threads, 7);
  for (const char* bad : {"muti", "multi(0)", "multi(x)", "single(2)", "multi(2"})
    EXPECT_THROW(ExecutorOptions::parse(bad), InvalidInput) << bad;
}

}  // namespace
}  // namespace ballast::ros
