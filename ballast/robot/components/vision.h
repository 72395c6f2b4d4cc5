// The image computations of benchmarks a1 to a7, on OpenCV and free of any middleware. The formulas follow
// ROS 2's image_pipeline: pinhole model with plumb_bob or rational_polynomial distortion; see docs/robot.md,
// "What the components compute".
#pragma once

#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "ballast/robot/wire/messages.h"

namespace ballast::robot {

/// How a computation is carried out: the slots that `--impl` names.
enum class Slot {
  reference,       ///< OpenCV on one thread
  opencv_threads,  ///< OpenCV's own threads
  tbb,             ///< strips of rows by TBB, OpenCV single-threaded within
};
Slot slot_from_string(const std::string& word);

/// OpenCV's type for an encoding of sensor_msgs (mono8, bgr8, rgb8, mono16, 16UC1, 32FC1, bgra8, rgba8).
/// Throws InvalidInput for others.
int mat_type(const std::string& encoding);
/// The image's pixels without a copy. Throws InvalidInput when data is shorter than step * height.
cv::Mat view(const sensor_msgs::Image& image);
/// An image of this size and encoding, pixels unset, and its view.
sensor_msgs::Image blank_image(const std_msgs::Header& header, int width, int height,
                               const std::string& encoding);

/// Throws InvalidInput when the calibration is missing (k[0] == 0) or the distortion model unknown.
void check_calibration(const sensor_msgs::CameraInfo& info);

/// Rectification maps of one calibration, in fixed point, made once.
class Rectifier {
 public:
  /// The output has the size of `info` scaled by (scale_x, scale_y): 1 for a2, 2 for the fused a1. Pixel
  /// centres follow cv::resize: output (u, v) samples ((u + 0.5)/scale - 0.5).
  explicit Rectifier(const sensor_msgs::CameraInfo& info, double scale_x = 1, double scale_y = 1);

  void apply(const cv::Mat& in, cv::Mat& out, Slot slot) const;
  cv::Size size() const { return size_; }
  bool identity() const { return identity_; }

 private:
  cv::Size size_;
  bool identity_;  ///< no distortion, no rotation, same camera: a copy
  cv::Mat map1_, map2_;
};

/// Whether two infos give the same maps (size, k, d, r, p, model).
bool same_calibration(const sensor_msgs::CameraInfo& a, const sensor_msgs::CameraInfo& b);

/// cv::resize, bilinear, in the slot's way.
void resize(const cv::Mat& in, cv::Mat& out, double scale_x, double scale_y, Slot slot);
/// fx, cx and p's first row by sx, the others by sy; width and height rounded.
sensor_msgs::CameraInfo scaled(const sensor_msgs::CameraInfo& info, double scale_x, double scale_y);

/// The oracle of a1 and a2: one pixel of the rectified image by the model's equations in double precision and
/// exact bilinear interpolation; NaN outside of the source.
double rectified_pixel(const cv::Mat& in, const sensor_msgs::CameraInfo& info, double u, double v,
                       int channel);
/// Where the rectified point (u, v) lies in the raw image.
cv::Point2d distorted_point(const sensor_msgs::CameraInfo& info, double u, double v);

}  // namespace ballast::robot
