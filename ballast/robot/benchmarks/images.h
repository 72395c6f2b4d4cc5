// Camera input for the benchmarks: real frames of Debian's data packages, or generated ones with exact truth.
#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "ballast/robot/wire/cdr.h"
#include "ballast/robot/wire/messages.h"

namespace ballast::robot {

/// A camera of this size with moderate barrel distortion (plumb_bob), rectified to the same focal length.
sensor_msgs::CameraInfo generated_camera(int width, int height);

/// The brightness of the generated plane at a rectified pixel, 0..255; smooth, different for each seed and
/// frame.
double plane_brightness(std::uint64_t seed, int frame, double u, double v);
/// The plane seen through the camera: each raw pixel shows the brightness at its undistorted place.
cv::Mat generated_view(const sensor_msgs::CameraInfo& camera, std::uint64_t seed, int frame);

/// Frames and their calibration.
struct CameraSequence {
  std::vector<cv::Mat> frames;
  sensor_msgs::CameraInfo info;
  std::string description;
  bool synthetic = false;
};
/// The 13 grey chessboard views of opencv-doc with their calibration; empty frames when the package's data is
/// not on this machine.
CameraSequence chessboard_sequence();
/// Frames scaled to another size, the calibration with them.
CameraSequence rescaled(const CameraSequence& sequence, int width, int height);
CameraSequence generated_sequence(int width, int height, int frames, std::uint64_t seed);

sensor_msgs::Image to_image(const cv::Mat& mat, const std::string& encoding, const std::string& frame_id);
/// The plane |z| of a 3x3 chessboard calibration: reads OpenCV's YAML (camera_matrix,
/// distortion_coefficients).
sensor_msgs::CameraInfo read_opencv_calibration(const std::string& file);

}  // namespace ballast::robot
