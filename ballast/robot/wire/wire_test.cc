// Names, QoS, type hashes, CDR and the graph, against the published check values and against Cyclone itself.
#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/robot/wire/cdr_walk.h"
#include "ballast/robot/wire/graph_cache.h"

namespace ballast::ros {
namespace {

using namespace std::chrono_literals;

TEST(Names, MangleBothWays) {
  EXPECT_EQ(topic_to_dds("/camera/image_raw"), "rt/camera/image_raw");
  EXPECT_EQ(type_to_dds("sensor_msgs/msg/Image"), "sensor_msgs::msg::dds_::Image_");
  EXPECT_EQ(type_from_dds("sensor_msgs::msg::dds_::Image_"), "sensor_msgs/msg/Image");
  EXPECT_EQ(type_from_dds("Foo::Bar"), std::nullopt);
  EXPECT_EQ(service_request_to_dds("/add"), "rq/addRequest");
  EXPECT_EQ(service_reply_to_dds("/add"), "rr/addReply");
  EXPECT_EQ(from_dds("rt/a/b").name, "/a/b");
  EXPECT_EQ(from_dds("rq/addRequest").kind, NameKind::service_request);
  EXPECT_EQ(from_dds("ros_discovery_info").kind, NameKind::plain);
  EXPECT_EQ(resolve_name("/", "x"), "/x");
  EXPECT_EQ(resolve_name("/ns", "x"), "/ns/x");
  for (const char* bad : {"image", "/a//b", "/a/", "/", "/2d", "/a__b", "/a-b", ""})
    EXPECT_THROW(check_full_name(bad), InvalidInput) << bad;
}

TEST(Qos, MatchesAsDdsDoes) {
  EXPECT_FALSE(incompatibility({}, QosProfile::sensor_data()));
  EXPECT_TRUE(incompatibility(QosProfile::sensor_data(), {})->starts_with("reliability"));
  EXPECT_TRUE(incompatibility({}, QosProfile::transient_local(1))->starts_with("durability"));
  QosProfile quick, slow;
  quick.deadline = 10ms;
  slow.deadline = 100ms;
  EXPECT_FALSE(incompatibility(quick, slow));
  EXPECT_TRUE(incompatibility(slow, quick)->starts_with("deadline"));
  EXPECT_TRUE(incompatibility({}, quick)->starts_with("deadline"));
  EXPECT_FALSE(incompatibility(quick, {}));
  EXPECT_THROW(QosProfile{}.with_depth(0), InvalidInput);
  EXPECT_THROW(QosProfile::named("sensor-data"), InvalidInput);
}

TEST(TypeHash, EqualsThePublishedValues) {
  const auto& library = TypeLibrary::standard();
  EXPECT_EQ(type_hash(library, "std_msgs/msg/String"),
            "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18");
  EXPECT_EQ(type_hash(library, "builtin_interfaces/msg/Time"),
            "RIHS01_b106235e25a4c5ed35098aa0a61a3ee9c9b18d197f398b0e4206cea9acf9c197");
  EXPECT_EQ(type_hash(library, "std_msgs/msg/Header"),
            "RIHS01_f49fb3ae2cf070f793645ff749683ac6b06203e41c891e17701b1cb597ce6a01");
  EXPECT_EQ(type_hash(library, "sensor_msgs/msg/Image"),
            "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47");
}

TEST(TypeHash, DigestsAreTheStandardOnes) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(md5_hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
}

TEST(MsgParser, ReadsBackEveryDefinitionOfTheLibrary) {
  const auto& library = TypeLibrary::standard();
  for (const auto& name : library.names()) {
    TypeLibrary parsed;
    parsed.add_bundle(name, to_msg_bundle(library, name));
    EXPECT_EQ(type_hash(parsed, name), type_hash(library, name)) << name;
  }
}

TEST(MsgParser, CommentsConstantsBoundsAndDefaults) {
  TypeLibrary library;
  library.add_msg("p/msg/M",
                  "# a comment\nuint8 KIND=3\nstring NAME = \"a # b\"\nint32[<=4] few # tail\n"
                  "string<=8 short 'x'\nfloat32[3] xyz\nOther o\nq/Other[] others\nbool ok true\n");
  const auto& fields = library.get("p/msg/M").fields;
  ASSERT_EQ(fields.size(), 6u);
  EXPECT_EQ(fields[0].type.type_id(), 6 + 96);
  EXPECT_EQ(fields[0].type.capacity, 4u);
  EXPECT_EQ(fields[1].type.type_id(), 21);
  EXPECT_EQ(fields[1].type.string_capacity, 8u);
  EXPECT_EQ(fields[2].type.type_id(), 10 + 48);
  EXPECT_EQ(fields[3].type.nested, "p/msg/Other");
  EXPECT_EQ(fields[4].type.nested, "q/msg/Other");
  EXPECT_EQ(fields[5].type.kind, Kind::boolean);
  TypeLibrary empty;
  empty.add_msg("p/msg/Empty", "\n");
  EXPECT_EQ(empty.get("p/msg/Empty").fields.at(0).name, "structure_needs_at_least_one_member");
  for (const char* bad : {"int32[0] a", "int32[x] a", "float32", "int32<=3 a", "int32 3a"})
    EXPECT_THROW(TypeLibrary().add_msg("p/msg/M", bad), InvalidInput) << bad;
}

TEST(MsgParser, ReadsRosIdl) {
  TypeLibrary library;
  library.add_idl_bundle(
      "sensor_msgs/msg/RegionOfInterest",
      std::string(80, '=') + "\nIDL: sensor_msgs/msg/RegionOfInterest\n" +
          "// generated\nmodule sensor_msgs {\n module msg {\n  @verbatim (language=\"comment\", text=\"a "
          "(b)\")\n"
          "  struct RegionOfInterest {\n   uint32 x_offset;\n   uint32 y_offset;\n   uint32 height;\n"
          "   uint32 width;\n   boolean do_rectify;\n  };\n };\n};\n" +
          std::string(80, '=') +
          "\nIDL: p/msg/A\nmodule p { module msg { module A_Constants { const uint8 X = 1; };"
          " typedef double double__9[9]; struct A { double__9 k; sequence<octet> data;"
          " sensor_msgs::msg::RegionOfInterest roi; string<4> s; unsigned long n; }; }; };\n");
  EXPECT_EQ(type_hash(library, "sensor_msgs/msg/RegionOfInterest"),
            type_hash(TypeLibrary::standard(), "sensor_msgs/msg/RegionOfInterest"));
  const auto& fields = library.get("p/msg/A").fields;
  EXPECT_EQ(fields[0].type.type_id(), 11 + 48);
  EXPECT_EQ(fields[1].type.type_id(), 16 + 144);
  EXPECT_EQ(fields[2].type.nested, "sensor_msgs/msg/RegionOfInterest");
  EXPECT_EQ(fields[3].type.string_capacity, 4u);
  EXPECT_EQ(fields[4].type.kind, Kind::uint32);
}

// Fills every field of any message with seeded random content.
class Filler {
 public:
  explicit Filler(std::uint64_t seed) : random_(seed) {}
  template <typename T>
  void operator()(const char*, T& value) {
    fill(value);
  }

 private:
  template <typename T>
  void fill(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      value = random_.below(2) == 1;
    } else if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<T>(random_.uniform(-1e6, 1e6));
    } else if constexpr (std::is_arithmetic_v<T>) {
      value = static_cast<T>(random_());
    } else {
      T::visit(value, *this);
    }
  }
  void fill(std::string& text) {
    text.resize(random_.below(12));
    for (char& c : text) c = static_cast<char>('a' + random_.below(26));
  }
  template <std::size_t kBound>
  void fill(BoundedString<kBound>& value) {
    fill(value.text);
  }
  template <typename T, std::size_t kSize>
  void fill(std::array<T, kSize>& values) {
    for (auto& value : values) fill(value);
  }
  template <typename T>
  void fill(std::vector<T>& values) {
    values.resize(random_.below(5));
    for (auto& value : values) fill(value);
  }
  Random random_;
};

struct RoundTrip {
  template <typename Message>
  void operator()() {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Message message;
      Message::visit(message, Filler(seed));
      const auto bytes = serialize(message);
      EXPECT_EQ(deserialize<Message>(bytes), message) << Message::kType << " seed " << seed;
      EXPECT_NO_THROW(check_payload(TypeLibrary::standard(), Message::kType, bytes)) << Message::kType;
      // Every prefix must be refused or read within bounds; never crash.
      for (std::size_t size = 0; size + 1 < bytes.size(); size += 1 + size / 8) {
        try {
          deserialize<Message>(ByteView(bytes).first(size));
        } catch (const InvalidInput&) {
        }
      }
    }
  }
};

TEST(Cdr, RoundTripOfEveryType) {
  for_each_message_type(RoundTrip{});
}

TEST(Cdr, BytesByHand) {
  // "hi": encapsulation, length 3 with terminator, 'h' 'i' 0.
  EXPECT_EQ(serialize(std_msgs::String{"hi"}), (Bytes{0, 1, 0, 0, 3, 0, 0, 0, 'h', 'i', 0}));
  // Header: sec 1, nanosec 2, frame "a": 4 + 4 + (4 + 2).
  EXPECT_EQ(serialize(std_msgs::Header{{1, 2}, "a"}),
            (Bytes{0, 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 'a', 0}));
  const Bytes big{0, 0, 0, 0, 0, 0, 0, 3, 'h', 'i', 0};
  EXPECT_EQ(deserialize<std_msgs::String>(big).data, "hi");
  EXPECT_THROW(deserialize<std_msgs::String>(Bytes{0, 7, 0, 0, 1, 0, 0, 0, 0}), InvalidInput);
  EXPECT_THROW(deserialize<std_msgs::String>(Bytes{0, 1, 0, 0, 255, 255, 255, 255, 0}), InvalidInput);
  EXPECT_THROW(deserialize<std_msgs::Float64MultiArray>(Bytes{0, 1, 0, 0, 255, 255, 255, 127}), InvalidInput);
}

TEST(Cdr, StampAndLocate) {
  sensor_msgs::Image image;
  image.header.frame_id = "camera";
  image.width = 640;
  auto bytes = serialize(image);
  ASSERT_TRUE(write_stamp(bytes, 1'234'567'890'123));
  std::int64_t stamp = 0;
  ASSERT_TRUE(read_stamp(bytes, stamp));
  EXPECT_EQ(stamp, 1'234'567'890'123);
  const auto& library = TypeLibrary::standard();
  EXPECT_EQ(locate(library, "sensor_msgs/msg/Image", bytes, "header.stamp.nanosec").offset, 8u);
  const auto place = locate(library, "sensor_msgs/msg/Image", bytes, "width");
  std::uint32_t width;
  std::memcpy(&width, bytes.data() + place.offset, 4);
  EXPECT_EQ(width, 640u);
  EXPECT_THROW(locate(library, "sensor_msgs/msg/Image", bytes, "colour"), InvalidInput);
  EXPECT_THROW(locate(library, "sensor_msgs/msg/Image", bytes, "data.x"), InvalidInput);
  EXPECT_THROW(locate(library, "sensor_msgs/msg/Image", bytes, "header"), InvalidInput);
}

TEST(Discovery, RecordsOfBothDialects) {
  ParticipantNodes record;
  record.participant[0] = 1;
  record.nodes.push_back({"/ns", "camera", {Guid{1, 2, 3}}, {Guid{4}, Guid{5}}});
  for (const auto dialect : {Dialect::humble, Dialect::iron_plus}) {
    const auto read = decode_discovery(encode_discovery(record, dialect));
    ASSERT_EQ(read.nodes.size(), 1u);
    EXPECT_EQ(read.nodes[0].name, "camera");
    EXPECT_EQ(read.nodes[0].writers, record.nodes[0].writers);
  }
  // The dialect of Iron and later is the message of the library.
  rmw_dds_common::ParticipantEntitiesInfo message;
  message.gid.data[0] = 1;
  rmw_dds_common::NodeEntitiesInfo node;
  node.node_namespace.text = "/ns";
  node.node_name.text = "camera";
  node.reader_gid_seq = {{Guid{1, 2, 3}}};
  node.writer_gid_seq = {{Guid{4}}, {Guid{5}}};
  message.node_entities_info_seq.push_back(node);
  EXPECT_EQ(serialize(message), encode_discovery(record, Dialect::iron_plus));
}

TEST(Dds, BytesArriveAsTheyWereSent) {
  const PrivateDomain domain;
  Context sender({.domain_id = domain.id()}), receiver({.domain_id = domain.id()});
  RawPublisher out(sender, "/image", "sensor_msgs/msg/Image", {}, {.node = "/camera"});
  RawSubscription in(receiver, "/image", "sensor_msgs/msg/Image", {}, {}, {.node = "/viewer"});
  GraphCache cache(receiver);
  ASSERT_TRUE(cache.wait_until([&](const Graph&) { return out.matched() == 1 && in.matched() == 1; }, 20s));
  for (const std::size_t size : {0, 1, 2, 3, 5, 100000, 3000000}) {
    sensor_msgs::Image image;
    image.encoding = "mono8";
    image.data.assign(size, static_cast<std::uint8_t>(size % 251));
    const auto bytes = serialize(image);
    out.publish(bytes, 42'000'000'007);
    const auto sample = in.take_within(10s);
    ASSERT_TRUE(sample);
    EXPECT_TRUE(same_payload(sample->payload(), bytes)) << size;
    EXPECT_EQ(deserialize<sensor_msgs::Image>(sample->payload()), image);
    EXPECT_NEAR(static_cast<double>(sample->source_timestamp_ns()), 42'000'000'007.0, 1.0);
  }
}

TEST(Dds, TheGraphShowsNodesTypesAndMismatches) {
  const PrivateDomain domain;
  Context ours({.domain_id = domain.id()});
  RawPublisher out(ours, "/scan", "sensor_msgs/msg/LaserScan", QosProfile::sensor_data(), {.node = "/lidar"});
  GraphCache cache(ours);
  Graph graph;
  ASSERT_TRUE(cache.wait_until(
      [&](const Graph& now) {
        graph = now;
        return now.writers("/scan").size() == 1 && !now.writers("/scan")[0]->node.empty();
      },
      20s));
  const auto* writer = graph.writers("/scan")[0];
  EXPECT_EQ(writer->node, "/lidar");
  EXPECT_EQ(writer->type, "sensor_msgs/msg/LaserScan");
  EXPECT_EQ(writer->qos.reliability, Reliability::best_effort);
  EXPECT_EQ(writer->type_hash, type_hash(TypeLibrary::standard(), "sensor_msgs/msg/LaserScan"));
  EXPECT_EQ(graph.participants.at(0).vendor, "Cyclone DDS");
  const auto explain = [&](const char* topic, const char* type, const QosProfile& qos) {
    return explain_mismatch(graph, topic, type, qos, true);
  };
  EXPECT_EQ(explain("/scan", "sensor_msgs/msg/LaserScan", QosProfile::sensor_data()), "");
  EXPECT_NE(explain("/scan", "sensor_msgs/msg/LaserScan", {}).find("reliability"), std::string::npos);
  EXPECT_NE(explain("/scan", "sensor_msgs/msg/Image", {}).find("not sensor_msgs/msg/Image"),
            std::string::npos);
  EXPECT_NE(explain("/scam", "sensor_msgs/msg/Image", {}).find("/scan"), std::string::npos);
}

TEST(Dds, RefusesWhatCannotBe) {
  EXPECT_THROW(Context({.domain_id = 233}), InvalidInput);
  const PrivateDomain domain;
  Context context({.domain_id = domain.id()});
  EXPECT_THROW(RawPublisher(context, "image", "sensor_msgs/msg/Image", {}), InvalidInput);
  EXPECT_THROW(RawPublisher(context, "/image", "Image", {}), InvalidInput);
  QosProfile none;
  none.depth = 0;
  EXPECT_THROW(RawPublisher(context, "/image", "sensor_msgs/msg/Image", none), InvalidInput);
}

}  // namespace
}  // namespace ballast::ros
