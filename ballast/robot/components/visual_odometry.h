// b1: where a camera with depth went. Corners are followed by KLT forward and backward, their points give the
// pose by PnP with RANSAC, key frames are kept in a window and adjusted together.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <opencv2/core.hpp>
#include <vector>

#include "ballast/robot/components/arm.h"

namespace ballast::robot {

struct VisualOdometryOptions {
  int corners = 800;
  double round_trip_px = 1;  ///< forward then backward
  int ransac_tries = 200;
  double ransac_px = 2;
  double keyframe_tracked = 0.6;  ///< fewer of the key frame's points: a new one
  double keyframe_move_m = 0.2, keyframe_turn_rad = 0.17453;
  std::size_t window = 7;
  bool adjust = true;  ///< bundle adjustment of the window
};

struct CameraModel {
  double fx = 0, fy = 0, cx = 0, cy = 0;
};

struct VisualPose {
  Transform3 pose;  ///< of the camera in the frame of the first image
  std::size_t tracked = 0, inliers = 0;
  double residual_px = 0;  ///< of the inliers, root mean square
  bool lost = false;       ///< the pose is the last known one
};

class VisualOdometry {
 public:
  VisualOdometry(const CameraModel& camera, const VisualOdometryOptions& options);
  ~VisualOdometry();
  /// `grey` CV_8UC1 and `depth` CV_32FC1 in metres (0 or NaN: unknown), registered, of one size. Throws
  /// InvalidInput for others.
  VisualPose track(const cv::Mat& grey, const cv::Mat& depth);

 private:
  struct Keyframe {
    cv::Vec3d rotation, translation;  ///< world to camera
    std::map<int, cv::Vec3d> seen;    ///< point -> u, v, depth
  };
  void add_points(const cv::Mat& grey, const cv::Mat& depth);
  void make_keyframe(const cv::Mat& grey, const cv::Mat& depth);
  void adjust();
  cv::Vec3d to_world(const cv::Vec3d& in_camera) const;

  CameraModel camera_;
  VisualOdometryOptions options_;
  cv::Mat last_grey_;
  std::vector<cv::Point2f> pixels_;  ///< of the followed points in the last image
  std::vector<int> ids_;             ///< and which they are
  std::map<int, cv::Vec3d> points_;  ///< in the world
  int next_id_ = 0;
  std::size_t keyframe_points_ = 0;
  std::deque<Keyframe> keyframes_;
  cv::Vec3d rotation_{0, 0, 0}, translation_{0, 0, 0};
};

/// OpenCV's dense RGB-D odometry from one frame to the next, the second implementation.
class DenseOdometry {
 public:
  explicit DenseOdometry(const CameraModel& camera);
  ~DenseOdometry();
  VisualPose track(const cv::Mat& grey, const cv::Mat& depth);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ballast::robot
