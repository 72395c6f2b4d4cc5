// Bags written and read back, the MCAP conformance files, and what damaged ones do.
#include "ballast/robot/bag/bag.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/robot/bag/metadata.h"
#include "ballast/robot/harness/synthetic_graph.h"
#include "ballast/robot/wire/cdr_walk.h"

namespace ballast::bag {
namespace {

namespace fs = std::filesystem;

ros::Bytes laser(int i) {
  sensor_msgs::LaserScan scan;
  scan.header.stamp = to_time(1'000'000'000 + i);
  scan.header.frame_id = "laser";
  scan.ranges.assign(static_cast<std::size_t>(i % 50), 1.5f);
  return ros::serialize(scan);
}

struct Kind {
  const char* storage;
  const char* compression;
};

class Every : public ::testing::TestWithParam<Kind> {};

TEST_P(Every, RoundTrip) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/bag";
  auto writer =
      create(path, storage_from_string(GetParam().storage), compression_from_string(GetParam().compression));
  const auto scan = writer->add_topic({.name = "/scan", .type = "sensor_msgs/msg/LaserScan"});
  const auto text = writer->add_topic(
      {.name = "/text", .type = "std_msgs/msg/String", .qos = qos_to_yaml(ros::QosProfile::sensor_data())});
  for (int i = 0; i < 300; ++i) writer->write(scan, 2000 + i * 10, laser(i));
  writer->write(text, 2005, ros::serialize(std_msgs::String{"between"}));
  writer->finish();

  const auto reader = open(path);
  EXPECT_EQ(reader->storage(), GetParam().storage);
  ASSERT_EQ(reader->topics().size(), 2u);
  EXPECT_EQ(reader->topics()[reader->topic_index("/scan")].count, 300u);
  EXPECT_EQ(qos_from_yaml(reader->topics()[reader->topic_index("/text")].qos),
            ros::QosProfile::sensor_data());
  EXPECT_THROW(reader->topic_index("/scam"), InvalidInput);
  for (int pass = 0; pass < 2; ++pass) {
    int scans = 0, all = 0;
    std::int64_t last = 0;
    while (const auto message = reader->next()) {
      EXPECT_GE(message->time_ns, last);
      last = message->time_ns;
      const auto& topic = reader->topics()[message->topic];
      if (topic.name == "/scan") {
        const auto expected = laser(scans++);
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), message->data.begin(), message->data.end()));
      } else {
        EXPECT_EQ(all, 1);
        EXPECT_EQ(ros::deserialize<std_msgs::String>(message->data).data, "between");
      }
      ++all;
    }
    EXPECT_EQ(all, 301);
    reader->rewind();
  }
  if (reader->storage() == "mcap") {
    EXPECT_EQ(ros::type_hash(reader->types(), "sensor_msgs/msg/LaserScan"),
              ros::type_hash(ros::TypeLibrary::standard(), "sensor_msgs/msg/LaserScan"));
  }
  // Without its metadata the bag still opens.
  fs::remove(path + "/metadata.yaml");
  const auto bare = open(path);
  EXPECT_EQ(bare->topics().size(), 2u);
  EXPECT_TRUE(bare->next());
  EXPECT_THROW(create(path, Storage::mcap, Compression::none), InvalidInput);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Every,
                         ::testing::Values(Kind{"sqlite3", "none"}, Kind{"sqlite3", "zstd"},
                                           Kind{"mcap", "none"}, Kind{"mcap", "zstd"}, Kind{"mcap", "lz4"}));

std::string conformance_folder() {
  if (const char* folder = std::getenv("BALLAST_SHARED_DATA")) return std::string(folder) + "/mcap";
  return BALLAST_SOURCE_DIR "/../shared/data/mcap";
}

std::vector<std::uint8_t> bytes_of(const std::string& file) {
  const auto text = read_file(file);
  return {text.begin(), text.end()};
}

TEST(Mcap, ReadsEveryConformanceFile) {
  if (!fs::exists(conformance_folder())) GTEST_SKIP() << conformance_folder() << " is not here";
  int files = 0;
  for (const auto& item : fs::recursive_directory_iterator(conformance_folder())) {
    if (item.path().extension() != ".mcap") continue;
    ++files;
    const auto name = item.path().filename().string();
    const auto bytes = bytes_of(item.path().string());
    if (bytes.size() < 200 && bytes.at(0) == 'v') continue;  // a git-LFS pointer in place of the file
    McapFile file(bytes, name);
    const std::size_t expected = name.starts_with("OneMessage") || name.starts_with("OneSchemaless") ? 1
                                 : name.starts_with("TenMessages")                                   ? 10
                                                                                                     : 0;
    EXPECT_EQ(file.messages().size(), expected) << name;
    EXPECT_EQ(file.attachments().size(), name.starts_with("OneAttachment") ? 1u : 0u) << name;
    EXPECT_EQ(file.metadata().size(), name.starts_with("OneMetadata") ? 1u : 0u) << name;
    const bool stated = name.find("-st") != std::string::npos;
    EXPECT_EQ(file.statistics() != nullptr, stated) << name;
    if (stated) {
      EXPECT_EQ(file.statistics()->messages, expected) << name;
    }
    EXPECT_EQ(file.chunks() > 0,
              name.find("-ch-") != std::string::npos || name.find("-ch.") != std::string::npos)
        << name;
    if (expected > 0) {
      EXPECT_EQ(file.channels().begin()->second.topic, "example") << name;
      const auto data = file.data(file.messages()[0]);
      EXPECT_FALSE(data.empty()) << name;
    }
  }
  EXPECT_GT(files, 100);
}

TEST(Mcap, DamageIsNamedAndSurvivedWhenAsked) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/bag";
  auto writer = create(path, Storage::mcap, Compression::none);
  const auto scan = writer->add_topic({.name = "/scan", .type = "sensor_msgs/msg/LaserScan"});
  for (int i = 0; i < 100; ++i) writer->write(scan, i, laser(i));
  writer->finish();
  const auto whole = bytes_of(path + "/bag_0.mcap");
  // Cut anywhere: refused, or read up to the damage; never out of bounds.
  for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 97) {
    const ByteView part = ByteView(whole).first(size);
    EXPECT_THROW(McapFile(part, "cut"), InvalidInput) << size;
    if (size < 8) continue;
    McapFile recovered(part, "cut", {.recover = true});
    EXPECT_FALSE(recovered.damage().empty());
    for (const auto& entry : recovered.messages()) EXPECT_NO_THROW(recovered.data(entry));
  }
  // Flip bytes: most are noticed, none crashes.
  const std::uint64_t seed = 11;
  Random random(seed);
  int noticed = 0;
  for (int trial = 0; trial < 300; ++trial) {
    auto damaged = whole;
    damaged[8 + random.below(damaged.size() - 8)] ^= static_cast<std::uint8_t>(1 + random.below(255));
    try {
      McapFile file(damaged, "flipped");
      for (const auto& entry : file.messages()) file.data(entry);
    } catch (const InvalidInput&) {
      ++noticed;
    }
  }
  EXPECT_GT(noticed, 200) << "seed " << seed;
}

TEST(Bag, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const auto file = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder.path() + "/" + name) << text;
    return folder.path() + "/" + name;
  };
  EXPECT_THROW(open(folder.path() + "/none"), Unavailable);
  EXPECT_THROW(open(folder.path()), Unavailable);  // an empty folder
  EXPECT_THROW(open(file("a.mcap", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n")),
               InvalidInput);
  EXPECT_THROW(open(file("b.mcap", "nonsense")), InvalidInput);
  EXPECT_THROW(open(file("c.db3", "SQLite format 3")), InvalidInput);
  fs::create_directories(folder.path() + "/bag");
  file("bag/metadata.yaml", "rosbag2_bagfile_information:\n  version: 5\n  storage_identifier: mcap\n");
  try {
    open(folder.path() + "/bag");
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_NE(std::string(error.what()).find("message_count"), std::string::npos) << error.what();
  }
  file("bag/metadata.yaml",
       "rosbag2_bagfile_information:\n  version: 5\n  storage_identifier: mcap\n  message_count: 0\n"
       "  relative_file_paths: [gone.mcap]\n");
  EXPECT_THROW(open(folder.path() + "/bag"), Unavailable);
  EXPECT_THROW(parse_metadata("a: [", "x"), InvalidInput);
  EXPECT_THROW(parse_metadata("rosbag2_bagfile_information: {version: 77}", "x"), InvalidInput);
}

TEST(Metadata, ReadsTheNewestForm) {
  const auto metadata = parse_metadata(
      "rosbag2_bagfile_information:\n  version: 9\n  storage_identifier: sqlite3\n  duration:\n    "
      "nanoseconds: 7\n"
      "  starting_time:\n    nanoseconds_since_epoch: 3\n  message_count: 2\n  topics_with_message_count:\n"
      "    - topic_metadata:\n        name: /a\n        type: std_msgs/msg/String\n        "
      "serialization_format: cdr\n"
      "        offered_qos_profiles:\n          - history: keep_last\n            depth: 5\n            "
      "reliability: "
      "best_effort\n            durability: volatile\n            deadline:\n              sec: 1\n          "
      "    nsec: 0\n"
      "            liveliness: automatic\n        type_description_hash: RIHS01_00\n      message_count: 2\n"
      "  compression_format: \"\"\n  compression_mode: \"\"\n  relative_file_paths:\n    - a.db3\n  "
      "custom_data: ~\n"
      "  ros_distro: jazzy\n",
      "metadata.yaml");
  EXPECT_EQ(metadata.topics.at(0).type_hash, "RIHS01_00");
  const auto qos = qos_from_yaml(metadata.topics[0].qos);
  ASSERT_TRUE(qos);
  EXPECT_EQ(qos->reliability, ros::Reliability::best_effort);
  EXPECT_EQ(qos->depth, 5);
  EXPECT_EQ(qos->deadline, std::chrono::seconds(1));
  EXPECT_EQ(parse_metadata(to_yaml(metadata), "again").topics[0].name, "/a");
}

}  // namespace
}  // namespace ballast::bag
