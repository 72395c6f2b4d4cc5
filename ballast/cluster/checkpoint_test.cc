#include "ballast/cluster/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/cluster/cluster.h"

namespace ballast::cluster {
namespace {

class Checkpoints : public testing::Test {
 protected:
  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
};

// A counter that each machine adds to in every stage, with a checkpoint after each.
void work(Machine& me, const std::string& folder, std::uint64_t stages, std::vector<std::uint64_t>& results) {
  const Checkpoint checkpoint(folder);
  std::uint64_t stage = 0, value = 0;
  if (auto saved = checkpoint.load(me)) {
    stage = saved->stage;
    value = Reader(std::as_bytes(std::span(saved->state))).get<std::uint64_t>();
  }
  for (; stage < stages;) {
    me.begin_stage("count");
    Outbox out = me.outbox();
    out.to((me.id() + 1) % me.machines()).put(value + static_cast<std::uint64_t>(me.id()) + stage);
    const Inbox in = me.exchange(std::move(out));
    value = in.from((me.id() + me.machines() - 1) % me.machines()).get<std::uint64_t>() * 3;
    checkpoint.save(me, ++stage, std::as_bytes(std::span(&value, 1)));
  }
  results[static_cast<std::size_t>(me.id())] = value;
}

TEST_F(Checkpoints, AKilledRunEndsAsAnUndisturbedOne) {
  std::vector<std::uint64_t> undisturbed(3), resumed(3);
  Cluster::run(3, [&](Machine& me) { work(me, folder_ + "/a", 6, undisturbed); });
  auto cluster = Cluster::open({.machines = 3, .faults = FaultScript::parse("kill 1 stage=count")});
  EXPECT_THROW(cluster.run([&](Machine& me) { work(me, folder_ + "/b", 6, resumed); }), MachineLost);
  Cluster::run(3, [&](Machine& me) { work(me, folder_ + "/b", 4, resumed); });
  cluster = Cluster::open({.machines = 3});
  cluster.run([&](Machine& me) { work(me, folder_ + "/b", 6, resumed); });
  EXPECT_EQ(cluster.accounts()[0].supersteps.size(), 2u);  // stages 4 and 5 only
  EXPECT_EQ(resumed, undisturbed);
}

TEST_F(Checkpoints, WhatDoesNotFitIsRefusedWithTheReason) {
  std::vector<std::uint64_t> results(8);
  Cluster::run(3, [&](Machine& me) { work(me, folder_, 2, results); });
  const auto refusal = [&](int machines) -> std::string {
    try {
      Cluster::run(machines, [&](Machine& me) { work(me, folder_, 3, results); });
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal(4), testing::HasSubstr("of 3 machines, this run has 4"));
  write_file(folder_ + "/stage3.machine0.bin", "unfinished");  // no manifest names it
  EXPECT_EQ(refusal(3), "accepted");
  write_file(folder_ + "/stage3.machine2.bin", "12345678");
  EXPECT_THAT(refusal(3), testing::HasSubstr("stage3.machine2.bin"));
  write_file(folder_ + "/manifest.json", "{\"format\": \"ballast.checkpoint/9\"}");
  EXPECT_THAT(refusal(3), testing::HasSubstr("ballast.checkpoint/1"));
  write_file(folder_ + "/manifest.json", "{\"format\"");
  EXPECT_THAT(refusal(3), testing::HasSubstr("manifest.json"));
}

TEST_F(Checkpoints, AFolderThatCannotBeWrittenIsUnavailable) {
  write_file(folder_ + "/file", "x");
  std::vector<std::uint64_t> results(2);
  EXPECT_THROW(Cluster::run(2, [&](Machine& me) { work(me, folder_ + "/file/x", 1, results); }), Unavailable);
}

}  // namespace
}  // namespace ballast::cluster
