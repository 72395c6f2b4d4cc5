// The program as a user runs it.
#include <gtest/gtest.h>

#include <string>

#include "ballast/base/json.h"
#include "ballast/base/testing.h"

namespace ballast::robot {
namespace {

CommandResult shell(const std::string& words) {
  return run_command("env -u ROS_DOMAIN_ID " BALLAST_BINARY_DIR "/bin/ballast-robot " + words);
}

TEST(Program, MeasuresABenchmarkFromOutside) {
  const auto [code, output] = shell("run a2 --quick --seconds 1 --rates 20 --json");
  ASSERT_TRUE(code == 0) << output;
  const auto document = Json::parse(output);
  const auto& result = document["results"][0];
  EXPECT_EQ(result["id"], "a2");
  EXPECT_TRUE(result["check"]["passed"]);
  EXPECT_LE(result["check"]["value"].get<double>(), 0.5);
  const auto& counts = result["rates"][0]["runs"][0]["counts"];
  EXPECT_EQ(counts["sent"].get<int>(), counts["received"].get<int>() + counts["lost"].get<int>());
}

TEST(Program, RefusesWithTheNearestWord) {
  EXPECT_EQ(shell("run a9").code, 2);
  const auto [code, output] = shell("run a1 --impl fussed");
  EXPECT_EQ(code, 2);
  EXPECT_NE(output.find("fused"), std::string::npos) << output;
  EXPECT_EQ(shell("run a1 --rates 0").code, 2);
  EXPECT_EQ(shell("run a1 --rates nan").code, 2);
  EXPECT_EQ(shell("echo image --domain 5").code, 2);
  EXPECT_EQ(shell("component-host --graph /no/such.yaml").code, 3);
}

TEST(Program, NamesATopicThatNobodyPublishes) {
  const auto [code, output] = shell("echo /nobody --domain 101 --timeout 0.3");
  EXPECT_EQ(code, 3);
  EXPECT_NE(output.find("/nobody has no publisher"), std::string::npos) << output;
}

TEST(Program, ListsItsTypesWithHashes) {
  const auto [code, output] = shell("list --types");
  EXPECT_EQ(code, 0);
  EXPECT_NE(output.find("RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"),
            std::string::npos);
}

}  // namespace
}  // namespace ballast::robot
