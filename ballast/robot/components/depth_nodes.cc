// The nodes of a3 (stereo), a4 (depth to cloud), a6 (Harris), a7 (depth to scan) and b3 (AprilTag).
#include <apriltag/apriltag.h>
#include <apriltag/tag36h11.h>

#include "ballast/robot/components/component.h"
#include "ballast/robot/components/depth.h"

namespace ballast::robot {
namespace {

using sensor_msgs::CameraInfo;
using sensor_msgs::Image;

class Disparity : public Component {
 public:
  Disparity(ros::Node& node, const Json& params)
      : sync_([this](const auto& set) { process(*std::get<0>(set), *std::get<1>(set), *std::get<2>(set)); }) {
    const auto matcher = parameter<std::string>(params, "matcher", "bm");
    cli_check(matcher);
    options_.semi_global = matcher == "sgbm";
    options_.window = parameter(params, "window", options_.semi_global ? 5 : 15);
    options_.strips = parameter(params, "strips", 1);
    out_ = node.publisher<stereo_msgs::DisparityImage>("disparity", {});
    node.subscribe<CameraInfo>("right/camera_info", {}, [this](auto info) { sync_.template add<2>(info); });
    node.subscribe<Image>("left/image_rect", {}, [this](auto image) { sync_.template add<0>(image); });
    node.subscribe<Image>("right/image_rect", {}, [this](auto image) { sync_.template add<1>(image); });
  }

 private:
  static void cli_check(const std::string& matcher) {
    if (matcher != "bm" && matcher != "sgbm") throw InvalidInput("matcher", matcher, "bm or sgbm");
  }
  void process(const Image& left, const Image& right, const CameraInfo& info) {
    trace::Operation operation("image_proc_disparity", left.header.stamp);
    operation.begin();
    const cv::Mat result = disparity(view(left), view(right), options_);
    operation.end();
    out_->publish(disparity_message(left.header, result, info, options_));
  }
  StereoOptions options_;
  std::shared_ptr<ros::Publisher<stereo_msgs::DisparityImage>> out_;
  StampSync<Image, Image, CameraInfo> sync_;
};

class PointCloud : public Component {
 public:
  PointCloud(ros::Node& node, const Json& params)
      : parallel_(parameter(params, "parallel", false)),
        sync_([this](const auto& set) { process(*std::get<0>(set), *std::get<1>(set), *std::get<2>(set)); }) {
    out_ = node.publisher<sensor_msgs::PointCloud2>("points", {});
    node.subscribe<CameraInfo>("camera_info", {}, [this](auto info) { sync_.template add<2>(info); });
    node.subscribe<Image>("depth", {}, [this](auto image) { sync_.template add<0>(image); });
    node.subscribe<Image>("colour", {}, [this](auto image) { sync_.template add<1>(image); });
  }

 private:
  void process(const Image& depth, const Image& colour, const CameraInfo& info) {
    trace::Operation operation("depth_image_proc_transform_to_pointcloud", depth.header.stamp);
    operation.begin();
    auto cloud = depth_to_cloud(depth, colour, info, parallel_);
    operation.end();
    out_->publish(std::move(cloud));
  }
  bool parallel_;
  std::shared_ptr<ros::Publisher<sensor_msgs::PointCloud2>> out_;
  StampSync<Image, Image, CameraInfo> sync_;
};

class Scan : public Component {
 public:
  Scan(ros::Node& node, const Json& params)
      : rows_(parameter(params, "scan_height", 1)),
        sync_([this](const auto& set) { process(*std::get<0>(set), *std::get<1>(set)); }) {
    out_ = node.publisher<sensor_msgs::LaserScan>("scan", {});
    node.subscribe<CameraInfo>("camera_info", {}, [this](auto info) { sync_.template add<1>(info); });
    node.subscribe<Image>("depth", {}, [this](auto image) { sync_.template add<0>(image); });
  }

 private:
  void process(const Image& depth, const CameraInfo& info) {
    trace::Operation operation("depthimage_to_laserscan", depth.header.stamp);
    operation.begin();
    auto scan = depth_to_scan(depth, info, rows_);
    operation.end();
    out_->publish(std::move(scan));
  }
  int rows_;
  std::shared_ptr<ros::Publisher<sensor_msgs::LaserScan>> out_;
  StampSync<Image, CameraInfo> sync_;
};

class Harris : public Component {
 public:
  Harris(ros::Node& node, const Json& params)
      : most_(static_cast<std::size_t>(parameter(params, "corners", 500))) {
    out_ = node.publisher<sensor_msgs::PointCloud2>("corners", {});
    node.subscribe<Image>("image", {}, [this](auto image) { process(*image); });
  }

 private:
  void process(const Image& image) {
    trace::Operation operation("image_proc_harris", image.header.stamp);
    operation.begin();
    const auto corners = harris(view(image), most_);
    operation.end();
    sensor_msgs::PointCloud2 cloud;
    cloud.header = image.header;
    cloud.height = 1;
    cloud.width = static_cast<std::uint32_t>(corners.size());
    cloud.fields = {{"x", 0, 7, 1}, {"y", 4, 7, 1}, {"response", 8, 7, 1}};
    cloud.point_step = sizeof(Corner);
    cloud.row_step = cloud.point_step * cloud.width;
    cloud.is_dense = true;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(corners.data());
    cloud.data.assign(bytes, bytes + cloud.row_step);
    out_->publish(std::move(cloud));
  }
  std::size_t most_;
  std::shared_ptr<ros::Publisher<sensor_msgs::PointCloud2>> out_;
};

class AprilTag : public Component {
 public:
  AprilTag(ros::Node& node, const Json& params)
      : family_(tag36h11_create()), detector_(apriltag_detector_create()) {
    detector_->nthreads = parameter(params, "threads", 1);
    detector_->quad_decimate = static_cast<float>(parameter(params, "decimate", 1.0));
    apriltag_detector_add_family(detector_, family_);
    out_ = node.publisher<apriltag_msgs::AprilTagDetectionArray>("detections", {});
    node.subscribe<Image>("image_rect", {}, [this](auto image) { process(*image); });
  }
  ~AprilTag() override {
    apriltag_detector_destroy(detector_);
    tag36h11_destroy(family_);
  }

 private:
  void process(const Image& image) {
    trace::Operation operation("apriltag_detect", image.header.stamp);
    const cv::Mat grey = view(image);
    if (grey.type() != CV_8UC1) throw InvalidInput("image encoding", image.encoding, "mono8 for AprilTag");
    image_u8_t input{
        .width = grey.cols, .height = grey.rows, .stride = static_cast<int>(grey.step), .buf = grey.data};
    operation.begin();
    zarray_t* detections = apriltag_detector_detect(detector_, &input);
    operation.end();
    apriltag_msgs::AprilTagDetectionArray result;
    result.header = image.header;
    for (int i = 0; i < zarray_size(detections); ++i) {
      apriltag_detection_t* detection;
      zarray_get(detections, i, &detection);
      apriltag_msgs::AprilTagDetection one{
          .family = "tag36h11", .id = detection->id, .hamming = detection->hamming};
      one.decision_margin = detection->decision_margin;
      one.centre = {detection->c[0], detection->c[1]};
      for (std::size_t k = 0; k < 4; ++k) one.corners[k] = {detection->p[k][0], detection->p[k][1]};
      std::copy_n(detection->H->data, 9, one.homography.begin());
      result.detections.push_back(std::move(one));
    }
    apriltag_detections_destroy(detections);
    out_->publish(std::move(result));
  }
  apriltag_family_t* family_;
  apriltag_detector_t* detector_;
  std::shared_ptr<ros::Publisher<apriltag_msgs::AprilTagDetectionArray>> out_;
};

template <typename Made>
auto maker() {
  return [](ros::Node& node, const Json& params) -> std::unique_ptr<Component> {
    return std::make_unique<Made>(node, params);
  };
}

}  // namespace

std::vector<ComponentType> depth_components() {
  return {{"ballast::components::Disparity",
           "disparity of a rectified stereo pair",
           {"matcher", "window", "strips"},
           maker<Disparity>()},
          {"ballast::components::PointCloud",
           "xyz + rgb cloud from depth and colour",
           {"parallel"},
           maker<PointCloud>()},
          {"ballast::components::DepthToScan",
           "laser scan from the middle rows of depth",
           {"scan_height"},
           maker<Scan>()},
          {"ballast::components::Harris", "the strongest Harris corners", {"corners"}, maker<Harris>()},
          {"ballast::components::AprilTag",
           "tags of the family 36h11 (libapriltag)",
           {"threads", "decimate"},
           maker<AprilTag>()}};
}

}  // namespace ballast::robot
