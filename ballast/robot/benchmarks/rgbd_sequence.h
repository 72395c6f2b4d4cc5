// Grey and depth images with true camera poses: a generated loop in a textured room, or the castle of
// visp-images-data.
#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "ballast/robot/components/arm.h"
#include "ballast/robot/wire/messages.h"

namespace ballast::robot {

struct RgbdSequence {
  std::vector<cv::Mat> grey, depth;  ///< CV_8UC1, and CV_32FC1 in metres (0: unknown), registered
  std::vector<Transform3> poses;     ///< of the camera in one fixed frame
  sensor_msgs::CameraInfo info;
  std::string description;
  bool synthetic = false;
  double path_m = 0;  ///< length of the way
};

/// A circle of 1 m across in a box of 6 x 3 x 6 m, looking ahead and a little to both sides; ends where it
/// began.
RgbdSequence generated_rgbd_loop(int width, int height, int frames, std::uint64_t seed);
/// The castle's 40 frames, depth brought into the grey camera; no frames where the data is not on this
/// machine.
RgbdSequence castle_sequence();

}  // namespace ballast::robot
