#include "ballast/robot/components/vision.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <cmath>
#include <map>
#include <opencv2/calib3d.hpp>
#include <opencv2/imgproc.hpp>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::robot {
namespace {

cv::Matx33d matrix3(const std::array<double, 9>& values) {
  return cv::Matx33d(values.data());
}

/// Runs `work(first_row, end_row)` over the rows: in one piece, or in strips on TBB's threads.
template <typename Work>
void over_rows(int rows, Slot slot, Work work) {
  cv::setNumThreads(slot == Slot::opencv_threads ? -1 : 1);
  if (slot != Slot::tbb) return work(0, rows);
  tbb::parallel_for(tbb::blocked_range<int>(0, rows, 64),
                    [&](const tbb::blocked_range<int>& range) { work(range.begin(), range.end()); });
}

}  // namespace

Slot slot_from_string(const std::string& word) {
  cli::require_one_of("implementation", word, {"reference", "opencv-threads", "tbb"});
  return word == "reference" ? Slot::reference : word == "tbb" ? Slot::tbb : Slot::opencv_threads;
}

int mat_type(const std::string& encoding) {
  static const std::map<std::string, int> types{
      {"mono8", CV_8UC1}, {"8UC1", CV_8UC1},  {"bgr8", CV_8UC3},    {"rgb8", CV_8UC3},   {"8UC3", CV_8UC3},
      {"bgra8", CV_8UC4}, {"rgba8", CV_8UC4}, {"mono16", CV_16UC1}, {"16UC1", CV_16UC1}, {"32FC1", CV_32FC1}};
  const auto found = types.find(encoding);
  if (found == types.end())
    throw InvalidInput("image encoding", encoding,
                       "mono8, bgr8, rgb8, bgra8, rgba8, mono16, 8UC1, 8UC3, 16UC1 or 32FC1");
  return found->second;
}

cv::Mat view(const sensor_msgs::Image& image) {
  const int type = mat_type(image.encoding);
  const std::size_t row = std::size_t{image.width} * CV_ELEM_SIZE(type);
  if (image.width == 0 || image.height == 0 || image.width > 65536 || image.height > 65536 ||
      image.step < row || image.data.size() < std::size_t{image.step} * image.height)
    throw InvalidInput(fmt::format("an image of {}x{} {} with step {} and {} bytes of data", image.width,
                                   image.height, image.encoding, image.step, image.data.size()));
  return cv::Mat(static_cast<int>(image.height), static_cast<int>(image.width), type,
                 const_cast<std::uint8_t*>(image.data.data()), image.step);
}

sensor_msgs::Image blank_image(const std_msgs::Header& header, int width, int height,
                               const std::string& encoding) {
  sensor_msgs::Image image;
  image.header = header;
  image.width = static_cast<std::uint32_t>(width);
  image.height = static_cast<std::uint32_t>(height);
  image.encoding = encoding;
  image.step = image.width * static_cast<std::uint32_t>(CV_ELEM_SIZE(mat_type(encoding)));
  image.data.resize(std::size_t{image.step} * image.height);
  return image;
}

void check_calibration(const sensor_msgs::CameraInfo& info) {
  if (info.k[0] == 0)
    throw InvalidInput(
        fmt::format("the camera info of frame '{}' has no calibration (k[0] is 0)", info.header.frame_id));
  const bool plumb_bob = info.distortion_model == "plumb_bob" || info.distortion_model.empty();
  const bool rational = info.distortion_model == "rational_polynomial";
  if (!plumb_bob && !rational)
    throw InvalidInput("distortion model", info.distortion_model, "plumb_bob or rational_polynomial");
  if (!info.d.empty() && info.d.size() != 5 && info.d.size() != 4 && info.d.size() != 8)
    throw InvalidInput("distortion coefficients", std::to_string(info.d.size()), "0, 4, 5 or 8 of them");
}

Rectifier::Rectifier(const sensor_msgs::CameraInfo& info, double scale_x, double scale_y) {
  check_calibration(info);
  size_ = cv::Size(static_cast<int>(std::lround(info.width * scale_x)),
                   static_cast<int>(std::lround(info.height * scale_y)));
  const bool plain = std::all_of(info.d.begin(), info.d.end(), [](double value) { return value == 0; });
  const cv::Matx33d k = matrix3(info.k), r = matrix3(info.r);
  cv::Matx33d p(info.p[0], info.p[1], info.p[2], info.p[4], info.p[5], info.p[6], info.p[8], info.p[9],
                info.p[10]);
  identity_ = plain && k == p && r == cv::Matx33d::eye() && scale_x == 1 && scale_y == 1;
  if (identity_) return;
  p(0, 0) *= scale_x;
  p(0, 2) = (p(0, 2) + 0.5) * scale_x - 0.5;
  p(1, 1) *= scale_y;
  p(1, 2) = (p(1, 2) + 0.5) * scale_y - 0.5;
  cv::setNumThreads(1);
  cv::initUndistortRectifyMap(k, info.d.empty() ? cv::Mat() : cv::Mat(info.d), r, p, size_, CV_16SC2, map1_,
                              map2_);
}

void Rectifier::apply(const cv::Mat& in, cv::Mat& out, Slot slot) const {
  if (identity_) {
    in.copyTo(out);
    return;
  }
  out.create(size_, in.type());
  over_rows(size_.height, slot, [&](int first, int end) {
    cv::Mat strip = out.rowRange(first, end);
    cv::remap(in, strip, map1_.rowRange(first, end), map2_.rowRange(first, end), cv::INTER_LINEAR,
              cv::BORDER_CONSTANT);
  });
}

bool same_calibration(const sensor_msgs::CameraInfo& a, const sensor_msgs::CameraInfo& b) {
  return a.width == b.width && a.height == b.height && a.k == b.k && a.d == b.d && a.r == b.r && a.p == b.p &&
         a.distortion_model == b.distortion_model;
}

void resize(const cv::Mat& in, cv::Mat& out, double scale_x, double scale_y, Slot slot) {
  const cv::Size size(static_cast<int>(std::lround(in.cols * scale_x)),
                      static_cast<int>(std::lround(in.rows * scale_y)));
  out.create(size, in.type());
  const int whole = static_cast<int>(std::lround(scale_y));
  // A strip's result equals the whole image's only where a row of output depends on rows of the strip: with
  // an integer factor f, output rows [f a, f b) need input rows [a - 1, b]. OpenCV clamps at a strip's
  // border, so a strip is computed with one more input row on both sides and those output rows are thrown
  // away.
  if (slot != Slot::tbb || whole < 1 || static_cast<double>(whole) != scale_y) {
    over_rows(in.rows, slot == Slot::tbb ? Slot::reference : slot,
              [&](int, int) { cv::resize(in, out, size, 0, 0, cv::INTER_LINEAR); });
    return;
  }
  over_rows(in.rows, slot, [&](int first, int end) {
    const int above = first > 0 ? 1 : 0, below = end < in.rows ? 1 : 0;
    cv::Mat wide;
    cv::resize(in.rowRange(first - above, end + below), wide,
               cv::Size(size.width, (end - first + above + below) * whole), 0, 0, cv::INTER_LINEAR);
    wide.rowRange(above * whole, wide.rows - below * whole).copyTo(out.rowRange(first * whole, end * whole));
  });
}

sensor_msgs::CameraInfo scaled(const sensor_msgs::CameraInfo& info, double scale_x, double scale_y) {
  sensor_msgs::CameraInfo result = info;
  result.width = static_cast<std::uint32_t>(std::lround(info.width * scale_x));
  result.height = static_cast<std::uint32_t>(std::lround(info.height * scale_y));
  result.k[0] *= scale_x;
  result.k[2] *= scale_x;
  result.k[4] *= scale_y;
  result.k[5] *= scale_y;
  for (const int i : {0, 2, 3}) result.p[static_cast<std::size_t>(i)] *= scale_x;
  for (const int i : {5, 6}) result.p[static_cast<std::size_t>(i)] *= scale_y;
  return result;
}

cv::Point2d distorted_point(const sensor_msgs::CameraInfo& info, double u, double v) {
  // Ray of the rectified camera, turned back by R, then the distortion polynomial (OpenCV's documentation of
  // calib3d, "Detailed description").
  const double x_rect = (u - info.p[2]) / info.p[0], y_rect = (v - info.p[6]) / info.p[5];
  const cv::Vec3d ray = matrix3(info.r).t() * cv::Vec3d(x_rect, y_rect, 1);
  const double x = ray[0] / ray[2], y = ray[1] / ray[2], r2 = x * x + y * y;
  std::array<double, 8> d{};
  std::copy_n(info.d.begin(), std::min<std::size_t>(info.d.size(), 8), d.begin());
  const double radial =
      (1 + r2 * (d[0] + r2 * (d[1] + r2 * d[4]))) / (1 + r2 * (d[5] + r2 * (d[6] + r2 * d[7])));
  const double xd = x * radial + 2 * d[2] * x * y + d[3] * (r2 + 2 * x * x);
  const double yd = y * radial + d[2] * (r2 + 2 * y * y) + 2 * d[3] * x * y;
  return {info.k[0] * xd + info.k[2], info.k[4] * yd + info.k[5]};
}

double rectified_pixel(const cv::Mat& in, const sensor_msgs::CameraInfo& info, double u, double v,
                       int channel) {
  const cv::Point2d at = distorted_point(info, u, v);
  const double left = std::floor(at.x), top = std::floor(at.y);
  if (left < 0 || top < 0 || left + 1 >= in.cols || top + 1 >= in.rows) return std::nan("");
  const double fx = at.x - left, fy = at.y - top;
  const auto pixel = [&](int x, int y) {
    return static_cast<double>(in.ptr<std::uint8_t>(y)[x * in.channels() + channel]);
  };
  const int x = static_cast<int>(left), y = static_cast<int>(top);
  return (1 - fy) * ((1 - fx) * pixel(x, y) + fx * pixel(x + 1, y)) +
         fy * ((1 - fx) * pixel(x, y + 1) + fx * pixel(x + 1, y + 1));
}

}  // namespace ballast::robot
