// Independent programs of others: PyPI cyclonedds and ros2-pyterfaces as a DDS endpoint and for type hashes,
// rosbags and mcap for bags. Skipped with the reason where `make peers` was not run.
#include <gtest/gtest.h>

#include <unistd.h>

#include <map>
#include <sstream>
#include <thread>

#include "ballast/base/file.h"
#include "ballast/base/testing.h"
#include "ballast/robot/bag/bag.h"
#include "ballast/robot/harness/sut.h"
#include "ballast/robot/harness/synthetic_graph.h"
#include "ballast/robot/node/service.h"
#include "ballast/robot/peers/fast_dds.h"
#include "ballast/robot/wire/dds.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::robot {
namespace {

std::string python() {
  return cache_folder() + "/venv/bin/python";
}

CommandResult run_peer(const std::string& words) {
  return run_command(python() + " " BALLAST_SOURCE_DIR "/ballast/robot/peers/" + words);
}

bool has_module(const std::string& name) {
  return std::system((python() + " -c 'import " + name + "' >/dev/null 2>&1").c_str()) == 0;
}

TEST(Peers, TypeHashesEqualThoseOfAnIndependentProgram) {
  if (!has_module("ros2_pyterfaces.cyclone")) GTEST_SKIP() << "ros2-pyterfaces is not installed (make peers)";
  const auto [code, output] = run_peer("dds_peer.py hashes");
  ASSERT_EQ(code, 0) << output;
  std::istringstream lines(output);
  int compared = 0;
  for (std::string name, hash; lines >> name >> hash;) {
    if (!ros::TypeLibrary::standard().find(name)) continue;
    EXPECT_EQ(ros::type_hash(ros::TypeLibrary::standard(), name), hash) << name;
    ++compared;
  }
  EXPECT_GE(compared, 35);
}

TEST(Peers, StringsPassBothWaysOverDds) {
  if (!has_module("cyclonedds.domain")) GTEST_SKIP() << "cyclonedds is not installed (make peers)";
  const ros::PrivateDomain domain;
  ros::Context context({.domain_id = domain.id()});
  const std::string script = BALLAST_SOURCE_DIR "/ballast/robot/peers/dds_peer.py",
                    id = std::to_string(domain.id());
  {
    ros::RawSubscription in(context, "/from_peer", "std_msgs/msg/String", {});
    Sut peer = Sut::command({python(), script, "say", id, "grüße"}, domain.id());
    const auto sample = in.take_within(std::chrono::seconds(30));
    ASSERT_TRUE(sample);
    EXPECT_EQ(ros::deserialize<std_msgs::String>(sample->payload()).data, "grüße");
    EXPECT_TRUE(ros::same_payload(sample->payload(), ros::serialize(std_msgs::String{"grüße"})));
  }
  const TemporaryFolder folder;
  ros::RawPublisher out(context, "/to_peer", "std_msgs/msg/String", {});
  Sut peer = Sut::command({python(), script, "hear", id}, domain.id(), folder.path() + "/heard");
  std::string heard;
  for (int i = 0; i < 600 && heard.empty(); ++i) {
    out.publish(ros::serialize(std_msgs::String{"from ballast"}));
    ::usleep(50'000);
    heard = read_file(folder.path() + "/heard");
  }
  EXPECT_EQ(heard, "from ballast\n");
}

TEST(Peers, AServiceOfOursAnswersAnIndependentClient) {
  if (!has_module("cyclonedds.domain")) GTEST_SKIP() << "cyclonedds is not installed (make peers)";
  const ros::PrivateDomain domain;
  ros::Context context({.domain_id = domain.id()});
  ros::Composition process(context, ros::ExecutorOptions::parse("single"));
  ros::Node node(process, "/lamp");
  ros::Service<std_srvs::SetBool> service(node, "/flag", [](const std_srvs::SetBool_Request& request) {
    return std_srvs::SetBool_Response{request.data, request.data ? "heller" : "dunkel"};
  });
  std::thread spinner([&] { process.spin(); });
  const auto [code, output] = run_peer("dds_peer.py call " + std::to_string(domain.id()));
  process.stop();
  spinner.join();
  EXPECT_EQ(code, 0) << output;
  EXPECT_EQ(output, "True heller\nFalse dunkel\n");
}

/// Images of many sizes both ways between the vendors, our receive buffer limited to `receive_buffer`.
void pass_images(const std::string& receive_buffer) {
  const ros::PrivateDomain domain;
  ros::ContextOptions options{.domain_id = domain.id()};
  options.tuning.receive_buffer = receive_buffer;
  ros::Context context(options);
  FastDds fast(domain.id());
  fast.open_writer("/from_fast", "sensor_msgs/msg/Image");
  fast.open_reader("/to_fast", "sensor_msgs/msg/Image");
  ros::RawPublisher out(context, "/to_fast", "sensor_msgs/msg/Image", {});
  ros::RawSubscription in(context, "/from_fast", "sensor_msgs/msg/Image", {});
  for (int i = 0; i < 2000 && (out.matched() == 0 || in.matched() == 0 || fast.matched_readers() == 0 ||
                               fast.matched_writers() == 0);
       ++i)
    ::usleep(10'000);
  ASSERT_GT(out.matched(), 0);
  ASSERT_GT(in.matched(), 0);
  for (const std::size_t bytes : {64, 1001, 60'000, 921'600, 6'220'800}) {
    sensor_msgs::Image image;
    image.header.frame_id = "camera";
    image.encoding = "mono8";
    image.data.resize(bytes);
    for (std::size_t i = 0; i < bytes; ++i) image.data[i] = static_cast<std::uint8_t>(i * 2654435761u >> 13);
    const auto payload = ros::serialize(image);
    out.publish(payload);
    const auto heard = fast.take_within(std::chrono::seconds(20));
    ASSERT_TRUE(heard) << bytes;
    EXPECT_TRUE(ros::same_payload(*heard, payload)) << bytes;
    fast.publish(payload);
    const auto sample = in.take_within(std::chrono::seconds(20));
    ASSERT_TRUE(sample) << bytes;
    EXPECT_TRUE(ros::same_payload(sample->payload(), payload)) << bytes;
  }
}

TEST(Peers, FastDdsAndCyclonePassImagesByteForByte) {
  if (!has_fast_dds()) GTEST_SKIP() << "built without Fast DDS (libfastrtps-dev)";
  pass_images("4MB");
}

// What a machine grants whose net.core.rmem_max was never raised.
TEST(Peers, ImagesPassThroughReceiveBuffersOfTheDefaultSize) {
  if (!has_fast_dds()) GTEST_SKIP() << "built without Fast DDS (libfastrtps-dev)";
  pass_images("208kB");
}

std::multimap<std::string, std::string> our_reading(const std::string& path) {
  std::multimap<std::string, std::string> messages;
  const auto bag = bag::open(path);
  while (const auto message = bag->next()) {
    const auto& topic = bag->topics()[message->topic];
    std::string shown;
    if (topic.type == "std_msgs/msg/String") {
      shown = ros::deserialize<std_msgs::String>(message->data).data;
    } else {
      const auto scan = ros::deserialize<sensor_msgs::LaserScan>(message->data);
      shown = scan.header.frame_id + ":" + std::to_string(scan.ranges.size());
    }
    messages.emplace(topic.name, std::to_string(message->time_ns) + " " + topic.type + " " + shown);
  }
  return messages;
}

std::multimap<std::string, std::string> their_reading(const std::string& output) {
  std::multimap<std::string, std::string> messages;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("/"))
      messages.emplace(line.substr(0, line.find(' ')), line.substr(line.find(' ') + 1));
  return messages;
}

TEST(Peers, BagsOfRosbagsAreReadAndOursReadByIt) {
  if (!has_module("rosbags") || !has_module("mcap_ros2"))
    GTEST_SKIP() << "rosbags or mcap is not installed (make peers)";
  const TemporaryFolder folder;
  for (const char* storage : {"sqlite3", "mcap"}) {
    for (const char* version : {"8", "9"}) {
      const std::string path = folder.path() + "/theirs-" + storage + version;
      const auto [code, output] = run_peer("bag_peer.py write " + path + " " + storage + " " + version);
      ASSERT_EQ(code, 0) << output;
      const auto read = our_reading(path);
      EXPECT_EQ(read.size(), 40u);
      EXPECT_EQ(read, their_reading(run_peer("bag_peer.py read rosbags " + path).output)) << path;
    }
  }
  const auto source = bag::open(folder.path() + "/theirs-mcap9");
  for (const auto& [storage, compression] : std::vector<std::pair<std::string, std::string>>{
           {"sqlite3", "none"}, {"sqlite3", "zstd"}, {"mcap", "none"}, {"mcap", "zstd"}, {"mcap", "lz4"}}) {
    const std::string path = folder.path() + "/ours-" + storage + "-" + compression;
    auto out =
        bag::create(path, bag::storage_from_string(storage), bag::compression_from_string(compression));
    for (const auto& topic : source->topics()) out->add_topic(topic);
    source->rewind();
    while (const auto message = source->next()) out->write(message->topic, message->time_ns, message->data);
    out->finish();
    const auto [code, output] = run_peer("bag_peer.py read rosbags " + path);
    EXPECT_EQ(code, 0) << output;
    EXPECT_EQ(their_reading(output), our_reading(path)) << path;
    if (storage == "mcap") {
      const auto file = path + "/ours-" + storage + "-" + compression + "_0.mcap";
      EXPECT_EQ(their_reading(run_peer("bag_peer.py read mcap " + file).output), our_reading(path)) << path;
    }
  }
}

}  // namespace
}  // namespace ballast::robot
