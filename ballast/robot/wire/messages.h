// The ROS 2 messages of the benchmark set as C++ values. Each names its type and visits its fields in wire
// order: serialisation (cdr.h), type descriptions and hashes (type_description.h) and printing all follow
// from that.
//
//   sensor_msgs::Image image;
//   image.header.stamp = to_time(nanoseconds);
//   auto bytes = serialize(image);
//
// Definitions: the interface packages of ROS 2 (common_interfaces, rmw_dds_common, apriltag_msgs), Humble to
// Jazzy.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace ballast {

/// A string with a bound that is checked when it is read and written.
template <std::size_t kBound>
struct BoundedString {
  std::string text;
  bool operator==(const BoundedString&) const = default;
};

namespace builtin_interfaces {

struct Time {
  static constexpr const char* kType = "builtin_interfaces/msg/Time";
  std::int32_t sec = 0;
  std::uint32_t nanosec = 0;
  bool operator==(const Time&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("sec", self.sec);
    visitor("nanosec", self.nanosec);
  }
};

struct Duration {
  static constexpr const char* kType = "builtin_interfaces/msg/Duration";
  std::int32_t sec = 0;
  std::uint32_t nanosec = 0;
  bool operator==(const Duration&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("sec", self.sec);
    visitor("nanosec", self.nanosec);
  }
};

}  // namespace builtin_interfaces

namespace std_msgs {

struct Header {
  static constexpr const char* kType = "std_msgs/msg/Header";
  builtin_interfaces::Time stamp;
  std::string frame_id;
  bool operator==(const Header&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("stamp", self.stamp);
    visitor("frame_id", self.frame_id);
  }
};

struct String {
  static constexpr const char* kType = "std_msgs/msg/String";
  std::string data;
  bool operator==(const String&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("data", self.data);
  }
};

struct UInt64 {
  static constexpr const char* kType = "std_msgs/msg/UInt64";
  std::uint64_t data = 0;
  bool operator==(const UInt64&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("data", self.data);
  }
};

struct MultiArrayDimension {
  static constexpr const char* kType = "std_msgs/msg/MultiArrayDimension";
  std::string label;
  std::uint32_t size = 0;
  std::uint32_t stride = 0;
  bool operator==(const MultiArrayDimension&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("label", self.label);
    visitor("size", self.size);
    visitor("stride", self.stride);
  }
};

struct MultiArrayLayout {
  static constexpr const char* kType = "std_msgs/msg/MultiArrayLayout";
  std::vector<MultiArrayDimension> dim;
  std::uint32_t data_offset = 0;
  bool operator==(const MultiArrayLayout&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("dim", self.dim);
    visitor("data_offset", self.data_offset);
  }
};

struct Float64MultiArray {
  static constexpr const char* kType = "std_msgs/msg/Float64MultiArray";
  MultiArrayLayout layout;
  std::vector<double> data;
  bool operator==(const Float64MultiArray&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("layout", self.layout);
    visitor("data", self.data);
  }
};

struct UInt8MultiArray {
  static constexpr const char* kType = "std_msgs/msg/UInt8MultiArray";
  MultiArrayLayout layout;
  std::vector<std::uint8_t> data;
  bool operator==(const UInt8MultiArray&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("layout", self.layout);
    visitor("data", self.data);
  }
};

}  // namespace std_msgs

namespace std_srvs {

/// A message without fields has this one on the wire.
struct Empty_Request {
  static constexpr const char* kType = "std_srvs/srv/Empty_Request";
  std::uint8_t structure_needs_at_least_one_member = 0;
  bool operator==(const Empty_Request&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("structure_needs_at_least_one_member", self.structure_needs_at_least_one_member);
  }
};

struct Empty_Response {
  static constexpr const char* kType = "std_srvs/srv/Empty_Response";
  std::uint8_t structure_needs_at_least_one_member = 0;
  bool operator==(const Empty_Response&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("structure_needs_at_least_one_member", self.structure_needs_at_least_one_member);
  }
};

struct Empty {
  using Request = Empty_Request;
  using Response = Empty_Response;
};

struct SetBool_Request {
  static constexpr const char* kType = "std_srvs/srv/SetBool_Request";
  bool data = false;
  bool operator==(const SetBool_Request&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("data", self.data);
  }
};

struct SetBool_Response {
  static constexpr const char* kType = "std_srvs/srv/SetBool_Response";
  bool success = false;
  std::string message;
  bool operator==(const SetBool_Response&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("success", self.success);
    visitor("message", self.message);
  }
};

struct SetBool {
  using Request = SetBool_Request;
  using Response = SetBool_Response;
};

}  // namespace std_srvs

namespace geometry_msgs {

struct Point {
  static constexpr const char* kType = "geometry_msgs/msg/Point";
  double x = 0;
  double y = 0;
  double z = 0;
  bool operator==(const Point&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("x", self.x);
    visitor("y", self.y);
    visitor("z", self.z);
  }
};

struct Vector3 {
  static constexpr const char* kType = "geometry_msgs/msg/Vector3";
  double x = 0;
  double y = 0;
  double z = 0;
  bool operator==(const Vector3&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("x", self.x);
    visitor("y", self.y);
    visitor("z", self.z);
  }
};

struct Quaternion {
  static constexpr const char* kType = "geometry_msgs/msg/Quaternion";
  double x = 0;
  double y = 0;
  double z = 0;
  double w = 0;
  bool operator==(const Quaternion&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("x", self.x);
    visitor("y", self.y);
    visitor("z", self.z);
    visitor("w", self.w);
  }
};

struct Pose {
  static constexpr const char* kType = "geometry_msgs/msg/Pose";
  Point position;
  Quaternion orientation;
  bool operator==(const Pose&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("position", self.position);
    visitor("orientation", self.orientation);
  }
};

struct PoseStamped {
  static constexpr const char* kType = "geometry_msgs/msg/PoseStamped";
  std_msgs::Header header;
  Pose pose;
  bool operator==(const PoseStamped&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("pose", self.pose);
  }
};

struct PoseWithCovariance {
  static constexpr const char* kType = "geometry_msgs/msg/PoseWithCovariance";
  Pose pose;
  std::array<double, 36> covariance{};
  bool operator==(const PoseWithCovariance&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("pose", self.pose);
    visitor("covariance", self.covariance);
  }
};

struct PoseWithCovarianceStamped {
  static constexpr const char* kType = "geometry_msgs/msg/PoseWithCovarianceStamped";
  std_msgs::Header header;
  PoseWithCovariance pose;
  bool operator==(const PoseWithCovarianceStamped&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("pose", self.pose);
  }
};

struct Twist {
  static constexpr const char* kType = "geometry_msgs/msg/Twist";
  Vector3 linear;
  Vector3 angular;
  bool operator==(const Twist&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("linear", self.linear);
    visitor("angular", self.angular);
  }
};

struct TwistStamped {
  static constexpr const char* kType = "geometry_msgs/msg/TwistStamped";
  std_msgs::Header header;
  Twist twist;
  bool operator==(const TwistStamped&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("twist", self.twist);
  }
};

struct TwistWithCovariance {
  static constexpr const char* kType = "geometry_msgs/msg/TwistWithCovariance";
  Twist twist;
  std::array<double, 36> covariance{};
  bool operator==(const TwistWithCovariance&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("twist", self.twist);
    visitor("covariance", self.covariance);
  }
};

struct Transform {
  static constexpr const char* kType = "geometry_msgs/msg/Transform";
  Vector3 translation;
  Quaternion rotation;
  bool operator==(const Transform&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("translation", self.translation);
    visitor("rotation", self.rotation);
  }
};

struct TransformStamped {
  static constexpr const char* kType = "geometry_msgs/msg/TransformStamped";
  std_msgs::Header header;
  std::string child_frame_id;
  Transform transform;
  bool operator==(const TransformStamped&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("child_frame_id", self.child_frame_id);
    visitor("transform", self.transform);
  }
};

struct PoseArray {
  static constexpr const char* kType = "geometry_msgs/msg/PoseArray";
  std_msgs::Header header;
  std::vector<Pose> poses;
  bool operator==(const PoseArray&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("poses", self.poses);
  }
};

}  // namespace geometry_msgs

namespace tf2_msgs {

struct TFMessage {
  static constexpr const char* kType = "tf2_msgs/msg/TFMessage";
  std::vector<geometry_msgs::TransformStamped> transforms;
  bool operator==(const TFMessage&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("transforms", self.transforms);
  }
};

}  // namespace tf2_msgs

namespace sensor_msgs {

struct RegionOfInterest {
  static constexpr const char* kType = "sensor_msgs/msg/RegionOfInterest";
  std::uint32_t x_offset = 0;
  std::uint32_t y_offset = 0;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  bool do_rectify = false;
  bool operator==(const RegionOfInterest&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("x_offset", self.x_offset);
    visitor("y_offset", self.y_offset);
    visitor("height", self.height);
    visitor("width", self.width);
    visitor("do_rectify", self.do_rectify);
  }
};

struct Image {
  static constexpr const char* kType = "sensor_msgs/msg/Image";
  std_msgs::Header header;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::string encoding;
  std::uint8_t is_bigendian = 0;
  std::uint32_t step = 0;
  std::vector<std::uint8_t> data;
  bool operator==(const Image&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("height", self.height);
    visitor("width", self.width);
    visitor("encoding", self.encoding);
    visitor("is_bigendian", self.is_bigendian);
    visitor("step", self.step);
    visitor("data", self.data);
  }
};

struct CompressedImage {
  static constexpr const char* kType = "sensor_msgs/msg/CompressedImage";
  std_msgs::Header header;
  std::string format;
  std::vector<std::uint8_t> data;
  bool operator==(const CompressedImage&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("format", self.format);
    visitor("data", self.data);
  }
};

struct CameraInfo {
  static constexpr const char* kType = "sensor_msgs/msg/CameraInfo";
  std_msgs::Header header;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::string distortion_model;
  std::vector<double> d;
  std::array<double, 9> k{};
  std::array<double, 9> r{};
  std::array<double, 12> p{};
  std::uint32_t binning_x = 0;
  std::uint32_t binning_y = 0;
  RegionOfInterest roi;
  bool operator==(const CameraInfo&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("height", self.height);
    visitor("width", self.width);
    visitor("distortion_model", self.distortion_model);
    visitor("d", self.d);
    visitor("k", self.k);
    visitor("r", self.r);
    visitor("p", self.p);
    visitor("binning_x", self.binning_x);
    visitor("binning_y", self.binning_y);
    visitor("roi", self.roi);
  }
};

struct PointField {
  static constexpr const char* kType = "sensor_msgs/msg/PointField";
  std::string name;
  std::uint32_t offset = 0;
  std::uint8_t datatype = 0;
  std::uint32_t count = 0;
  bool operator==(const PointField&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("name", self.name);
    visitor("offset", self.offset);
    visitor("datatype", self.datatype);
    visitor("count", self.count);
  }
};

struct PointCloud2 {
  static constexpr const char* kType = "sensor_msgs/msg/PointCloud2";
  std_msgs::Header header;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::vector<PointField> fields;
  bool is_bigendian = false;
  std::uint32_t point_step = 0;
  std::uint32_t row_step = 0;
  std::vector<std::uint8_t> data;
  bool is_dense = false;
  bool operator==(const PointCloud2&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("height", self.height);
    visitor("width", self.width);
    visitor("fields", self.fields);
    visitor("is_bigendian", self.is_bigendian);
    visitor("point_step", self.point_step);
    visitor("row_step", self.row_step);
    visitor("data", self.data);
    visitor("is_dense", self.is_dense);
  }
};

struct LaserScan {
  static constexpr const char* kType = "sensor_msgs/msg/LaserScan";
  std_msgs::Header header;
  float angle_min = 0;
  float angle_max = 0;
  float angle_increment = 0;
  float time_increment = 0;
  float scan_time = 0;
  float range_min = 0;
  float range_max = 0;
  std::vector<float> ranges;
  std::vector<float> intensities;
  bool operator==(const LaserScan&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("angle_min", self.angle_min);
    visitor("angle_max", self.angle_max);
    visitor("angle_increment", self.angle_increment);
    visitor("time_increment", self.time_increment);
    visitor("scan_time", self.scan_time);
    visitor("range_min", self.range_min);
    visitor("range_max", self.range_max);
    visitor("ranges", self.ranges);
    visitor("intensities", self.intensities);
  }
};

struct Imu {
  static constexpr const char* kType = "sensor_msgs/msg/Imu";
  std_msgs::Header header;
  geometry_msgs::Quaternion orientation;
  std::array<double, 9> orientation_covariance{};
  geometry_msgs::Vector3 angular_velocity;
  std::array<double, 9> angular_velocity_covariance{};
  geometry_msgs::Vector3 linear_acceleration;
  std::array<double, 9> linear_acceleration_covariance{};
  bool operator==(const Imu&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("orientation", self.orientation);
    visitor("orientation_covariance", self.orientation_covariance);
    visitor("angular_velocity", self.angular_velocity);
    visitor("angular_velocity_covariance", self.angular_velocity_covariance);
    visitor("linear_acceleration", self.linear_acceleration);
    visitor("linear_acceleration_covariance", self.linear_acceleration_covariance);
  }
};

struct JointState {
  static constexpr const char* kType = "sensor_msgs/msg/JointState";
  std_msgs::Header header;
  std::vector<std::string> name;
  std::vector<double> position;
  std::vector<double> velocity;
  std::vector<double> effort;
  bool operator==(const JointState&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("name", self.name);
    visitor("position", self.position);
    visitor("velocity", self.velocity);
    visitor("effort", self.effort);
  }
};

}  // namespace sensor_msgs

namespace stereo_msgs {

struct DisparityImage {
  static constexpr const char* kType = "stereo_msgs/msg/DisparityImage";
  std_msgs::Header header;
  sensor_msgs::Image image;
  float f = 0;
  float t = 0;
  sensor_msgs::RegionOfInterest valid_window;
  float min_disparity = 0;
  float max_disparity = 0;
  float delta_d = 0;
  bool operator==(const DisparityImage&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("image", self.image);
    visitor("f", self.f);
    visitor("t", self.t);
    visitor("valid_window", self.valid_window);
    visitor("min_disparity", self.min_disparity);
    visitor("max_disparity", self.max_disparity);
    visitor("delta_d", self.delta_d);
  }
};

}  // namespace stereo_msgs

namespace nav_msgs {

struct Odometry {
  static constexpr const char* kType = "nav_msgs/msg/Odometry";
  std_msgs::Header header;
  std::string child_frame_id;
  geometry_msgs::PoseWithCovariance pose;
  geometry_msgs::TwistWithCovariance twist;
  bool operator==(const Odometry&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("child_frame_id", self.child_frame_id);
    visitor("pose", self.pose);
    visitor("twist", self.twist);
  }
};

struct Path {
  static constexpr const char* kType = "nav_msgs/msg/Path";
  std_msgs::Header header;
  std::vector<geometry_msgs::PoseStamped> poses;
  bool operator==(const Path&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("poses", self.poses);
  }
};

struct MapMetaData {
  static constexpr const char* kType = "nav_msgs/msg/MapMetaData";
  builtin_interfaces::Time map_load_time;
  float resolution = 0;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  geometry_msgs::Pose origin;
  bool operator==(const MapMetaData&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("map_load_time", self.map_load_time);
    visitor("resolution", self.resolution);
    visitor("width", self.width);
    visitor("height", self.height);
    visitor("origin", self.origin);
  }
};

struct OccupancyGrid {
  static constexpr const char* kType = "nav_msgs/msg/OccupancyGrid";
  std_msgs::Header header;
  MapMetaData info;
  std::vector<std::int8_t> data;
  bool operator==(const OccupancyGrid&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("info", self.info);
    visitor("data", self.data);
  }
};

}  // namespace nav_msgs

namespace trajectory_msgs {

struct JointTrajectoryPoint {
  static constexpr const char* kType = "trajectory_msgs/msg/JointTrajectoryPoint";
  std::vector<double> positions;
  std::vector<double> velocities;
  std::vector<double> accelerations;
  std::vector<double> effort;
  builtin_interfaces::Duration time_from_start;
  bool operator==(const JointTrajectoryPoint&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("positions", self.positions);
    visitor("velocities", self.velocities);
    visitor("accelerations", self.accelerations);
    visitor("effort", self.effort);
    visitor("time_from_start", self.time_from_start);
  }
};

struct JointTrajectory {
  static constexpr const char* kType = "trajectory_msgs/msg/JointTrajectory";
  std_msgs::Header header;
  std::vector<std::string> joint_names;
  std::vector<JointTrajectoryPoint> points;
  bool operator==(const JointTrajectory&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("joint_names", self.joint_names);
    visitor("points", self.points);
  }
};

}  // namespace trajectory_msgs

namespace rosgraph_msgs {

struct Clock {
  static constexpr const char* kType = "rosgraph_msgs/msg/Clock";
  builtin_interfaces::Time clock;
  bool operator==(const Clock&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("clock", self.clock);
  }
};

}  // namespace rosgraph_msgs

namespace apriltag_msgs {

struct Point {
  static constexpr const char* kType = "apriltag_msgs/msg/Point";
  double x = 0;
  double y = 0;
  bool operator==(const Point&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("x", self.x);
    visitor("y", self.y);
  }
};

struct AprilTagDetection {
  static constexpr const char* kType = "apriltag_msgs/msg/AprilTagDetection";
  std::string family;
  std::int32_t id = 0;
  std::int32_t hamming = 0;
  float goodness = 0;
  float decision_margin = 0;
  Point centre;
  std::array<Point, 4> corners{};
  std::array<double, 9> homography{};
  bool operator==(const AprilTagDetection&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("family", self.family);
    visitor("id", self.id);
    visitor("hamming", self.hamming);
    visitor("goodness", self.goodness);
    visitor("decision_margin", self.decision_margin);
    visitor("centre", self.centre);
    visitor("corners", self.corners);
    visitor("homography", self.homography);
  }
};

struct AprilTagDetectionArray {
  static constexpr const char* kType = "apriltag_msgs/msg/AprilTagDetectionArray";
  std_msgs::Header header;
  std::vector<AprilTagDetection> detections;
  bool operator==(const AprilTagDetectionArray&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("detections", self.detections);
  }
};

}  // namespace apriltag_msgs

namespace vision_msgs {

struct ObjectHypothesis {
  static constexpr const char* kType = "vision_msgs/msg/ObjectHypothesis";
  std::string class_id;
  double score = 0;
  bool operator==(const ObjectHypothesis&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("class_id", self.class_id);
    visitor("score", self.score);
  }
};

struct Classification {
  static constexpr const char* kType = "vision_msgs/msg/Classification";
  std_msgs::Header header;
  std::vector<ObjectHypothesis> results;
  bool operator==(const Classification&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("header", self.header);
    visitor("results", self.results);
  }
};

}  // namespace vision_msgs

namespace rmw_dds_common {

struct Gid {
  static constexpr const char* kType = "rmw_dds_common/msg/Gid";
  std::array<std::uint8_t, 16> data{};
  bool operator==(const Gid&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("data", self.data);
  }
};

struct NodeEntitiesInfo {
  static constexpr const char* kType = "rmw_dds_common/msg/NodeEntitiesInfo";
  BoundedString<256> node_namespace;
  BoundedString<256> node_name;
  std::vector<Gid> reader_gid_seq;
  std::vector<Gid> writer_gid_seq;
  bool operator==(const NodeEntitiesInfo&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("node_namespace", self.node_namespace);
    visitor("node_name", self.node_name);
    visitor("reader_gid_seq", self.reader_gid_seq);
    visitor("writer_gid_seq", self.writer_gid_seq);
  }
};

struct ParticipantEntitiesInfo {
  static constexpr const char* kType = "rmw_dds_common/msg/ParticipantEntitiesInfo";
  Gid gid;
  std::vector<NodeEntitiesInfo> node_entities_info_seq;
  bool operator==(const ParticipantEntitiesInfo&) const = default;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("gid", self.gid);
    visitor("node_entities_info_seq", self.node_entities_info_seq);
  }
};

}  // namespace rmw_dds_common

/// Nanoseconds since the epoch as a stamp and back; times before 1901 or after 2038 do not fit and wrap.
inline builtin_interfaces::Time to_time(std::int64_t nanoseconds) {
  auto seconds = nanoseconds / 1'000'000'000, rest = nanoseconds % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --seconds;
  }
  return {static_cast<std::int32_t>(seconds), static_cast<std::uint32_t>(rest)};
}
inline std::int64_t to_nanoseconds(const builtin_interfaces::Time& time) {
  return std::int64_t{time.sec} * 1'000'000'000 + time.nanosec;
}

/// Calls `visitor.operator()<Message>()` for every message type of this header.
template <typename Visitor>
void for_each_message_type(Visitor&& visitor) {
  visitor.template operator()<builtin_interfaces::Time>();
  visitor.template operator()<builtin_interfaces::Duration>();
  visitor.template operator()<std_msgs::Header>();
  visitor.template operator()<std_msgs::String>();
  visitor.template operator()<std_msgs::UInt64>();
  visitor.template operator()<std_msgs::MultiArrayDimension>();
  visitor.template operator()<std_msgs::MultiArrayLayout>();
  visitor.template operator()<std_msgs::Float64MultiArray>();
  visitor.template operator()<std_msgs::UInt8MultiArray>();
  visitor.template operator()<std_srvs::Empty_Request>();
  visitor.template operator()<std_srvs::Empty_Response>();
  visitor.template operator()<std_srvs::SetBool_Request>();
  visitor.template operator()<std_srvs::SetBool_Response>();
  visitor.template operator()<geometry_msgs::Point>();
  visitor.template operator()<geometry_msgs::Vector3>();
  visitor.template operator()<geometry_msgs::Quaternion>();
  visitor.template operator()<geometry_msgs::Pose>();
  visitor.template operator()<geometry_msgs::PoseStamped>();
  visitor.template operator()<geometry_msgs::PoseWithCovariance>();
  visitor.template operator()<geometry_msgs::PoseWithCovarianceStamped>();
  visitor.template operator()<geometry_msgs::Twist>();
  visitor.template operator()<geometry_msgs::TwistStamped>();
  visitor.template operator()<geometry_msgs::TwistWithCovariance>();
  visitor.template operator()<geometry_msgs::Transform>();
  visitor.template operator()<geometry_msgs::TransformStamped>();
  visitor.template operator()<geometry_msgs::PoseArray>();
  visitor.template operator()<tf2_msgs::TFMessage>();
  visitor.template operator()<sensor_msgs::RegionOfInterest>();
  visitor.template operator()<sensor_msgs::Image>();
  visitor.template operator()<sensor_msgs::CompressedImage>();
  visitor.template operator()<sensor_msgs::CameraInfo>();
  visitor.template operator()<sensor_msgs::PointField>();
  visitor.template operator()<sensor_msgs::PointCloud2>();
  visitor.template operator()<sensor_msgs::LaserScan>();
  visitor.template operator()<sensor_msgs::Imu>();
  visitor.template operator()<sensor_msgs::JointState>();
  visitor.template operator()<stereo_msgs::DisparityImage>();
  visitor.template operator()<nav_msgs::Odometry>();
  visitor.template operator()<nav_msgs::Path>();
  visitor.template operator()<nav_msgs::MapMetaData>();
  visitor.template operator()<nav_msgs::OccupancyGrid>();
  visitor.template operator()<trajectory_msgs::JointTrajectoryPoint>();
  visitor.template operator()<trajectory_msgs::JointTrajectory>();
  visitor.template operator()<rosgraph_msgs::Clock>();
  visitor.template operator()<apriltag_msgs::Point>();
  visitor.template operator()<apriltag_msgs::AprilTagDetection>();
  visitor.template operator()<apriltag_msgs::AprilTagDetectionArray>();
  visitor.template operator()<vision_msgs::ObjectHypothesis>();
  visitor.template operator()<vision_msgs::Classification>();
  visitor.template operator()<rmw_dds_common::Gid>();
  visitor.template operator()<rmw_dds_common::NodeEntitiesInfo>();
  visitor.template operator()<rmw_dds_common::ParticipantEntitiesInfo>();
}

}  // namespace ballast
