// Profiles, calibration and plans: what is modelled.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/index/key_files.h"
#include "ballast/index/operations_file.h"
#include "ballast/index/pim/profiles.h"
#include "ballast/index/plan.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

using testing::HasSubstr;

std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return "taken";
}

TEST(Profiles, GoRoundThroughYaml) {
  EXPECT_EQ(pim::Profile::upmem_p21().frequency_hz, 350e6);
  for (const auto& profile : pim::known_profiles()) {
    const auto again = pim::read_profiles(pim::to_yaml(profile), "again");
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(pim::to_yaml(again[0]), pim::to_yaml(profile));
  }
}

TEST(Profiles, AMissingUnknownOrNegativeFieldIsRefusedWithItsLine) {
  const std::string good = pim::to_yaml(pim::Profile::upmem_p21());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return refusal([&] { pim::read_profiles(text, "p.yaml"); });
  };
  EXPECT_THAT(with("launch_s: 2e-05\n", ""), HasSubstr("launch_s"));
  EXPECT_THAT(with("launch_s: ", "lanch_s: "), AllOf(HasSubstr("lanch_s"), HasSubstr("launch_s")));
  EXPECT_THAT(with("tasklets: 12", "tasklets: -12"), AllOf(HasSubstr("p.yaml:6"), HasSubstr("-12")));
  EXPECT_THAT(with("tasklets: 12", "tasklets: 0"), HasSubstr("p.yaml:6: 0 is not above 0"));
  EXPECT_THAT(with("tasklets: 12", "tasklets: many"), HasSubstr("many"));
  EXPECT_THAT(with("[machine_bytes_per_s", "[machine_bytes"), HasSubstr("p.yaml:3"));
  EXPECT_THAT(refusal([&] { pim::find_profile("upmem-p12"); }), HasSubstr("did you mean 'upmem-p21'"));
}

pim::MeasuredRound random_round(Random& random, const pim::Profile& truth, double noise) {
  pim::MeasuredRound one{static_cast<std::uint32_t>(64 << random.below(3)), {}, 0};
  one.round.most_sent = random.below(20'000);
  one.round.most_received = random.below(20'000);
  one.round.broadcast_words = random.below(3) == 0 ? random.below(one.round.most_sent + 1) : 0;
  one.round.most_work = random.below(2'000'000);
  one.round.most_memory_words = random.below(100'000);
  one.round.most_transfers = random.below(20'000);
  one.seconds = pim::modelled_seconds(one.round, one.modules, truth) * (1 + noise * (random.uniform() - 0.5));
  return one;
}

TEST(Calibrate, FindsTheProfileThatMadeTheRounds) {
  pim::Profile truth = pim::Profile::upmem_p21();
  truth.machine_bytes_per_s = 1e15;
  truth.frequency_hz = 500e6;
  truth.up_bytes_per_s = 3e9;
  truth.launch_s = 55e-6;
  Random random(4);
  std::vector<pim::MeasuredRound> rounds;
  for (int i = 0; i < 300; ++i) rounds.push_back(random_round(random, truth, 0));
  const auto exact = pim::calibrate(rounds, pim::Profile::upmem_p21(), "mine");
  EXPECT_LT(exact.held_out_error, 1e-6);
  EXPECT_NEAR(exact.profile.frequency_hz / truth.frequency_hz, 1, 1e-6);
  EXPECT_NEAR(exact.profile.up_bytes_per_s / truth.up_bytes_per_s, 1, 1e-6);
  EXPECT_NEAR(exact.profile.launch_s / truth.launch_s, 1, 1e-4);
  for (auto& one : rounds) one = random_round(random, truth, 0.1);  // 5 % either way
  const auto noisy = pim::calibrate(rounds, pim::Profile::upmem_p21(), "mine");
  EXPECT_LT(noisy.held_out_mean, 0.05);
  EXPECT_NEAR(noisy.profile.frequency_hz / truth.frequency_hz, 1, 0.1);
  rounds.resize(11);
  EXPECT_THAT(refusal([&] { pim::calibrate(rounds, truth, "x"); }), HasSubstr("at least 12"));
}

TEST(Calibrate, RoundsGoRoundThroughCsvAndBadOnesAreNamed) {
  Random random(5);
  std::vector<pim::MeasuredRound> rounds;
  for (int i = 0; i < 20; ++i) rounds.push_back(random_round(random, pim::Profile::upmem_p21(), 0.1));
  const std::string csv = pim::rounds_to_csv(rounds);
  EXPECT_EQ(pim::rounds_to_csv(pim::rounds_from_csv(csv, "r.csv")), csv);
  const std::string header = csv.substr(0, csv.find('\n') + 1);
  const auto says = [&](const std::string& line) {
    return refusal([&] { pim::rounds_from_csv(header + line, "r.csv"); });
  };
  EXPECT_THAT(refusal([] { pim::rounds_from_csv("a,b\n", "r.csv"); }), HasSubstr("r.csv:1"));
  EXPECT_THAT(says("64,1,1,0,1,1,1,1\n"), HasSubstr("r.csv:2"));
  EXPECT_THAT(says("64,1,1,0,1,1,1,1,0.1,2\n"), HasSubstr("seconds"));
  EXPECT_THAT(says("64,1.5,1,0,1,1,1,1,0.1\n"), HasSubstr("most_sent is '1.5'"));
  EXPECT_THAT(says("0,1,1,0,1,1,1,1,0.1\n"), HasSubstr("modules out of range"));
  EXPECT_THAT(says("64,1,1,0,1,1,1,1,0\n"), HasSubstr("seconds is not above 0"));
}

TEST(Plan, IsCloseToTheRunThatTheFitHadNotSeen) {
  const PimPlan plan = plan_pim({.keys = 1e6, .modules = 64, .batch = 65'536}, pim::Profile::upmem_p21(), 1);
  EXPECT_LT(plan.held_out_error, 0.25);
  EXPECT_GT(plan.low, 0);
  EXPECT_LE(plan.low, plan.operations_per_s);
  EXPECT_GE(plan.high, plan.operations_per_s);
  EXPECT_GE(plan.least_modules, 1u);
  EXPECT_GT(plan.module_bytes, 1e6 / 64 * 32);  // a data node alone takes 32 bytes
  const ClusterPlan cluster = plan_cluster({.keys = 1e8, .value_bytes = 100, .rate = 1e7}, 1);
  EXPECT_LT(cluster.held_out_error, 0.25);
  EXPECT_GE(cluster.operations_per_s, 1e7);
  EXPECT_GE(cluster.machines, 2);
  const ClusterPlan hungry = plan_cluster({.keys = 1e12, .rate = 1, .memory_gib = 1}, 1);
  EXPECT_EQ(hungry.machines, 0);  // L3 alone is 250 GB
  EXPECT_THROW(plan_pim({.modules = 0}, pim::Profile::upmem_p21(), 1), InvalidInput);
  EXPECT_THROW(plan_cluster({.keys = 0}, 1), InvalidInput);
}

class ModelProgram : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.file(name); }
  static CommandResult run(const std::string& words) {
    return run_command(BALLAST_BINARY_DIR "/bin/ballast-index " + words);
  }

 private:
  const TemporaryFolder folder_;
};

TEST_F(ModelProgram, ModelsCalibratesAndTakesTheProfileBack) {
  const std::string sizes = "--keys 20K --batch 4K --modules 16 ";
  const auto modelled = run("model " + sizes + "--method jump-push --sweep --rounds " + path("r.csv"));
  EXPECT_EQ(modelled.code, 0) << modelled.output;
  EXPECT_THAT(modelled.output, AllOf(HasSubstr("modelled, upmem-p21"), HasSubstr("issue_interval")));
  const auto fitted = run("calibrate " + path("r.csv") + " --name lab --out " + path("lab.yaml"));
  EXPECT_EQ(fitted.code, 0) << fitted.output;
  EXPECT_THAT(fitted.output, HasSubstr("held out"));
  EXPECT_THAT(run("model " + sizes + "--profile " + path("lab.yaml")).output, HasSubstr("modelled, lab"));
  EXPECT_THAT(run("model --profile cxl-like --print-profile").output, HasSubstr("assumed: [frequency_hz"));
  EXPECT_EQ(run("model " + sizes + "--profile upmem").code, 2);
  EXPECT_EQ(run("model " + sizes + "--profile " + path("absent.yaml")).code, 3);
  EXPECT_EQ(run("calibrate " + path("absent.csv")).code, 3);
  write_file(path("bad.csv"), "nothing\n");
  EXPECT_EQ(run("calibrate " + path("bad.csv")).code, 2);
}

TEST_F(ModelProgram, EverySwitchIsAFlagAndAnUnknownWordNamesTheNearest) {
  const std::string sizes = "explain --keys 5K --batch 500 --modules 8 ";
  for (const char* flags : {"--l3 host", "--leaf inline --op update", "--chunking ab --op insert",
                            "--search pull", "--plan paper", "--root-place hash", "--record all --op delete",
                            "--no-merge-ranges --op scan", "--no-cut-ranges --op scan", "--no-dedup"})
    EXPECT_EQ(run(sizes + flags).code, 0) << flags;
  EXPECT_THAT(run(sizes + "--leaf inlin").output, HasSubstr("did you mean 'inline'?"));
  EXPECT_EQ(run(sizes + "--l3 hots").code, 2);
  EXPECT_EQ(run(sizes + "--chunking ba").code, 2);
}

TEST_F(ModelProgram, ALostModuleChangesNoAnswer) {
  ASSERT_EQ(run("gen " + path("k.bidx") + " --count 2000").code, 0);
  write_file(path("w.properties"),
             "readproportion=0.4\nupdateproportion=0.3\ninsertproportion=0.2\nscanproportion=0.1\n"
             "requestdistribution=hotspot\nmaxscanlength=20\n");
  const auto made = run("gen " + path("ops") + " --count 2000 --workload " + path("w.properties") +
                        " --init " + path("k.bidx"));
  ASSERT_EQ(made.code, 0) << made.output;
  const std::string words =
      "run " + path("ops") + " --init " + path("k.bidx") + " --batch 200 --modules 8 --check ";
  EXPECT_EQ(run(words).code, 0);
  const auto killed = run(words + "--order phase --kill-module 3@60 --snapshot " + path("s.bidx"));
  EXPECT_EQ(killed.code, 0) << killed.output;
  EXPECT_THAT(killed.output, AllOf(HasSubstr("restored 1 times"), HasSubstr("equal to std::map")));
  EXPECT_EQ(run(words + "--kill-module 3").code, 2);
  EXPECT_EQ(run(words + "--kill-module 3@60").code, 2);
  EXPECT_EQ(run(words + "--kill-module 8@60 --snapshot " + path("s.bidx")).code, 2);
  EXPECT_EQ(run(words + "--method range --kill-module 3@60 --snapshot " + path("s.bidx")).code, 2);
  write_file(path("w.properties"), "readproportion=0.4\nreedproportion=1\n");
  const auto bad =
      run("gen " + path("ops") + " --workload " + path("w.properties") + " --init " + path("k.bidx"));
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.output, HasSubstr("w.properties:2"));
}

TEST_F(ModelProgram, PlansAndSaysHowSure) {
  const auto [code, text] = run("plan --keys 1M --modules 64 --batch 64K");
  EXPECT_EQ(code, 0) << text;
  EXPECT_THAT(text, AllOf(HasSubstr("modelled"), HasSubstr("held out")));
  EXPECT_EQ(run("plan --modules 0").code, 2);
  EXPECT_EQ(run("plan --net carrier-pigeon").code, 2);
}

}  // namespace
}  // namespace ballast::index
