// Stereo, depth and features (a3, a4, a6, a7): computations on OpenCV, free of any middleware.
#pragma once

#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "ballast/robot/components/vision.h"

namespace ballast::robot {

struct StereoOptions {
  bool semi_global = false;  ///< SGBM instead of block matching
  int window = 15;           ///< 5 for SGBM
  int disparities = 64;
  int strips = 1;  ///< strips of rows on TBB's threads, overlapping by twice the window
};

/// Disparity in 1/16 pixel (CV_16S); invalid pixels are -16. Strips give exactly the result of one piece.
cv::Mat disparity(const cv::Mat& left, const cv::Mat& right, const StereoOptions& options);

/// 32FC1 pixels, f and t from the right camera's P, valid window, delta_d 1/16.
stereo_msgs::DisparityImage disparity_message(const std_msgs::Header& header, const cv::Mat& disparity16,
                                              const sensor_msgs::CameraInfo& right,
                                              const StereoOptions& options);

/// Organized xyz + rgb cloud of 32 bytes a point from depth (16UC1 in mm or 32FC1 in m) and registered
/// colour.
sensor_msgs::PointCloud2 depth_to_cloud(const sensor_msgs::Image& depth, const sensor_msgs::Image& colour,
                                        const sensor_msgs::CameraInfo& info, bool parallel);

/// The central `rows` rows as ranges; minimum in each angular bin (depthimage_to_laserscan).
sensor_msgs::LaserScan depth_to_scan(const sensor_msgs::Image& depth, const sensor_msgs::CameraInfo& info,
                                     int rows);

struct Corner {
  float x, y, response;
};
/// Harris: block 2, aperture 3, k 0.04, 3x3 maxima, the best `most` in an order that does not depend on
/// threads.
std::vector<Corner> harris(const cv::Mat& grey, std::size_t most = 500);

}  // namespace ballast::robot
