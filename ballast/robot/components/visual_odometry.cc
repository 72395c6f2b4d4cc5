#include "ballast/robot/components/visual_odometry.h"

#include <algorithm>
#include <cmath>
#include <opencv2/calib3d.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/video/tracking.hpp>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/robot/components/bundle_adjustment.h"

namespace ballast::robot {
namespace {

cv::Matx33d matrix_of(const cv::Vec3d& rotation) {
  cv::Matx33d matrix;
  cv::Rodrigues(rotation, matrix);
  return matrix;
}

/// Camera in the world from world to camera.
Transform3 inverse_of(const cv::Vec3d& rotation, const cv::Vec3d& translation) {
  const cv::Matx33d back = matrix_of(rotation).t();
  const cv::Vec3d at = -(back * translation);
  Transform3 pose;
  for (int i = 0; i < 3; ++i) {
    pose.position[static_cast<std::size_t>(i)] = at[i];
    for (int j = 0; j < 3; ++j) pose.rotation[static_cast<std::size_t>(3 * i + j)] = back(i, j);
  }
  return pose;
}

double depth_at(const cv::Mat& depth, const cv::Point2f& pixel) {
  const int u = static_cast<int>(std::lround(pixel.x)), v = static_cast<int>(std::lround(pixel.y));
  if (u < 1 || v < 1 || u + 1 >= depth.cols || v + 1 >= depth.rows) return 0;
  const float z = depth.at<float>(v, u);
  if (!std::isfinite(z) || z <= 0) return 0;
  // At an edge the corner belongs to either side: neighbours must agree.
  for (const auto& [du, dv] : {std::pair{-1, 0}, {1, 0}, {0, -1}, {0, 1}}) {
    const float other = depth.at<float>(v + dv, u + du);
    if (!(std::abs(other - z) < 0.03f * z)) return 0;
  }
  return static_cast<double>(z);
}

}  // namespace

VisualOdometry::VisualOdometry(const CameraModel& camera, const VisualOdometryOptions& options)
    : camera_(camera), options_(options) {
  if (!(camera.fx > 0) || !(camera.fy > 0)) throw InvalidInput("a camera without focal lengths");
}
VisualOdometry::~VisualOdometry() = default;

cv::Vec3d VisualOdometry::to_world(const cv::Vec3d& in_camera) const {
  return matrix_of(rotation_).t() * (in_camera - translation_);
}

void VisualOdometry::add_points(const cv::Mat& grey, const cv::Mat& depth) {
  cv::Mat free(grey.size(), CV_8UC1, cv::Scalar(255));
  for (const auto& pixel : pixels_) cv::circle(free, pixel, 8, cv::Scalar(0), cv::FILLED);
  free.setTo(0, depth <= 0);
  const int wanted = options_.corners - static_cast<int>(pixels_.size());
  if (wanted <= 0) return;
  std::vector<cv::Point2f> corners;
  cv::goodFeaturesToTrack(grey, corners, wanted, 0.01, 7, free);
  if (corners.empty()) return;
  cv::cornerSubPix(grey, corners, {3, 3}, {-1, -1},
                   {cv::TermCriteria::COUNT + cv::TermCriteria::EPS, 10, 0.01});
  for (const auto& pixel : corners) {
    const double z = depth_at(depth, pixel);
    if (z <= 0) continue;
    const cv::Vec3d in_camera((static_cast<double>(pixel.x) - camera_.cx) * z / camera_.fx,
                              (static_cast<double>(pixel.y) - camera_.cy) * z / camera_.fy, z);
    points_[next_id_] = to_world(in_camera);
    pixels_.push_back(pixel);
    ids_.push_back(next_id_++);
  }
}

void VisualOdometry::make_keyframe(const cv::Mat& grey, const cv::Mat& depth) {
  add_points(grey, depth);
  keyframe_points_ = pixels_.size();
  Keyframe frame{rotation_, translation_, {}};
  for (std::size_t i = 0; i < pixels_.size(); ++i)
    frame.seen[ids_[i]] = {static_cast<double>(pixels_[i].x), static_cast<double>(pixels_[i].y),
                           depth_at(depth, pixels_[i])};
  keyframes_.push_back(std::move(frame));
  if (keyframes_.size() > options_.window) keyframes_.pop_front();
  if (options_.adjust && keyframes_.size() > 1) adjust();
  // What no key frame and no present image sees is forgotten.
  std::set<int> needed(ids_.begin(), ids_.end());
  for (const auto& kept : keyframes_)
    for (const auto& [id, unused] : kept.seen) needed.insert(id);
  std::erase_if(points_, [&](const auto& entry) { return !needed.contains(entry.first); });
}

void VisualOdometry::adjust() {
  BundleWindow window{camera_.fx, camera_.fy, camera_.cx, camera_.cy, {}, {}};
  std::map<int, int> views;
  for (const auto& frame : keyframes_)
    for (const auto& [id, unused] : frame.seen) ++views[id];
  std::map<int, std::size_t> index;
  std::vector<int> ids;
  for (const auto& [id, count] : views) {
    if (count < 2) continue;  // seen once: it says nothing about poses
    index[id] = window.points.size();
    ids.push_back(id);
    const auto& at = points_.at(id);
    window.points.push_back({at[0], at[1], at[2]});
  }
  for (const auto& frame : keyframes_) {
    BundleView view;
    for (int i = 0; i < 3; ++i) {
      view.pose[static_cast<std::size_t>(i)] = frame.rotation[i];
      view.pose[static_cast<std::size_t>(3 + i)] = frame.translation[i];
    }
    for (const auto& [id, seen] : frame.seen)
      if (const auto found = index.find(id); found != index.end())
        view.observations.push_back({found->second, seen[0], seen[1], seen[2]});
    window.views.push_back(std::move(view));
  }
  adjust_bundle(window);
  for (std::size_t i = 0; i < ids.size(); ++i)
    points_[ids[i]] = {window.points[i][0], window.points[i][1], window.points[i][2]};
  for (std::size_t k = 0; k < keyframes_.size(); ++k) {
    const auto& pose = window.views[k].pose;
    keyframes_[k].rotation = {pose[0], pose[1], pose[2]};
    keyframes_[k].translation = {pose[3], pose[4], pose[5]};
  }
  rotation_ = keyframes_.back().rotation;
  translation_ = keyframes_.back().translation;
}

VisualPose VisualOdometry::track(const cv::Mat& grey, const cv::Mat& depth) {
  if (grey.type() != CV_8UC1 || depth.type() != CV_32FC1 || grey.size() != depth.size())
    throw InvalidInput("visual odometry needs a grey image and metres of depth of one size");
  cv::setNumThreads(1);
  VisualPose result;
  if (last_grey_.empty()) {
    make_keyframe(grey, depth);
    last_grey_ = grey.clone();
    result.tracked = pixels_.size();
    result.lost = pixels_.size() < 10;
    return result;
  }
  std::vector<cv::Point2f> forward, backward;
  if (!pixels_.empty()) {
    std::vector<std::uint8_t> found, back;
    std::vector<float> error;
    cv::calcOpticalFlowPyrLK(last_grey_, grey, pixels_, forward, found, error);
    cv::calcOpticalFlowPyrLK(grey, last_grey_, forward, backward, back, error);
    std::vector<cv::Point2f> kept;
    std::vector<int> kept_ids;
    for (std::size_t i = 0; i < pixels_.size(); ++i) {
      if (!found[i] || !back[i] || cv::norm(backward[i] - pixels_[i]) > options_.round_trip_px) continue;
      if (forward[i].x < 0 || forward[i].y < 0 || forward[i].x >= static_cast<float>(grey.cols) ||
          forward[i].y >= static_cast<float>(grey.rows))
        continue;
      kept.push_back(forward[i]);
      kept_ids.push_back(ids_[i]);
    }
    pixels_ = std::move(kept);
    ids_ = std::move(kept_ids);
  }
  result.tracked = pixels_.size();
  last_grey_ = grey.clone();
  std::vector<cv::Point3d> world;
  std::vector<cv::Point2d> image;
  for (std::size_t i = 0; i < pixels_.size(); ++i) {
    world.push_back(points_.at(ids_[i]));
    image.push_back(pixels_[i]);
  }
  const cv::Matx33d k(camera_.fx, 0, camera_.cx, 0, camera_.fy, camera_.cy, 0, 0, 1);
  std::vector<int> inliers;
  cv::Vec3d rotation = rotation_, translation = translation_;
  if (world.size() >= 10) {
    cv::setRNGSeed(1);
    cv::solvePnPRansac(world, image, k, cv::noArray(), rotation, translation, true, options_.ransac_tries,
                       static_cast<float>(options_.ransac_px), 0.999, inliers, cv::SOLVEPNP_ITERATIVE);
  }
  result.inliers = inliers.size();
  if (inliers.size() < 10) {
    // Lost: the pose stays, and this image is where it goes on from.
    result.lost = true;
    result.pose = inverse_of(rotation_, translation_);
    pixels_.clear();
    ids_.clear();
    keyframes_.clear();
    points_.clear();
    make_keyframe(grey, depth);
    return result;
  }
  std::vector<cv::Point3d> good_world;
  std::vector<cv::Point2d> good_image, again;
  std::vector<cv::Point2f> good_pixels;
  std::vector<int> good_ids;
  for (const int i : inliers) {
    const auto at = static_cast<std::size_t>(i);
    good_world.push_back(world[at]);
    good_image.push_back(image[at]);
    good_pixels.push_back(pixels_[at]);
    good_ids.push_back(ids_[at]);
  }
  cv::solvePnPRefineLM(good_world, good_image, k, cv::noArray(), rotation, translation);
  cv::projectPoints(good_world, rotation, translation, k, cv::noArray(), again);
  double squares = 0;
  for (std::size_t i = 0; i < again.size(); ++i)
    squares += (again[i] - good_image[i]).dot(again[i] - good_image[i]);
  result.residual_px = std::sqrt(squares / static_cast<double>(again.size()));
  rotation_ = rotation;
  translation_ = translation;
  pixels_ = std::move(good_pixels);  // outliers are not followed on
  ids_ = std::move(good_ids);
  const auto& last = keyframes_.back();
  const Transform3 now = inverse_of(rotation_, translation_),
                   then = inverse_of(last.rotation, last.translation);
  const auto moved = distance(now, then);
  if (static_cast<double>(pixels_.size()) <
          options_.keyframe_tracked * static_cast<double>(keyframe_points_) ||
      moved[0] > options_.keyframe_move_m || moved[1] > options_.keyframe_turn_rad)
    make_keyframe(grey, depth);
  result.pose = inverse_of(rotation_, translation_);
  return result;
}

}  // namespace ballast::robot
