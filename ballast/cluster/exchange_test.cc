#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "ballast/base/random.h"
#include "ballast/cluster/cluster.h"

namespace ballast::cluster {
namespace {

constexpr std::uint64_t kSeed = 20261124;

// What machine s sends to d in a round: a pure function, so that the receiver can say what must have come.
std::vector<std::uint64_t> message(int s, int d, int round) {
  Random random(kSeed, mix64(static_cast<std::uint64_t>(s) << 40 | static_cast<std::uint64_t>(d) << 20 |
                             static_cast<std::uint64_t>(round)));
  if (random.below(3) == 0) return {};
  std::vector<std::uint64_t> words(random.below(200));
  for (auto& word : words) word = random();
  return words;
}

class Exchange : public testing::TestWithParam<int> {};

TEST_P(Exchange, DeliversEveryMessageAndCountsEveryByte) {
  constexpr int kRounds = 20;
  const int machines = GetParam();
  auto cluster = Cluster::open({.machines = machines, .seed = kSeed});
  cluster.run([&](Machine& me) {
    for (int round = 0; round < kRounds; ++round) {
      if (round % 7 == 0) me.begin_stage("seven");
      Outbox out = me.outbox();
      for (int d = 0; d < machines; ++d) {
        for (auto word : message(me.id(), d, round)) out.to(d).put(word);
      }
      Inbox in = me.exchange(std::move(out));
      ASSERT_EQ(in.machines(), machines);
      for (int s = 0; s < machines; ++s) {
        std::vector<std::uint64_t> got;
        for (Reader reader = in.from(s); !reader.empty();) got.push_back(reader.get<std::uint64_t>());
        ASSERT_EQ(got, message(s, me.id(), round)) << s << " to " << me.id() << " in round " << round;
      }
    }
  });
  for (int m = 0; m < machines; ++m) {
    const auto& account = cluster.accounts()[static_cast<std::size_t>(m)];
    ASSERT_EQ(account.supersteps.size(), static_cast<std::size_t>(kRounds));
    for (int round = 0; round < kRounds; ++round) {
      const auto& count = account.supersteps[static_cast<std::size_t>(round)];
      SuperstepCount expected;
      for (int other = 0; other < machines; ++other) {
        const auto out = message(m, other, round).size() * 8, in = message(other, m, round).size() * 8;
        expected.inbox_bytes += in;
        if (other == m) {
          expected.self_bytes += out;
          expected.self_messages += out > 0;
        } else {
          expected.bytes_out += out;
          expected.messages_out += out > 0;
          expected.bytes_in += in;
          expected.messages_in += in > 0;
        }
      }
      EXPECT_EQ(count.bytes_out, expected.bytes_out);
      EXPECT_EQ(count.bytes_in, expected.bytes_in);
      EXPECT_EQ(count.messages_out, expected.messages_out);
      EXPECT_EQ(count.messages_in, expected.messages_in);
      EXPECT_EQ(count.self_bytes, expected.self_bytes);
      EXPECT_EQ(count.self_messages, expected.self_messages);
      EXPECT_EQ(count.inbox_bytes, expected.inbox_bytes);
      EXPECT_EQ(count.stage, static_cast<std::uint32_t>(round / 7 + 1));
      EXPECT_EQ(count.superstep, static_cast<std::uint32_t>(round % 7));
    }
  }
}

TEST_P(Exchange, CollectivesFoldInTheOrderOfMachines) {
  const int machines = GetParam();
  const auto value = [](int m) { return std::ldexp(1.0 + m, m * 7 % 50 - 25); };
  Cluster::run(machines, [&](Machine& me) {
    double expected = value(0), before = 0;
    for (int m = 1; m < machines; ++m) expected += value(m);
    for (int m = 0; m < me.id(); ++m) before += value(m);
    for (int repeat = 0; repeat < 5; ++repeat) {
      EXPECT_EQ(me.allreduce(value(me.id()), std::plus<>()), expected);
      EXPECT_EQ(me.exscan(value(me.id()), 0.0, std::plus<>()), before);
      EXPECT_EQ(me.broadcast(me.id(), machines - 1), machines - 1);
      const auto all = me.allgather(me.id());
      for (int m = 0; m < machines; ++m) EXPECT_EQ(all[static_cast<std::size_t>(m)], m);
      std::vector<int> both{me.id(), -me.id()};
      me.allreduce(std::span(both), [](int a, int b) { return std::max(a, b); });
      EXPECT_EQ(both, (std::vector<int>{machines - 1, 0}));
      me.barrier();
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Machines, Exchange, testing::Values(1, 2, 3, 7, 16, 64));

TEST(Exchange, AFailureReachesEveryoneAndTheClusterRunsAgain) {
  constexpr int kMachines = 5;
  auto cluster =
      Cluster::open({.machines = kMachines, .faults = FaultScript::parse("kill 3 stage=work superstep=2")});
  std::atomic<int> lost{0};
  const auto body = [&](Machine& me) {
    me.begin_stage("work");
    for (int step = 0; step < 4; ++step) {
      Outbox out = me.outbox();
      out.to((me.id() + 1) % kMachines).put(step);
      try {
        me.exchange(std::move(out));
      } catch (const MachineLost& error) {
        EXPECT_EQ(error.machine(), 3);
        EXPECT_EQ(error.stage(), 1u);
        EXPECT_EQ(error.superstep(), 2u);
        ++lost;
        throw;
      }
    }
  };
  EXPECT_THROW(cluster.run(body), MachineLost);
  EXPECT_EQ(lost, kMachines);
  EXPECT_NO_THROW(cluster.run(body));
  EXPECT_EQ(lost, kMachines);
}

TEST(Exchange, TheFirstErrorIsTheOneReported) {
  try {
    Cluster::run(4, [](Machine& me) {
      if (me.id() == 2) throw InvalidInput("vertex 9 is not there");
      me.barrier();
    });
    FAIL() << "nothing was thrown";
  } catch (const InvalidInput& error) {
    EXPECT_STREQ(error.what(), "vertex 9 is not there");
  }
}

TEST(Exchange, DamageIsFoundBeforeItIsUsed) {
  for (const char* script : {"corrupt 1 to=0 superstep=1", "drop 1 superstep=1"}) {
    auto cluster = Cluster::open({.machines = 3, .faults = FaultScript::parse(script)});
    try {
      cluster.run([](Machine& me) {
        for (int step = 0; step < 3; ++step) {
          Outbox out = me.outbox();
          for (int d = 0; d < 3; ++d) out.to(d).put(std::uint64_t{1} << me.id());
          me.exchange(std::move(out));
        }
      });
      FAIL() << script << " went unseen";
    } catch (const Unavailable& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("from machine 1")) << script;
    }
  }
}

TEST(Exchange, MachinesThatDisagreeAreNamedInPlaceOfAWaitWithoutEnd) {
  EXPECT_THROW(Cluster::run(2,
                            [](Machine& me) {
                              if (me.id() == 0) me.barrier();
                              if (me.id() == 1) me.exchange(me.outbox());
                            }),
               Unavailable);
  EXPECT_THROW(Cluster::run(2,
                            [](Machine& me) {
                              if (me.id() == 0) me.barrier();
                            }),
               Unavailable);
  auto impatient = Cluster::open({.machines = 2, .stage_timeout_s = 0.05});
  std::atomic<bool> go{false};
  try {
    impatient.run([&](Machine& me) {
      if (me.id() == 1) {
        while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      try {
        me.barrier();
      } catch (...) {
        go = true;
        throw;
      }
    });
    FAIL() << "nobody lost patience";
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("for machines 1"));
  }
}

TEST(Exchange, AnInboxOverItsLimitNamesStageAndSuperstep) {
  auto cluster = Cluster::open({.machines = 3, .inbox_limit_bytes = 100});
  try {
    cluster.run([](Machine& me) {
      me.begin_stage("hot");
      Outbox out = me.outbox();
      for (int i = 0; i < 10; ++i) out.to(0).put(std::uint64_t{0});
      me.exchange(std::move(out));
    });
    FAIL() << "240 bytes fit in 100";
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("'hot'"), testing::HasSubstr("superstep 0")));
  }
}

TEST(Options, WhatCannotBeIsRefusedByName) {
  EXPECT_THROW(Cluster::open({.machines = 0}), InvalidInput);
  EXPECT_THROW(Cluster::open({.transport = "pigeons"}), InvalidInput);
  EXPECT_THROW(Cluster::open({.machines = 2, .faults = FaultScript::parse("kill 2")}), InvalidInput);
  for (const char* bad : {"kill", "kill x", "explode 1", "kill 1 superstep=", "kill -1", "drop 0 from=1"})
    EXPECT_THROW(FaultScript::parse(bad), InvalidInput) << bad;
  EXPECT_EQ(FaultScript::parse("kill 1; delay 0 ms=2.5 # late\n\ndrop 0 to=1").faults.size(), 3u);
}

TEST(Account, SurvivesCsvAndBytes) {
  auto cluster = Cluster::open({.machines = 3});
  cluster.run([](Machine& me) {
    me.begin_stage("a");
    for (int i = 0; i < 2; ++i) {
      Outbox out = me.outbox();
      out.to(1).put(i);
      me.exchange(std::move(out));
    }
  });
  const std::string csv = to_csv(cluster.accounts());
  EXPECT_EQ(to_csv(accounts_from_csv(csv, "x.csv")), csv);
  Buffer bytes;
  cluster.accounts()[2].encode(bytes);
  Reader reader(bytes.bytes());
  const std::vector<Account> again{Account::decode(reader)};
  EXPECT_TRUE(reader.empty());
  EXPECT_EQ(to_csv(again), to_csv(cluster.accounts().subspan(2, 1)));
  EXPECT_THROW(accounts_from_csv("machine\n", "x.csv"), InvalidInput);
  EXPECT_THROW(accounts_from_csv(csv + "1,a,1,0,-5,0,0,0,0,0,0,0,0,0\n", "x.csv"), InvalidInput);
  EXPECT_THROW(accounts_from_csv(csv + "1,a\n", "x.csv"), InvalidInput);
}

TEST(Reader, NeverReadsPastTheEnd) {
  Buffer buffer;
  buffer.put_varint(300);
  buffer.put(std::uint8_t{0x80});
  Reader reader(buffer.bytes());
  EXPECT_EQ(reader.get_varint(), 300u);
  EXPECT_THROW(reader.get_varint(), InvalidInput);
  EXPECT_THROW(reader.get<int>(), InvalidInput);
}

}  // namespace
}  // namespace ballast::cluster
