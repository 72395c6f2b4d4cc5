#include <opencv2/rgbd.hpp>

#include "ballast/base/errors.h"
#include "ballast/robot/components/visual_odometry.h"

namespace ballast::robot {

struct DenseOdometry::Impl {
  cv::Ptr<cv::rgbd::RgbdOdometry> odometry;
  cv::Mat grey, depth;
  cv::Matx44d pose = cv::Matx44d::eye();  // camera in the world
};

DenseOdometry::DenseOdometry(const CameraModel& camera) : impl_(std::make_unique<Impl>()) {
  const cv::Matx33f k(static_cast<float>(camera.fx), 0, static_cast<float>(camera.cx), 0,
                      static_cast<float>(camera.fy), static_cast<float>(camera.cy), 0, 0, 1);
  impl_->odometry = cv::rgbd::RgbdOdometry::create(cv::Mat(k));
  impl_->odometry->setMaxDepth(20);
  impl_->odometry->setMaxDepthDiff(0.2);
}
DenseOdometry::~DenseOdometry() = default;

VisualPose DenseOdometry::track(const cv::Mat& grey, const cv::Mat& depth) {
  if (grey.type() != CV_8UC1 || depth.type() != CV_32FC1 || grey.size() != depth.size())
    throw InvalidInput("visual odometry needs a grey image and metres of depth of one size");
  cv::setNumThreads(1);
  VisualPose result;
  cv::Mat known = depth.clone();
  known.setTo(std::nanf(""), depth <= 0);
  if (!impl_->grey.empty()) {
    cv::Mat step;
    const cv::Mat mask(depth.size(), CV_8UC1, cv::Scalar(255));
    // `step` carries points of the last camera to the present one.
    result.lost = !impl_->odometry->compute(impl_->grey, impl_->depth, mask, grey, known, mask, step);
    if (!result.lost) impl_->pose = impl_->pose * cv::Matx44d(step.ptr<double>()).inv();
  }
  impl_->grey = grey.clone();
  impl_->depth = known;
  for (int i = 0; i < 3; ++i) {
    result.pose.position[static_cast<std::size_t>(i)] = impl_->pose(i, 3);
    for (int j = 0; j < 3; ++j) result.pose.rotation[static_cast<std::size_t>(3 * i + j)] = impl_->pose(i, j);
  }
  return result;
}

}  // namespace ballast::robot
