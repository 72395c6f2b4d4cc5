#include "ballast/robot/benchmarks/rgbd_sequence.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/data/datasets.h"
#include "ballast/robot/benchmarks/images.h"

namespace ballast::robot {
namespace {

constexpr int kTile = 512;
constexpr double kPixelsPerMetre = 90;

/// Blobs of several sizes, 0..255, without a seam where it repeats.
cv::Mat wall_texture(std::uint64_t seed) {
  Random random(seed, 0xb1);
  cv::Mat sum(kTile, kTile, CV_32FC1, cv::Scalar(0));
  for (const int blur : {3, 9, 27}) {
    cv::Mat noise(kTile, kTile, CV_32FC1), wide, soft;
    for (int v = 0; v < kTile; ++v)
      for (int u = 0; u < kTile; ++u) noise.at<float>(v, u) = static_cast<float>(random.uniform(-1, 1));
    cv::copyMakeBorder(noise, wide, 64, 64, 64, 64, cv::BORDER_WRAP);
    cv::GaussianBlur(wide, soft, {0, 0}, blur / 2.0);
    cv::Mat cut = soft(cv::Rect(64, 64, kTile, kTile)).clone();
    cv::Scalar mean, deviation;
    cv::meanStdDev(cut, mean, deviation);
    sum += cut / deviation[0];
  }
  cv::Mat texture;
  sum.convertTo(texture, CV_32FC1, 30, 128);
  return texture;
}

float texel(const cv::Mat& texture, double a, double b) {
  const double x = a * kPixelsPerMetre, y = b * kPixelsPerMetre;
  const double fx = std::floor(x), fy = std::floor(y);
  const auto wrap = [](double value) { return static_cast<int>(static_cast<long>(value) & (kTile - 1)); };
  const int u = wrap(fx), v = wrap(fy), u1 = (u + 1) & (kTile - 1), v1 = (v + 1) & (kTile - 1);
  const auto wx = static_cast<float>(x - fx), wy = static_cast<float>(y - fy);
  return (1 - wy) * ((1 - wx) * texture.at<float>(v, u) + wx * texture.at<float>(v, u1)) +
         wy * ((1 - wx) * texture.at<float>(v1, u) + wx * texture.at<float>(v1, u1));
}

double path_length(const std::vector<Transform3>& poses) {
  double sum = 0;
  for (std::size_t i = 1; i < poses.size(); ++i) sum += distance(poses[i - 1], poses[i])[0];
  return sum;
}

}  // namespace

RgbdSequence generated_rgbd_loop(int width, int height, int frames, std::uint64_t seed) {
  RgbdSequence sequence;
  sequence.info = generated_camera(width, height);
  sequence.info.d.assign(5, 0);
  const double fx = sequence.info.k[0], fy = sequence.info.k[4], cx = sequence.info.k[2],
               cy = sequence.info.k[5];
  const cv::Mat texture = wall_texture(seed);
  const double half[3] = {3, 1.5, 3};
  for (int i = 0; i < frames; ++i) {
    const double turn = 2 * CV_PI * i / frames, yaw = 0.15 * std::sin(turn), c = std::cos(yaw),
                 s = std::sin(yaw);
    const double at[3] = {0.5 * std::cos(turn), 0.05 * std::sin(2 * turn), 0.5 * std::sin(turn)};
    sequence.poses.push_back({{c, 0, s, 0, 1, 0, -s, 0, c}, {at[0], at[1], at[2]}});
    cv::Mat grey(height, width, CV_8UC1), depth(height, width, CV_32FC1);
    for (int v = 0; v < height; ++v) {
      for (int u = 0; u < width; ++u) {
        const double x = (u - cx) / fx, y = (v - cy) / fy;
        const double ray[3] = {c * x + s, y, -s * x + c};
        // From inside a box: the nearest wall ahead on any axis.
        double t = std::numeric_limits<double>::infinity();
        int axis = 0;
        for (int k = 0; k < 3; ++k) {
          if (ray[k] == 0) continue;
          const double hit = ((ray[k] > 0 ? half[k] : -half[k]) - at[k]) / ray[k];
          if (hit < t) {
            t = hit;
            axis = k;
          }
        }
        const double p[3] = {at[0] + t * ray[0], at[1] + t * ray[1], at[2] + t * ray[2]};
        const double side = ray[axis] > 0 ? 1.7 : 3.1;  // each wall its own part of the tile
        const float value =
            texel(texture, p[(axis + 1) % 3] + 10 + side * (axis + 1), p[(axis + 2) % 3] + 10);
        grey.at<std::uint8_t>(v, u) = cv::saturate_cast<std::uint8_t>(value);
        depth.at<float>(v, u) = static_cast<float>(t);  // rays have z = 1
      }
    }
    sequence.grey.push_back(std::move(grey));
    sequence.depth.push_back(std::move(depth));
  }
  sequence.path_m = path_length(sequence.poses);
  sequence.description =
      fmt::format("{} generated frames {}x{} of a loop in a room (seed {})", frames, width, height, seed);
  sequence.synthetic = true;
  return sequence;
}

RgbdSequence castle_sequence() {
  RgbdSequence sequence;
  const std::string folder = data::try_dataset("castle-rgbd");
  if (folder.empty()) return sequence;
  const double f = 700, cx = 320, cy = 240, baseline = 0.05;
  sequence.info = generated_camera(640, 480);
  sequence.info.d.assign(5, 0);
  sequence.info.k = {f, 0, cx, 0, f, cy, 0, 0, 1};
  sequence.info.p = {f, 0, cx, 0, 0, f, cy, 0, 0, 0, 1, 0};
  for (int i = 1; i <= 40; ++i) {
    const std::string depth_file = fmt::format("{}/Depth/Depth_{:04}.bin", folder, i);
    const std::string raw = read_file(depth_file);
    std::uint32_t size[2] = {0, 0};
    if (raw.size() >= 8) std::memcpy(size, raw.data(), 8);
    if (size[0] != 480 || size[1] != 640 || raw.size() != 8 + 2 * std::size_t{480} * 640)
      throw InvalidInput(depth_file + " is no 640x480 depth frame");
    // Into the grey camera, in whose frame every point lies 5 cm to the right; the nearest point wins.
    cv::Mat depth(480, 640, CV_32FC1, cv::Scalar(0));
    for (int v = 0; v < 480; ++v)
      for (int u = 0; u < 640; ++u) {
        std::uint16_t value;
        std::memcpy(&value,
                    raw.data() + 8 + 2 * (static_cast<std::size_t>(v) * 640 + static_cast<std::size_t>(u)),
                    2);
        if (value == 0) continue;
        const double z = value * (2.0 / 65536.0);
        const int moved = static_cast<int>(std::lround(u + f * baseline / z));
        if (moved < 0 || moved >= 640) continue;
        float& best = depth.at<float>(v, moved);
        if (best == 0 || static_cast<float>(z) < best) best = static_cast<float>(z);
      }
    sequence.depth.push_back(std::move(depth));
    sequence.grey.push_back(
        cv::imread(fmt::format("{}/Images/Image_{:04}.pgm", folder, i), cv::IMREAD_GRAYSCALE));
    const std::string pose_file = fmt::format("{}/CameraPose/Camera_{:03}.txt", folder, i);
    std::ifstream in(pose_file);
    double m[16];
    for (double& value : m)
      if (!(in >> value)) throw InvalidInput(pose_file + " is no 4x4 matrix");
    // Camera from object: its inverse is the camera in the object's frame.
    Transform3 pose;
    for (std::size_t r = 0; r < 3; ++r)
      for (std::size_t c = 0; c < 3; ++c) {
        pose.rotation[3 * r + c] = m[4 * c + r];
        pose.position[r] -= m[4 * c + r] * m[4 * c + 3];
      }
    sequence.poses.push_back(pose);
  }
  sequence.path_m = path_length(sequence.poses);
  sequence.description = "40 grey and depth frames 640x480 of the castle with true poses (visp-images-data)";
  return sequence;
}

}  // namespace ballast::robot
