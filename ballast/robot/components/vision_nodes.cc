// The nodes of a1, a2, a5: rectify, resize, and both fused into one map.
#include <cmath>
#include <opencv2/core.hpp>

#include "ballast/robot/components/component.h"
#include "ballast/robot/components/vision.h"

namespace ballast::robot {
namespace {

using sensor_msgs::CameraInfo;
using sensor_msgs::Image;

/// image + camera_info -> image_rect (+ camera_info_rect when asked to scale).
class Rectify : public Component {
 public:
  Rectify(ros::Node& node, const Json& params, bool fused)
      : slot_(slot_from_string(parameter<std::string>(params, "slot", "reference"))),
        scale_x_(fused ? parameter(params, "scale_width", 2.0) : 1),
        scale_y_(fused ? parameter(params, "scale_height", 2.0) : 1),
        operation_(fused ? "image_proc_rectify_resize" : "image_proc_rectify"),
        sync_([this](const auto& set) { process(*std::get<0>(set), *std::get<1>(set)); }) {
    const auto qos = ros::QosProfile{};
    out_ = node.publisher<Image>(fused ? "resize" : "image_rect", qos);
    info_out_ = node.publisher<CameraInfo>(fused ? "camera_info_resize" : "camera_info_rect", qos);
    node.subscribe<CameraInfo>("camera_info", qos, [this](auto info) { sync_.template add<1>(info); });
    node.subscribe<Image>("image", qos, [this](auto image) { sync_.template add<0>(image); });
  }

 private:
  void process(const Image& image, const CameraInfo& info) {
    trace::Operation operation(operation_, image.header.stamp);
    if (!rectifier_ || !same_calibration(info, known_)) {
      rectifier_ = std::make_unique<Rectifier>(info, scale_x_, scale_y_);
      known_ = info;
    }
    auto result =
        blank_image(image.header, rectifier_->size().width, rectifier_->size().height, image.encoding);
    cv::Mat out = view(result);
    operation.begin();
    rectifier_->apply(view(image), out, slot_);
    operation.end();
    auto scaled_info = scaled(info, scale_x_, scale_y_);
    info_out_->publish(std::move(scaled_info));
    out_->publish(std::move(result));
  }

  Slot slot_;
  double scale_x_, scale_y_;
  const char* operation_;
  std::unique_ptr<Rectifier> rectifier_;
  CameraInfo known_;
  std::shared_ptr<ros::Publisher<Image>> out_;
  std::shared_ptr<ros::Publisher<CameraInfo>> info_out_;
  StampSync<Image, CameraInfo> sync_;
};

/// image + camera_info -> resize + camera_info_resize, both scaled.
class Resize : public Component {
 public:
  Resize(ros::Node& node, const Json& params)
      : slot_(slot_from_string(parameter<std::string>(params, "slot", "reference"))),
        scale_x_(parameter(params, "scale_width", 2.0)),
        scale_y_(parameter(params, "scale_height", 2.0)),
        sync_([this](const auto& set) { process(*std::get<0>(set), *std::get<1>(set)); }) {
    if (!(scale_x_ > 0 && scale_x_ <= 16 && scale_y_ > 0 && scale_y_ <= 16))
      throw InvalidInput("scale", std::to_string(scale_x_), "more than 0 and at most 16");
    const auto qos = ros::QosProfile{};
    out_ = node.publisher<Image>("resize", qos);
    info_out_ = node.publisher<CameraInfo>("camera_info_resize", qos);
    node.subscribe<CameraInfo>("camera_info", qos, [this](auto info) { sync_.template add<1>(info); });
    node.subscribe<Image>("image", qos, [this](auto image) { sync_.template add<0>(image); });
  }

 private:
  void process(const Image& image, const CameraInfo& info) {
    trace::Operation operation("image_proc_resize", image.header.stamp);
    auto result = blank_image(image.header, static_cast<int>(std::lround(image.width * scale_x_)),
                              static_cast<int>(std::lround(image.height * scale_y_)), image.encoding);
    cv::Mat out = view(result);
    operation.begin();
    resize(view(image), out, scale_x_, scale_y_, slot_);
    operation.end();
    info_out_->publish(scaled(info, scale_x_, scale_y_));
    out_->publish(std::move(result));
  }

  Slot slot_;
  double scale_x_, scale_y_;
  std::shared_ptr<ros::Publisher<Image>> out_;
  std::shared_ptr<ros::Publisher<CameraInfo>> info_out_;
  StampSync<Image, CameraInfo> sync_;
};

}  // namespace

std::vector<ComponentType> vision_components() {
  const std::vector<std::string> scale{"slot", "scale_width", "scale_height"};
  return {
      {"ballast::components::Rectify",
       "undistorts and rectifies an image (bilinear)",
       {"slot"},
       [](ros::Node& node, const Json& params) { return std::make_unique<Rectify>(node, params, false); }},
      {"ballast::components::Resize", "resizes an image (bilinear) and its camera info", scale,
       [](ros::Node& node, const Json& params) { return std::make_unique<Resize>(node, params); }},
      {"ballast::components::RectifyResize", "rectifies and resizes through one composite map", scale,
       [](ros::Node& node, const Json& params) { return std::make_unique<Rectify>(node, params, true); }},
  };
}

}  // namespace ballast::robot
