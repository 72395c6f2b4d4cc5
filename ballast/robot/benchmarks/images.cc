#include "ballast/robot/benchmarks/images.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <opencv2/calib3d.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/data/datasets.h"
#include "ballast/robot/components/vision.h"

namespace ballast::robot {
namespace {

constexpr std::array<double, 9> kIdentity{1, 0, 0, 0, 1, 0, 0, 0, 1};

void set_pinhole(sensor_msgs::CameraInfo& info, double fx, double fy, double cx, double cy) {
  info.k = {fx, 0, cx, 0, fy, cy, 0, 0, 1};
  info.p = {fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0};
  info.r = kIdentity;
}

}  // namespace

sensor_msgs::CameraInfo generated_camera(int width, int height) {
  sensor_msgs::CameraInfo info;
  info.header.frame_id = "camera";
  info.width = static_cast<std::uint32_t>(width);
  info.height = static_cast<std::uint32_t>(height);
  info.distortion_model = "plumb_bob";
  info.d = {-0.28, 0.09, 0.0006, -0.0004, -0.01};
  set_pinhole(info, 0.8 * width, 0.8 * width, width / 2.0 - 1.5, height / 2.0 + 2.5);
  return info;
}

double plane_brightness(std::uint64_t seed, int frame, double u, double v) {
  double value = 128;
  for (std::uint64_t wave = 0; wave < 4; ++wave) {
    const auto words = philox(seed, wave, 0xb816);
    const double length = 24 + 60 * static_cast<double>(words[0]) * 0x1p-32;
    const double angle = 6.283185307 * static_cast<double>(words[1]) * 0x1p-32;
    const double phase = 6.283185307 * static_cast<double>(words[2]) * 0x1p-32 + 0.15 * frame;
    value += 28 * std::sin(6.283185307 / length * (u * std::cos(angle) + v * std::sin(angle)) + phase);
  }
  return value;
}

cv::Mat generated_view(const sensor_msgs::CameraInfo& camera, std::uint64_t seed, int frame) {
  const int width = static_cast<int>(camera.width), height = static_cast<int>(camera.height);
  std::vector<cv::Point2d> raw, plane;
  raw.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  for (int v = 0; v < height; ++v)
    for (int u = 0; u < width; ++u) raw.emplace_back(u, v);
  const cv::Matx33d k(camera.k.data()), p(camera.p[0], camera.p[1], camera.p[2], camera.p[4], camera.p[5],
                                          camera.p[6], camera.p[8], camera.p[9], camera.p[10]);
  cv::undistortPoints(raw, plane, k, camera.d, cv::noArray(), p,
                      cv::TermCriteria(cv::TermCriteria::COUNT | cv::TermCriteria::EPS, 100, 1e-9));
  cv::Mat view(height, width, CV_8UC1);
  for (std::size_t i = 0; i < plane.size(); ++i)
    view.data[i] = cv::saturate_cast<std::uint8_t>(plane_brightness(seed, frame, plane[i].x, plane[i].y));
  return view;
}

sensor_msgs::CameraInfo read_opencv_calibration(const std::string& file) {
  try {
    const cv::FileStorage storage(file, cv::FileStorage::READ);
    cv::Mat camera, distortion;
    int width = 0, height = 0;
    const char* matrix = storage["camera_matrix"].empty() ? "Camera_Matrix" : "camera_matrix";
    const char* coefficients =
        storage["distortion_coefficients"].empty() ? "Distortion_Coefficients" : "distortion_coefficients";
    storage[matrix] >> camera;
    storage[coefficients] >> distortion;
    storage["image_width"] >> width;
    storage["image_height"] >> height;
    if (camera.rows != 3 || camera.cols != 3 || distortion.total() < 4 || width <= 0 || height <= 0)
      throw InvalidInput(file + ": no camera_matrix, distortion_coefficients, image_width and image_height");
    camera.convertTo(camera, CV_64F);
    distortion.convertTo(distortion, CV_64F);
    sensor_msgs::CameraInfo info;
    info.header.frame_id = "camera";
    info.width = static_cast<std::uint32_t>(width);
    info.height = static_cast<std::uint32_t>(height);
    info.distortion_model = "plumb_bob";
    for (std::size_t i = 0; i < std::min<std::size_t>(distortion.total(), 5); ++i)
      info.d.push_back(distortion.at<double>(static_cast<int>(i)));
    info.d.resize(5);
    set_pinhole(info, camera.at<double>(0, 0), camera.at<double>(1, 1), camera.at<double>(0, 2),
                camera.at<double>(1, 2));
    return info;
  } catch (const cv::Exception& error) {
    throw InvalidInput(fmt::format("{}: no calibration: {}", file, error.err));
  }
}

CameraSequence chessboard_sequence() {
  CameraSequence sequence;
  const std::string folder = data::try_dataset("opencv-samples");
  if (folder.empty()) return sequence;
  sequence.info = read_opencv_calibration(folder + "/left_intrinsics.yml");
  for (int i = 1; i <= 14; ++i) {
    const auto file = fmt::format("{}/left{:02}.jpg", folder, i);
    if (!std::filesystem::exists(file)) continue;  // the set has no number 10
    const auto frame = cv::imread(file, cv::IMREAD_GRAYSCALE);
    if (!frame.empty()) sequence.frames.push_back(frame);
  }
  sequence.description = fmt::format(
      "{} real grey images 640x480 with their calibration (opencv-doc left01..14)", sequence.frames.size());
  return sequence;
}

CameraSequence rescaled(const CameraSequence& sequence, int width, int height) {
  CameraSequence result = sequence;
  const double sx = width / static_cast<double>(sequence.info.width);
  const double sy = height / static_cast<double>(sequence.info.height);
  result.info = scaled(sequence.info, sx, sy);
  for (auto& frame : result.frames) cv::resize(frame, frame, cv::Size(width, height), 0, 0, cv::INTER_LINEAR);
  result.description += fmt::format(", rescaled to {}x{}", width, height);
  return result;
}

CameraSequence generated_sequence(int width, int height, int frames, std::uint64_t seed) {
  CameraSequence sequence;
  sequence.info = generated_camera(width, height);
  for (int i = 0; i < frames; ++i) sequence.frames.push_back(generated_view(sequence.info, seed, i));
  sequence.description = fmt::format("{} generated grey images {}x{} (seed {})", frames, width, height, seed);
  sequence.synthetic = true;
  return sequence;
}

sensor_msgs::Image to_image(const cv::Mat& mat, const std::string& encoding, const std::string& frame_id) {
  auto image = blank_image({{}, frame_id}, mat.cols, mat.rows, encoding);
  mat.copyTo(view(image));
  return image;
}

}  // namespace ballast::robot
