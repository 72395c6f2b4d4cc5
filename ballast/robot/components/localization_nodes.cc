// The nodes of b1 (visual odometry), b2 (localization in a map) and b4 (filter over IMU and odometry).
#include <cmath>
#include <optional>

#include "ballast/robot/components/arm_messages.h"
#include "ballast/robot/components/component.h"
#include "ballast/robot/components/ekf.h"
#include "ballast/robot/components/localizer.h"
#include "ballast/robot/components/vision.h"
#include "ballast/robot/components/visual_odometry.h"
#include "ballast/robot/node/service.h"

namespace ballast::robot {
namespace {

using nav_msgs::Odometry;
using sensor_msgs::Image;

/// A pause this long between stamps is a new drive: what was known of the old one is dropped.
constexpr std::int64_t kPauseNs = 3'000'000'000;

geometry_msgs::Quaternion heading_quaternion(double heading) {
  return {0, 0, std::sin(heading / 2), std::cos(heading / 2)};
}
double heading_of(const geometry_msgs::Quaternion& q) {
  return std::atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z));
}

class VisualOdometryNode : public Component {
 public:
  VisualOdometryNode(ros::Node& node, const Json& params)
      : method_(parameter<std::string>(params, "method", "kltpnp")),
        sync_([this](const auto& set) { process(*std::get<0>(set), *std::get<1>(set), *std::get<2>(set)); }) {
    if (method_ != "kltpnp" && method_ != "kltpnp-noba" && method_ != "opencv-rgbd")
      throw InvalidInput("method", method_, "kltpnp, kltpnp-noba or opencv-rgbd");
    out_ = node.publisher<Odometry>("odom", {});
    node.subscribe<sensor_msgs::CameraInfo>("camera_info", {},
                                            [this](auto info) { sync_.template add<2>(info); });
    node.subscribe<Image>("image", {}, [this](auto image) { sync_.template add<0>(image); });
    node.subscribe<Image>("depth", {}, [this](auto image) { sync_.template add<1>(image); });
  }

 private:
  void process(const Image& image, const Image& depth, const sensor_msgs::CameraInfo& info) {
    check_calibration(info);
    const auto stamp = to_nanoseconds(image.header.stamp);
    if (stamp - last_ > kPauseNs || (!sparse_ && !dense_)) {
      const CameraModel camera{info.k[0], info.k[4], info.k[2], info.k[5]};
      sparse_.reset();
      dense_.reset();
      if (method_ == "opencv-rgbd") {
        dense_.emplace(camera);
      } else {
        sparse_.emplace(camera, VisualOdometryOptions{.adjust = method_ == "kltpnp"});
      }
    }
    last_ = stamp;
    trace::Operation operation("visual_odometry", image.header.stamp);
    operation.begin();
    const auto found =
        sparse_ ? sparse_->track(view(image), view(depth)) : dense_->track(view(image), view(depth));
    operation.end();
    Odometry answer;
    answer.header = image.header;
    answer.child_frame_id = found.lost ? "lost" : "camera";
    answer.pose.pose = pose_message(found.pose);
    // Pixels to metres at 1 m: a scale for the covariance of the pose, wide when lost.
    const double sigma = found.lost ? 1.0 : std::max(found.residual_px, 0.1) / info.k[0];
    for (std::size_t i = 0; i < 6; ++i) answer.pose.covariance[7 * i] = sigma * sigma;
    out_->publish(std::move(answer));
  }

  std::string method_;
  std::int64_t last_ = 0;
  std::optional<VisualOdometry> sparse_;
  std::optional<DenseOdometry> dense_;
  std::shared_ptr<ros::Publisher<Odometry>> out_;
  StampSync<Image, Image, sensor_msgs::CameraInfo> sync_;
};

class Localizer : public Component {
 public:
  Localizer(ros::Node& node, const Json& params)
      : method_(parameter<std::string>(params, "method", "branch-and-bound")),
        sigma_(parameter(params, "sigma", 0.1)),
        depth_(parameter(params, "depth", 7)),
        beams_(static_cast<std::size_t>(parameter(params, "beams", 60))),
        seed_(static_cast<std::uint64_t>(parameter(params, "seed", 1))),
        sync_([this](const auto& set) { process(*std::get<0>(set), *std::get<1>(set)); }) {
    if (method_ != "branch-and-bound" && method_ != "particle-filter")
      throw InvalidInput("method", method_, "branch-and-bound or particle-filter");
    if (depth_ < 0 || depth_ > 12) throw InvalidInput("depth", std::to_string(depth_), "0 to 12");
    out_ = node.publisher<geometry_msgs::PoseWithCovarianceStamped>("pose", {});
    node.subscribe<nav_msgs::OccupancyGrid>("map", ros::QosProfile::transient_local(1), [this](auto map) {
      filter_.reset();
      field_.emplace(*map, sigma_, depth_);
    });
    again_ = std::make_unique<ros::Service<std_srvs::Empty>>(
        node, "reinitialize_global_localization", [this](const std_srvs::Empty_Request&) {
          filter_.reset();  // the next scan is placed in the whole map
          return std_srvs::Empty_Response{};
        });
    again_->group = &group_;
    node.subscribe<Odometry>("odom", {}, [this](auto odometry) { sync_.template add<1>(odometry); });
    node.subscribe<sensor_msgs::LaserScan>("scan", {}, [this](auto scan) { sync_.template add<0>(scan); });
  }

 private:
  void process(const sensor_msgs::LaserScan& scan, const Odometry& odometry) {
    if (!field_) return;
    const Pose2 moved{odometry.pose.pose.position.x, odometry.pose.pose.position.y,
                      heading_of(odometry.pose.pose.orientation)};
    const auto stamp = to_nanoseconds(scan.header.stamp);
    trace::Operation operation("map_localization", scan.header.stamp);
    operation.begin();
    const auto points = scan_points(scan, beams_);
    geometry_msgs::PoseWithCovarianceStamped answer;
    answer.header = scan.header;
    if (points.empty()) return;
    Pose2 pose;
    std::array<double, 3> variance{sigma_ * sigma_, sigma_ * sigma_, 0.001};
    if (method_ == "branch-and-bound") {
      pose = refine(*field_, points, match_globally(*field_, points).pose);
    } else {
      if (!filter_ || stamp - last_ > kPauseNs || strayed(points)) {
        filter_.emplace(*field_, ParticleOptions{}, seed_);
        filter_->start(refine(*field_, points, match_globally(*field_, points).pose), 0.1, 0.03);
        before_ = moved;
      }
      filter_->update(before_, moved, points);
      pose = refine(*field_, points, filter_->mean());
      variance = filter_->variance();
    }
    operation.end();
    last_ = stamp;
    before_ = moved;
    answer.pose.pose = {{pose.x, pose.y, 0}, heading_quaternion(pose.heading)};
    answer.pose.covariance[0] = variance[0];
    answer.pose.covariance[7] = variance[1];
    answer.pose.covariance[35] = variance[2];
    out_->publish(std::move(answer));
  }

  /// Whether the last answer's neighbourhood explains the scan no more: the robot was carried away.
  bool strayed(const std::vector<std::array<double, 2>>& points) const {
    const Pose2 at = refine(*field_, points, filter_->mean());
    double sum = 0;
    const double c = std::cos(at.heading), s = std::sin(at.heading);
    for (const auto& [x, y] : points)
      sum += static_cast<double>(field_->at_point(at.x + c * x - s * y, at.y + s * x + c * y));
    return sum < 0.35 * static_cast<double>(points.size());
  }

  std::string method_;
  double sigma_;
  int depth_;
  std::size_t beams_;
  std::uint64_t seed_;
  std::int64_t last_ = 0;
  Pose2 before_;
  std::optional<LikelihoodField> field_;
  std::optional<ParticleFilter> filter_;
  ros::CallbackGroup group_;
  std::unique_ptr<ros::Service<std_srvs::Empty>> again_;
  std::shared_ptr<ros::Publisher<geometry_msgs::PoseWithCovarianceStamped>> out_;
  StampSync<sensor_msgs::LaserScan, Odometry> sync_;
};

class EkfNode : public Component {
 public:
  EkfNode(ros::Node& node, const Json& params)
      : filter_(process_noise(parameter(params, "acceleration_noise", 0.04),
                              parameter(params, "turn_noise", 0.01))),
        sync_([this](const auto& set) { process(*std::get<0>(set), *std::get<1>(set)); }) {
    out_ = node.publisher<Odometry>("filtered", {});
    node.subscribe<sensor_msgs::Imu>("imu", {}, [this](auto imu) { sync_.template add<0>(imu); });
    node.subscribe<Odometry>("odom", {}, [this](auto odometry) { sync_.template add<1>(odometry); });
  }

 private:
  using F = PoseFilter;
  static F::Vector process_noise(double acceleration, double turn) {
    F::Vector noise = F::Vector::Constant(1e-8);
    noise.segment<3>(F::ax).setConstant(acceleration);
    noise.segment<3>(F::wroll).setConstant(turn);
    return noise;
  }

  void process(const sensor_msgs::Imu& imu, const Odometry& odometry) {
    const auto stamp = to_nanoseconds(imu.header.stamp);
    if (!filter_.started() || stamp - filter_.time_ns() > kPauseNs || stamp < filter_.time_ns() - kPauseNs)
      filter_.start(stamp, F::Vector::Zero(), F::Matrix::Identity() * 1e-6);
    trace::Operation operation("ekf_update", imu.header.stamp);
    operation.begin();
    const auto &w = imu.angular_velocity, &a = imu.linear_acceleration;
    filter_.fuse(
        {.time_ns = stamp,
         .states = {F::wroll, F::wpitch, F::wyaw, F::ax, F::ay, F::az},
         .values = {w.x, w.y, w.z, a.x, a.y, a.z},
         .variances = {imu.angular_velocity_covariance[0], imu.angular_velocity_covariance[4],
                       imu.angular_velocity_covariance[8], imu.linear_acceleration_covariance[0],
                       imu.linear_acceleration_covariance[4], imu.linear_acceleration_covariance[8]}});
    const auto& v = odometry.twist.twist.linear;
    filter_.fuse({.time_ns = stamp,
                  .states = {F::vx, F::vy, F::vz},
                  .values = {v.x, v.y, v.z},
                  .variances = {odometry.twist.covariance[0], odometry.twist.covariance[7],
                                odometry.twist.covariance[14]}});
    operation.end();
    const auto& s = filter_.state();
    Odometry answer;
    answer.header = imu.header;
    answer.child_frame_id = "base";
    answer.pose.pose.position = {s[F::x], s[F::y], s[F::z]};
    const double cr = std::cos(s[F::roll] / 2), sr = std::sin(s[F::roll] / 2), cp = std::cos(s[F::pitch] / 2),
                 sp = std::sin(s[F::pitch] / 2), cy = std::cos(s[F::yaw] / 2), sy = std::sin(s[F::yaw] / 2);
    answer.pose.pose.orientation = {sr * cp * cy - cr * sp * sy, cr * sp * cy + sr * cp * sy,
                                    cr * cp * sy - sr * sp * cy, cr * cp * cy + sr * sp * sy};
    for (int i = 0; i < 6; ++i)
      for (int k = 0; k < 6; ++k)
        answer.pose.covariance[static_cast<std::size_t>(6 * i + k)] = filter_.covariance()(i, k);
    answer.twist.twist = {{s[F::vx], s[F::vy], s[F::vz]}, {s[F::wroll], s[F::wpitch], s[F::wyaw]}};
    out_->publish(std::move(answer));
  }

  PoseFilter filter_;
  std::shared_ptr<ros::Publisher<Odometry>> out_;
  StampSync<sensor_msgs::Imu, Odometry> sync_;
};

}  // namespace

std::vector<ComponentType> localization_components() {
  return {{"ballast::components::VisualOdometry",
           "camera poses from grey and depth images",
           {"method"},
           [](ros::Node& node, const Json& params) {
             return std::make_unique<VisualOdometryNode>(node, params);
           }},
          {"ballast::components::Localizer",
           "pose of a laser scanner in a map",
           {"method", "sigma", "depth", "beams", "seed"},
           [](ros::Node& node, const Json& params) { return std::make_unique<Localizer>(node, params); }},
          {"ballast::components::Ekf",
           "15-state filter over IMU and odometry",
           {"acceleration_noise", "turn_noise"},
           [](ros::Node& node, const Json& params) { return std::make_unique<EkfNode>(node, params); }}};
}

}  // namespace ballast::robot
