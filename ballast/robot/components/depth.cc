#include "ballast/robot/components/depth.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <opencv2/calib3d.hpp>
#include <opencv2/imgproc.hpp>

#include "ballast/base/errors.h"

namespace ballast::robot {
namespace {

constexpr int kInvalid16 = -16;
constexpr int kSpeckleWindow = 100, kSpeckleRange = 4;

/// Without the speckle filter, which looks across strips and is applied afterwards.
cv::Mat raw_disparity(const cv::Mat& left, const cv::Mat& right, const StereoOptions& options) {
  cv::Mat result;
  if (options.semi_global) {
    const int area = options.window * options.window;
    auto matcher =
        cv::StereoSGBM::create(0, options.disparities, options.window, 8 * area, 32 * area, -1, 31, 15, 0, 0);
    matcher->compute(left, right, result);
  } else {
    auto matcher = cv::StereoBM::create(options.disparities, options.window);
    matcher->setPreFilterSize(9);
    matcher->setPreFilterCap(31);
    matcher->setTextureThreshold(10);
    matcher->setUniquenessRatio(15);
    matcher->setSpeckleWindowSize(0);
    matcher->compute(left, right, result);
  }
  return result;
}

float depth_at(const cv::Mat& depth, int v, int u) {
  if (depth.type() == CV_32FC1) {
    const float z = depth.at<float>(v, u);
    return std::isfinite(z) && z > 0 ? z : std::nanf("");
  }
  const auto z = depth.at<std::uint16_t>(v, u);
  return z == 0 ? std::nanf("") : static_cast<float>(z) * 1e-3f;
}

cv::Mat depth_view(const sensor_msgs::Image& depth) {
  const cv::Mat mat = view(depth);
  if (mat.type() != CV_32FC1 && mat.type() != CV_16UC1)
    throw InvalidInput("depth encoding", depth.encoding, "32FC1 (m) or 16UC1 (mm)");
  return mat;
}

}  // namespace

cv::Mat disparity(const cv::Mat& left, const cv::Mat& right, const StereoOptions& options) {
  if (left.type() != CV_8UC1 || right.type() != CV_8UC1 || left.size() != right.size())
    throw InvalidInput("stereo needs two grey images of one size");
  cv::setNumThreads(1);
  cv::Mat result;
  const int strips = std::min(options.strips, left.rows / 32);
  if (strips <= 1) {
    result = raw_disparity(left, right, options);
  } else {
    if (options.semi_global) throw InvalidInput("SGBM has no strips: its paths cross the whole image");
    result.create(left.size(), CV_16SC1);
    const int overlap = 2 * options.window;
    tbb::parallel_for(0, strips, [&](int strip) {
      const int first = left.rows * strip / strips, end = left.rows * (strip + 1) / strips;
      const int from = std::max(0, first - overlap), to = std::min(left.rows, end + overlap);
      const cv::Mat part = raw_disparity(left.rowRange(from, to), right.rowRange(from, to), options);
      part.rowRange(first - from, end - from).copyTo(result.rowRange(first, end));
    });
  }
  cv::filterSpeckles(result, kInvalid16, kSpeckleWindow, kSpeckleRange * 16);
  return result;
}

stereo_msgs::DisparityImage disparity_message(const std_msgs::Header& header, const cv::Mat& disparity16,
                                              const sensor_msgs::CameraInfo& right,
                                              const StereoOptions& options) {
  stereo_msgs::DisparityImage message;
  message.header = header;
  message.image = blank_image(header, disparity16.cols, disparity16.rows, "32FC1");
  cv::Mat pixels = view(message.image);
  disparity16.convertTo(pixels, CV_32F, 1.0 / 16);
  message.f = static_cast<float>(right.p[0]);
  message.t = right.p[0] != 0 ? static_cast<float>(-right.p[3] / right.p[0]) : 0;
  message.min_disparity = 0;
  message.max_disparity = static_cast<float>(options.disparities - 1);
  message.delta_d = 1.0f / 16;
  const int border = options.window / 2;
  message.valid_window.x_offset = static_cast<std::uint32_t>(options.disparities - 1 + border);
  message.valid_window.y_offset = static_cast<std::uint32_t>(border);
  message.valid_window.width =
      static_cast<std::uint32_t>(std::max(0, disparity16.cols - options.disparities + 1 - 2 * border));
  message.valid_window.height = static_cast<std::uint32_t>(std::max(0, disparity16.rows - 2 * border));
  return message;
}

sensor_msgs::PointCloud2 depth_to_cloud(const sensor_msgs::Image& depth_image,
                                        const sensor_msgs::Image& colour_image,
                                        const sensor_msgs::CameraInfo& info, bool parallel) {
  check_calibration(info);
  const cv::Mat depth = depth_view(depth_image), colour = view(colour_image);
  if (colour.size() != depth.size())
    throw InvalidInput(fmt::format("depth is {}x{} and colour {}x{}: register them first", depth.cols,
                                   depth.rows, colour.cols, colour.rows));
  if (colour.depth() != CV_8U)
    throw InvalidInput("colour encoding", colour_image.encoding, "8 bits a channel");
  const bool red_first = colour_image.encoding.starts_with("rgb");
  constexpr std::uint32_t kStep = 32;
  sensor_msgs::PointCloud2 cloud;
  cloud.header = depth_image.header;
  cloud.height = depth_image.height;
  cloud.width = depth_image.width;
  const auto field = [](const char* name, std::uint32_t offset) {
    return sensor_msgs::PointField{name, offset, 7, 1};  // FLOAT32
  };
  cloud.fields = {field("x", 0), field("y", 4), field("z", 8), field("rgb", 16)};
  cloud.point_step = kStep;
  cloud.row_step = kStep * cloud.width;
  cloud.is_dense = false;
  cloud.data.resize(std::size_t{cloud.row_step} * cloud.height);
  const auto fx = static_cast<float>(info.k[0]), fy = static_cast<float>(info.k[4]);
  const auto cx = static_cast<float>(info.k[2]), cy = static_cast<float>(info.k[5]);
  const auto row = [&](int v) {
    std::uint8_t* out = cloud.data.data() + std::size_t{cloud.row_step} * static_cast<std::size_t>(v);
    const std::uint8_t* pixel = colour.ptr<std::uint8_t>(v);
    const int channels = colour.channels();
    for (int u = 0; u < depth.cols; ++u, out += kStep, pixel += channels) {
      const float z = depth_at(depth, v, u);
      const float point[3] = {(static_cast<float>(u) - cx) * z / fx, (static_cast<float>(v) - cy) * z / fy,
                              z};
      std::memcpy(out, point, 12);
      const std::uint8_t b = pixel[channels >= 3 && red_first ? 2 : 0];
      const std::uint8_t g = pixel[channels >= 3 ? 1 : 0];
      const std::uint8_t r = pixel[channels >= 3 ? (red_first ? 0 : 2) : 0];
      const std::uint32_t rgb = static_cast<std::uint32_t>(r << 16 | g << 8 | b);
      std::memcpy(out + 16, &rgb, 4);
    }
  };
  if (parallel) {
    tbb::parallel_for(0, depth.rows, row);
  } else {
    for (int v = 0; v < depth.rows; ++v) row(v);
  }
  return cloud;
}

sensor_msgs::LaserScan depth_to_scan(const sensor_msgs::Image& depth_image,
                                     const sensor_msgs::CameraInfo& info, int rows) {
  check_calibration(info);
  const cv::Mat depth = depth_view(depth_image);
  if (rows < 1 || rows > depth.rows)
    throw InvalidInput("scan_height", std::to_string(rows), "1 to the image's height");
  const double fx = info.k[0], cx = info.k[2];
  sensor_msgs::LaserScan scan;
  scan.header = depth_image.header;
  // Angles grow to the left as REP 117 has it: column 0 is the largest.
  const double left = std::atan2(cx, fx), right = std::atan2(cx - (depth.cols - 1), fx);
  scan.angle_min = static_cast<float>(right);
  scan.angle_max = static_cast<float>(left);
  scan.angle_increment = static_cast<float>((left - right) / (depth.cols - 1));
  scan.range_min = 0.1f;
  scan.range_max = 30;
  scan.ranges.assign(static_cast<std::size_t>(depth.cols), INFINITY);
  const int first = (depth.rows - rows) / 2;
  for (int v = first; v < first + rows; ++v) {
    for (int u = 0; u < depth.cols; ++u) {
      const float z = depth_at(depth, v, u);
      if (!std::isfinite(z)) continue;
      const double x = (u - cx) * z / fx;
      const double range = std::hypot(x, z), angle = std::atan2(-x, z);
      const auto bin = std::lround((angle - right) / scan.angle_increment);
      if (bin < 0 || bin >= depth.cols || range < scan.range_min || range > scan.range_max) continue;
      float& best = scan.ranges[static_cast<std::size_t>(bin)];
      best = std::min(best, static_cast<float>(range));
    }
  }
  return scan;
}

std::vector<Corner> harris(const cv::Mat& grey, std::size_t most) {
  if (grey.type() != CV_8UC1) throw InvalidInput("Harris corners need a grey image");
  cv::setNumThreads(1);
  cv::Mat response, dilated;
  cv::cornerHarris(grey, response, 2, 3, 0.04);
  cv::dilate(response, dilated, cv::Mat());
  std::vector<Corner> corners;
  for (int v = 1; v < grey.rows - 1; ++v)
    for (int u = 1; u < grey.cols - 1; ++u) {
      const float value = response.at<float>(v, u);
      if (value > 0 && value == dilated.at<float>(v, u))
        corners.push_back({static_cast<float>(u), static_cast<float>(v), value});
    }
  std::stable_sort(corners.begin(), corners.end(),
                   [](const Corner& a, const Corner& b) { return a.response > b.response; });
  if (corners.size() > most) corners.resize(most);
  return corners;
}

}  // namespace ballast::robot
