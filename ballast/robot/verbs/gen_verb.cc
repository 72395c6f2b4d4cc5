// `ballast robot gen DATASET -o BAG`: generated sensor data with exact truth, the same bytes for the same
// seed.
#include <fmt/format.h>

#include <map>

#include "ballast/base/errors.h"
#include "ballast/robot/bag/bag.h"
#include "ballast/robot/benchmarks/benchmark.h"
#include "ballast/robot/verbs/verbs.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::robot {
namespace {

struct DatasetSource {
  const char* benchmark;   ///< whose input it is
  const char* truth_type;  ///< of what lies on /truth; empty: the data is its own truth
  const char* what;
};

const std::map<std::string, DatasetSource>& datasets() {
  static const std::map<std::string, DatasetSource> list{
      {"camera", {"a2", "", "a textured plane through a pinhole camera with distortion"}},
      {"stereo", {"a3", "sensor_msgs/msg/Image", "a stereo pair; /truth: its disparity (32FC1)"}},
      {"rgbd-loop",
       {"b1", "geometry_msgs/msg/PoseStamped", "grey and depth images of a loop in a room; /truth: poses"}},
      {"lidar2d",
       {"b2", "geometry_msgs/msg/PoseStamped", "laser scans and odometry in a map; /truth: poses"}},
      {"imu-odom",
       {"b4", "geometry_msgs/msg/PoseStamped", "IMU and wheel odometry; /truth: position, roll, pitch, yaw"}},
      {"joint-goals", {"d4", "", "reachable poses of the xArm6"}},
      {"twist", {"c2", "", "velocity commands"}}};
  return list;
}

struct GenOptions {
  std::string dataset, output, storage = "mcap", compression = "none";
  double rate_hz = 30;
};

void generate(const GenOptions& options, std::uint64_t seed) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : datasets()) names.push_back(name);
  cli::require_one_of("dataset", options.dataset, names);
  const auto& source = datasets().at(options.dataset);
  // Size::test is always generated; the larger size takes recorded data where there is any.
  const Input input = find_benchmark(source.benchmark).input(Size::test, seed);
  auto out = bag::create(options.output, bag::storage_from_string(options.storage),
                         bag::compression_from_string(options.compression));
  std::vector<std::size_t> topics;
  std::size_t frames = 1;
  const auto topic = [&](const std::string& name, const std::string& type, const ros::QosProfile& qos) {
    return out->add_topic({.name = name,
                           .type = type,
                           .qos = bag::qos_to_yaml(qos),
                           .type_hash = ros::type_hash(ros::TypeLibrary::standard(), type)});
  };
  for (const auto& stream : input.streams) {
    topics.push_back(topic(stream.topic.topic, stream.topic.type,
                           stream.once ? ros::QosProfile::transient_local(1) : stream.topic.qos));
    if (!stream.once) frames = stream.messages.size();
  }
  const bool truth = source.truth_type[0] != 0;
  const auto truth_topic = truth ? topic("/truth", source.truth_type, {}) : 0;
  // Time starts at a fixed date, so that the bag is the same whenever it is made.
  constexpr std::int64_t kStart = 1'700'000'000'000'000'000;
  std::uint64_t messages = 0;
  for (std::size_t i = 0; i < frames; ++i) {
    const auto time = kStart + static_cast<std::int64_t>(static_cast<double>(i) * 1e9 / options.rate_hz);
    for (std::size_t s = 0; s < input.streams.size(); ++s) {
      const auto& stream = input.streams[s];
      if (stream.once && i > 0) continue;
      auto bytes = stream.messages[stream.once ? 0 : i];
      if (stream.stamped && !stream.once) ros::write_stamp(bytes, time);
      out->write(topics[s], time, bytes);
      ++messages;
    }
    if (truth && i < input.truth.size()) {
      auto bytes = input.truth[i];
      ros::write_stamp(bytes, time);
      out->write(truth_topic, time, bytes);
      ++messages;
    }
  }
  out->finish();
  fmt::print(stderr, "{}: {} messages in {} (synthetic, seed {})\n", input.description, messages,
             options.output, seed);
}

}  // namespace

void add_gen(cli::Program& program) {
  auto options = std::make_shared<GenOptions>();
  auto verb = program.verb("gen", "writes a bag of generated sensor data with exact truth",
                           {"ballast robot gen camera -o camera-bag",
                            "ballast robot gen lidar2d -o scans --rate 10 --storage sqlite3 --seed 7"});
  verb->add_option("dataset", options->dataset,
                   "camera, stereo, rgbd-loop, lidar2d, imu-odom, joint-goals or twist")
      ->required();
  verb->add_option("-o,--output", options->output, "folder of the new bag")->required();
  verb->add_option("--rate", options->rate_hz, "frames a second")->check(CLI::PositiveNumber);
  verb->add_option("--storage", options->storage, "sqlite3 or mcap");
  verb->add_option("--compression", options->compression, "none, zstd or lz4");
  verb.run([options](const cli::Common& common) { generate(*options, common.seed); });
}

}  // namespace ballast::robot
