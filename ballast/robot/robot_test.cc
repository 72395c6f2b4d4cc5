// The program as a user runs it.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "ballast/base/file.h"
#include "ballast/base/json.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/robot/wire/dds.h"

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

constexpr const char* kResizeGraph =
    "graph: mine\n"
    "inputs: [{topic: /image, type: sensor_msgs/msg/Image}, {topic: /info, type: "
    "sensor_msgs/msg/CameraInfo}]\n"
    "outputs: [{topic: /small, type: sensor_msgs/msg/Image, key: stamp}]\n"
    "nodes:\n"
    "  - {name: /resize, component: \"ballast::components::Resize\", remap: {image: /image, camera_info: "
    "/info, "
    "resize: /small, camera_info_resize: /small_info}, params: {scale_width: 0.5, scale_height: 0.5}}\n";

TEST(Program, GeneratesABagAndMeasuresAGraphFileOnIt) {
  const TemporaryFolder folder;
  const std::string graph = folder.path() + "/mine.yaml", bag = folder.path() + "/camera",
                    again = folder.path() + "/again/camera";
  write_file(graph, kResizeGraph);
  std::filesystem::create_directories(folder.path() + "/again");
  ASSERT_EQ(shell("gen camera -o " + bag + " --seed 4").code, 0);
  ASSERT_EQ(shell("gen camera -o " + again + " --seed 4").code, 0);
  EXPECT_TRUE(read_file(bag + "/camera_0.mcap") == read_file(again + "/camera_0.mcap"));
  EXPECT_EQ(shell("bag verify " + bag).code, 0);
  EXPECT_EQ(shell("gen camara -o " + folder.path() + "/3").code, 2);
  const std::string maps = " --bag " + bag + " --map /image_raw:=/image --map /camera_info:=/info";
  const auto [code, output] =
      shell("run --graph " + graph + maps + " --rates 20 --iterations 1 --seconds 1 --json -o " +
            folder.path() + "/out --format robotperf");
  ASSERT_TRUE(code == 0 || code == 3) << output;  // 3: a busy machine broke a run rule
  const auto result = Json::parse(output.substr(output.find('{')))["results"][0];
  EXPECT_EQ(result["id"], "mine");
  EXPECT_FALSE(result["synthetic"].get<bool>());
  const auto& counts = result["rates"][0]["runs"][0]["counts"];
  EXPECT_EQ(counts["sent"].get<int>(), 20);
  EXPECT_GT(counts["received"].get<int>(), 0);
  EXPECT_TRUE(result["rates"][0]["runs"][0].contains("energy"));
  // Somebody else's command line: here our own host of the same graph.
  const std::string command =
      std::string("'") + BALLAST_BINARY_DIR "/bin/ballast-robot component-host --graph " + graph + "'";
  const auto external = shell("run --graph " + graph + maps +
                              " --rates 20 --iterations 1 --seconds 1 --json --sut-cmd " + command);
  ASSERT_TRUE(external.code == 0 || external.code == 3) << external.output;
  EXPECT_GT(Json::parse(external.output.substr(
                external.output.find('{')))["results"][0]["rates"][0]["runs"][0]["counts"]["received"]
                .get<int>(),
            0);
}

TEST(Program, ExplainsGraphsThatCannotRun) {
  const TemporaryFolder folder;
  const std::string graph = folder.path() + "/mine.yaml";
  write_file(graph, kResizeGraph);
  EXPECT_EQ(shell("run").code, 2);
  EXPECT_EQ(shell("run a1 --graph " + graph).code, 2);
  EXPECT_EQ(shell("run a1 --sut-cmd true").code, 2);
  EXPECT_EQ(shell("run a1 --format r2b").code, 2);
  const auto died = shell("run --graph " + graph + " --sut-cmd false --rates 10");
  EXPECT_EQ(died.code, 3);
  EXPECT_NE(died.output.find("did not start"), std::string::npos) << died.output;
  ASSERT_EQ(shell("gen twist -o " + folder.path() + "/twist").code, 0);
  const auto lacks = shell("run --graph " + graph + " --bag " + folder.path() + "/twist");
  EXPECT_EQ(lacks.code, 2);
  EXPECT_NE(lacks.output.find("/cmd_vel"), std::string::npos) << lacks.output;
  const auto other =
      shell("run --graph " + graph + " --map /cmd_vel:=/image --bag " + folder.path() + "/twist");
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.output.find("TwistStamped"), std::string::npos) << other.output;
}

TEST(Program, AnalyzesATraceByChain) {
  const TemporaryFolder folder;
  const auto [code, output] =
      shell("run a2 --quick --seconds 1 --rates 20 --type both --json -o " + folder.path());
  ASSERT_TRUE(code == 0 || code == 3) << output;
  const std::string file = folder.path() + "/a2-reference/trace.txt";
  const auto whole = shell("analyze " + file + " --json --trace " + folder.path() + "/timeline.json");
  ASSERT_EQ(whole.code, 0) << whole.output;
  const auto document = Json::parse(whole.output);
  EXPECT_GT(document["chain"]["inputs"].get<int>(), 0);
  EXPECT_GT(read_file(folder.path() + "/timeline.json").size(), 100u);
  write_file(folder.path() + "/a2.chain",
             "# borders of the callback only\nros2_image_pipeline:image_proc_rectify_cb_init\n"
             "ros2_image_pipeline:image_proc_rectify_cb_fini\n");
  const auto chain = shell("analyze " + file + " --json --chain " + folder.path() + "/a2.chain");
  ASSERT_EQ(chain.code, 0) << chain.output;
  EXPECT_EQ(Json::parse(chain.output)["chain"]["inputs"], document["chain"]["inputs"]);
  write_file(folder.path() + "/bad.chain", "one two\n");
  EXPECT_EQ(shell("analyze " + file + " --chain " + folder.path() + "/bad.chain").code, 2);
  EXPECT_EQ(shell("analyze " + folder.path()).code, 2);
  EXPECT_EQ(shell("trace strat -o x").code, 2);
  EXPECT_EQ(shell("trace run -o " + folder.path() + "/t").code, 2);  // no command
}

TEST(Program, PingsAPongOfAnotherProcess) {
  const TemporaryFolder folder;
  const ros::PrivateDomain domain, empty;
  const std::string id = std::to_string(domain.id());
  const auto [code, output] = run_command("cd " + folder.path() + " && export ROS_DOMAIN_ID=" + id +
                                          "; " BALLAST_BINARY_DIR
                                          "/bin/ballast-robot pong 2>/dev/null & "
                                          "pong=$!; ROS_DOMAIN_ID=" +
                                          id +
                                          " " BALLAST_BINARY_DIR
                                          "/bin/ballast-robot ping --rounds 50 --json; code=$?; kill $pong; "
                                          "wait $pong; exit $code");
  ASSERT_EQ(code, 0) << output;
  const auto document = Json::parse(output.substr(output.find('{')));
  EXPECT_EQ(document["lost"], 0);
  // One host, one clock: the offset is small against its own uncertainty and the round trip.
  EXPECT_LE(std::abs(document["offset_ms"].get<double>()), document["round_trip"]["max_ms"].get<double>());
  EXPECT_EQ(shell("ping --wait 0.2 --domain " + std::to_string(empty.id())).code, 3);
}

TEST(Program, SearchesAPeakWithinItsBounds) {
  const auto [code, output] = shell("search c3 --quick --lower 50 --upper 100 --seconds 0.3 --json");
  ASSERT_TRUE(code == 0 || code == 3) << output;
  const auto peak = Json::parse(output.substr(output.find('{')))["results"][0]["peak"];
  EXPECT_GE(peak["probes"].size(), 1u);
  for (const auto& probe : peak["probes"]) {
    EXPECT_GE(probe["rate_hz"].get<double>(), 49.9);
    EXPECT_LE(probe["rate_hz"].get<double>(), 106.0);  // the confirmation tries 5 % more
  }
  EXPECT_EQ(shell("search c3 --lower 50 --upper 20").code, 2);
}

}  // namespace
}  // namespace ballast::robot
