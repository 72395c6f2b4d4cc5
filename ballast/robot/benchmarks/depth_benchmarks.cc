// a3 stereo_image_proc, a4 depth_image_proc, a6 harris, a7 depth_to_laserscan, b3 apriltag.
#include <apriltag/apriltag.h>
#include <apriltag/tag36h11.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/data/datasets.h"
#include "ballast/data/npy.h"
#include "ballast/robot/benchmarks/benchmark.h"
#include "ballast/robot/benchmarks/images.h"
#include "ballast/robot/components/depth.h"

namespace ballast::robot {
namespace {

using ros::deserialize;
using ros::serialize;

TopicSpec image_at(const std::string& name) {
  return {.topic = name, .type = "sensor_msgs/msg/Image"};
}
TopicSpec info_at(const std::string& name) {
  return {.topic = name, .type = "sensor_msgs/msg/CameraInfo"};
}

/// A pair and its true disparity of the left image; NaN where unknown.
struct StereoPair {
  cv::Mat left, right, truth;
  sensor_msgs::CameraInfo right_info;
  std::string description;
  bool synthetic = false;
};

/// Brightness on a lattice of random values, 3 pixels apart, bilinear between them: texture that matches
/// sharply.
double noise(std::uint64_t seed, double u, double v) {
  const double x = u / 3, y = v / 3;
  const auto left = static_cast<std::int64_t>(std::floor(x)), top = static_cast<std::int64_t>(std::floor(y));
  const auto value = [&](std::int64_t i, std::int64_t k) {
    return static_cast<double>(
        philox(seed, static_cast<std::uint64_t>(i + 100000), static_cast<std::uint64_t>(k))[0] >> 24);
  };
  const double fx = x - static_cast<double>(left), fy = y - static_cast<double>(top);
  return (1 - fy) * ((1 - fx) * value(left, top) + fx * value(left + 1, top)) +
         fy * ((1 - fx) * value(left, top + 1) + fx * value(left + 1, top + 1));
}

/// A slanted plane: disparity grows from 8 at the top to 28 at the bottom row.
StereoPair generated_pair(int width, int height, std::uint64_t seed) {
  StereoPair pair;
  pair.left.create(height, width, CV_8UC1);
  pair.right.create(height, width, CV_8UC1);
  pair.truth.create(height, width, CV_32FC1);
  for (int v = 0; v < height; ++v) {
    const double d = 8 + 20.0 * v / height;
    for (int u = 0; u < width; ++u) {
      pair.left.at<std::uint8_t>(v, u) = cv::saturate_cast<std::uint8_t>(noise(seed, u, v));
      pair.right.at<std::uint8_t>(v, u) = cv::saturate_cast<std::uint8_t>(noise(seed, u + d, v));
      pair.truth.at<float>(v, u) = static_cast<float>(d);
    }
  }
  pair.right_info = generated_camera(width, height);
  pair.right_info.p[3] = -pair.right_info.p[0] * 0.12;
  pair.description =
      fmt::format("a generated stereo pair {}x{} with exact disparity (seed {})", width, height, seed);
  pair.synthetic = true;
  return pair;
}

StereoPair stereo_pair(Size size, std::uint64_t seed) {
  const std::string folder = size == Size::bench ? data::try_dataset("stereo-motorcycle") : "";
  if (folder.empty())
    return size == Size::bench ? generated_pair(640, 480, seed) : generated_pair(320, 240, seed);
  StereoPair pair;
  pair.left = cv::imread(folder + "/motorcycle_left.png", cv::IMREAD_GRAYSCALE);
  pair.right = cv::imread(folder + "/motorcycle_right.png", cv::IMREAD_GRAYSCALE);
  const auto arrays = data::read_npz(folder + "/motorcycle_disp.npz");
  const auto& truth = arrays.at("arr_0");
  pair.truth.create(pair.left.rows, pair.left.cols, CV_32FC1);
  const auto values = truth.as<float>();
  for (std::size_t i = 0; i < values.size(); ++i)
    pair.truth.ptr<float>(0)[i] = std::isfinite(values[i]) ? values[i] : std::nanf("");
  pair.right_info = generated_camera(pair.left.cols, pair.left.rows);
  const double f = 994.978;
  pair.right_info.p = {f, 0, 311.193 + 31.086, -f * 0.193001, 0, f, 254.877, 0, 0, 0, 1, 0};
  pair.right_info.k = {f, 0, 311.193 + 31.086, 0, f, 254.877, 0, 0, 1};
  pair.description = "the Middlebury motorcycle pair 741x500 with true disparity (scikit-image)";
  return pair;
}

Input stereo_input(Size size, std::uint64_t seed) {
  const auto pair = stereo_pair(size, seed);
  return {.streams = {{.topic = info_at("/right/camera_info"), .messages = {serialize(pair.right_info)}},
                      {.topic = image_at("/left/image_rect"),
                       .messages = {serialize(to_image(pair.left, "mono8", "left"))}},
                      {.topic = image_at("/right/image_rect"),
                       .messages = {serialize(to_image(pair.right, "mono8", "left"))}}},
          .description = pair.description,
          .synthetic = pair.synthetic,
          .truth = {serialize(to_image(pair.truth, "32FC1", "left"))}};
}

Check stereo_check(const Input& input, const std::vector<ros::Bytes>& outputs, double least_valid) {
  const auto truth_image = deserialize<sensor_msgs::Image>(input.truth.at(0));
  const cv::Mat true_disparity = view(truth_image);
  Check check{.passed = !outputs.empty(),
              .what = "share of valid pixels off by over 2, worst of the outputs",
              .limit = 0.10};
  for (const auto& bytes : outputs) {
    const auto message = deserialize<stereo_msgs::DisparityImage>(bytes);
    const cv::Mat result = view(message.image);
    std::size_t known = 0, valid = 0, bad = 0;
    for (int v = 0; v < result.rows; ++v) {
      for (int u = 0; u < result.cols; ++u) {
        const float truth = true_disparity.at<float>(v, u), found = result.at<float>(v, u);
        if (!std::isfinite(truth)) continue;
        ++known;
        if (found < 0) continue;
        ++valid;
        bad += std::abs(found - truth) > 2;
      }
    }
    check.value =
        std::max(check.value, valid == 0 ? 1.0 : static_cast<double>(bad) / static_cast<double>(valid));
    if (static_cast<double>(valid) < least_valid * static_cast<double>(known)) {
      check.what = fmt::format("share of valid pixels (at least {} needed)", least_valid);
      check.value = static_cast<double>(valid) / static_cast<double>(known);
      check.passed = false;
      return check;
    }
  }
  check.passed = check.passed && check.value <= check.limit;
  return check;
}

/// Frames of depth (32FC1, metres) with a grey picture as colour.
struct DepthFrames {
  std::vector<sensor_msgs::Image> depth, colour;
  sensor_msgs::CameraInfo info;
  std::string description;
  bool synthetic = false;
};

DepthFrames depth_frames(Size size, std::uint64_t seed) {
  DepthFrames frames;
  const std::string folder = size == Size::bench ? data::try_dataset("castle-rgbd") : "";
  if (folder.empty()) {
    const int width = size == Size::bench ? 640 : 320, height = size == Size::bench ? 480 : 240;
    frames.info = generated_camera(width, height);
    frames.info.d.assign(5, 0);
    for (int i = 0; i < 5; ++i) {
      cv::Mat depth(height, width, CV_32FC1), colour(height, width, CV_8UC3);
      for (int v = 0; v < height; ++v)
        for (int u = 0; u < width; ++u) {
          depth.at<float>(v, u) =
              (u + v) % 17 == 0 ? 0.0f : static_cast<float>(1.5 + 0.002 * u + 0.1 * std::sin(0.05 * v + i));
          const auto grey = cv::saturate_cast<std::uint8_t>(plane_brightness(seed, i, u, v));
          colour.at<cv::Vec3b>(v, u) = {grey, static_cast<std::uint8_t>(255 - grey), grey};
        }
      frames.depth.push_back(to_image(depth, "32FC1", "camera"));
      frames.colour.push_back(to_image(colour, "bgr8", "camera"));
    }
    frames.description =
        fmt::format("5 generated depth and colour frames {}x{} (seed {})", width, height, seed);
    frames.synthetic = true;
    return frames;
  }
  frames.info = generated_camera(640, 480);
  frames.info.d.assign(5, 0);
  frames.info.k = {700, 0, 320, 0, 700, 240, 0, 0, 1};
  frames.info.p = {700, 0, 320, 0, 0, 700, 240, 0, 0, 0, 1, 0};
  for (int i = 1; i <= 40; ++i) {
    const std::string raw = read_file(fmt::format("{}/Depth/Depth_{:04}.bin", folder, i));
    std::uint32_t height, width;
    if (raw.size() < 8) throw InvalidInput(folder + ": a depth file without its head");
    std::memcpy(&height, raw.data(), 4);
    std::memcpy(&width, raw.data() + 4, 4);
    if (height != 480 || width != 640 || raw.size() != 8 + 2 * std::size_t{height} * width)
      throw InvalidInput(fmt::format("{}/Depth/Depth_{:04}.bin is no 640x480 depth frame", folder, i));
    cv::Mat depth(480, 640, CV_32FC1);
    for (std::size_t k = 0; k < std::size_t{height} * width; ++k) {
      std::uint16_t value;
      std::memcpy(&value, raw.data() + 8 + 2 * k, 2);
      depth.ptr<float>(0)[k] = static_cast<float>(value) * (2.0f / 65536.0f);  // 0: nothing there
    }
    cv::Mat colour;
    cv::cvtColor(cv::imread(fmt::format("{}/Images/Image_{:04}.pgm", folder, i), cv::IMREAD_GRAYSCALE),
                 colour, cv::COLOR_GRAY2BGR);
    frames.depth.push_back(to_image(depth, "32FC1", "camera"));
    frames.colour.push_back(to_image(colour, "bgr8", "camera"));
  }
  frames.description = "40 depth and grey frames 640x480 of the castle (visp-images-data, simulated camera)";
  return frames;
}

Input depth_input(Size size, std::uint64_t seed, bool with_colour) {
  const auto frames = depth_frames(size, seed);
  Input input{.streams = {}, .description = frames.description, .synthetic = frames.synthetic};
  Stream info{.topic = info_at("/camera_info"), .messages = {}},
      depth{.topic = image_at("/depth"), .messages = {}},
      colour{.topic = image_at("/colour"), .messages = {}};
  for (std::size_t i = 0; i < frames.depth.size(); ++i) {
    info.messages.push_back(serialize(frames.info));
    depth.messages.push_back(serialize(frames.depth[i]));
    colour.messages.push_back(serialize(frames.colour[i]));
  }
  input.streams.push_back(std::move(info));
  if (with_colour) input.streams.push_back(std::move(colour));
  input.streams.push_back(std::move(depth));
  return input;
}

/// Every point must project back to its own pixel and depth, and be there exactly where there is depth.
Check cloud_check(const Input& input, const std::vector<ros::Bytes>& outputs,
                  const std::vector<std::size_t>& frames) {
  Check check{
      .passed = !outputs.empty(), .what = "largest reprojection error of a point, pixels", .limit = 1e-3};
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const auto info = deserialize<sensor_msgs::CameraInfo>(input.streams[0].messages[frames[k]]);
    const auto depth = deserialize<sensor_msgs::Image>(input.streams[2].messages[frames[k]]);
    const auto cloud = deserialize<sensor_msgs::PointCloud2>(outputs[k]);
    const cv::Mat z = view(depth);
    if (cloud.width != depth.width || cloud.height != depth.height || cloud.point_step != 32)
      return {.what = "the cloud's size", .limit = 0};
    for (std::uint32_t v = 0; v < cloud.height; ++v) {
      for (std::uint32_t u = 0; u < cloud.width; ++u) {
        float point[3];
        std::memcpy(point, cloud.data.data() + std::size_t{cloud.row_step} * v + std::size_t{32} * u, 12);
        const float expected = z.at<float>(static_cast<int>(v), static_cast<int>(u));
        if (expected <= 0) {
          if (!std::isnan(point[2])) check.value = 1e9;
          continue;
        }
        const double back_u = point[0] * info.k[0] / point[2] + info.k[2],
                     back_v = point[1] * info.k[4] / point[2] + info.k[5];
        check.value = std::max({check.value, std::abs(back_u - u), std::abs(back_v - v),
                                std::abs(static_cast<double>(point[2] - expected)) * 1e3});
      }
    }
  }
  check.passed = check.passed && check.value <= check.limit;
  return check;
}

/// Ranges against the smallest range by brute force over the pixels of each bin.
Check scan_check(const Input& input, const std::vector<ros::Bytes>& outputs,
                 const std::vector<std::size_t>& frames) {
  Check check{.passed = !outputs.empty(), .what = "largest difference of a range, m", .limit = 1e-4};
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const auto info = deserialize<sensor_msgs::CameraInfo>(input.streams[0].messages[frames[k]]);
    const auto depth = deserialize<sensor_msgs::Image>(input.streams[1].messages[frames[k]]);
    const auto scan = deserialize<sensor_msgs::LaserScan>(outputs[k]);
    const cv::Mat z = view(depth);
    const int row = (z.rows - 1) / 2;
    std::vector<double> best(scan.ranges.size(), INFINITY);
    for (int u = 0; u < z.cols; ++u) {
      const double d = z.at<float>(row, u);
      if (d <= 0) continue;
      const double x = (u - info.k[2]) * d / info.k[0], range = std::sqrt(x * x + d * d);
      if (range < 0.1 || range > 30) continue;
      const auto bin = std::lround((std::atan2(-x, d) - scan.angle_min) / scan.angle_increment);
      if (bin >= 0 && bin < static_cast<long>(best.size()))
        best[static_cast<std::size_t>(bin)] = std::min(best[static_cast<std::size_t>(bin)], range);
    }
    for (std::size_t i = 0; i < best.size(); ++i) {
      const bool none = std::isinf(best[i]);
      if (none != std::isinf(scan.ranges[i])) check.value = 1e9;
      if (!none) check.value = std::max(check.value, std::abs(best[i] - static_cast<double>(scan.ranges[i])));
    }
  }
  check.passed = check.passed && check.value <= check.limit;
  return check;
}

/// Tags in a picture and their true corners.
struct TagScene {
  cv::Mat image;
  std::vector<std::array<cv::Point2d, 4>> corners;
  std::string description;
  bool synthetic = false;
};

TagScene tag_scene(Size size) {
  TagScene scene;
  const std::string folder = size == Size::bench ? data::try_dataset("apriltag-images") : "";
  if (!folder.empty()) {
    cv::Mat rgba = cv::imread(folder + "/640x480/tag36_11_640x480.png", cv::IMREAD_GRAYSCALE);
    scene.image = rgba;
    for (int tag = 0; tag < 5; ++tag) {
      std::ifstream file(fmt::format("{}/640x480/cMo_{}.txt", folder, tag));
      std::array<double, 16> pose;
      for (double& value : pose) file >> value;
      const double half = (tag < 3 ? 0.2 : 0.1) / 2;
      std::array<cv::Point2d, 4> corners;
      const double signs[4][2] = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}};
      for (std::size_t i = 0; i < 4; ++i) {
        const double x = signs[i][0] * half, y = signs[i][1] * half;
        const double cx = pose[0] * x + pose[1] * y + pose[3], cy = pose[4] * x + pose[5] * y + pose[7],
                     cz = pose[8] * x + pose[9] * y + pose[11];
        corners[i] = {700 * cx / cz + 320, 700 * cy / cz + 240};
      }
      scene.corners.push_back(corners);
    }
    scene.description = "5 tags 36h11 in 640x480 with true poses (visp-images-data)";
    return scene;
  }
  const int scale = size == Size::bench ? 20 : 12;
  apriltag_family_t* family = tag36h11_create();
  image_u8_t* tag = apriltag_to_image(family, 7);
  cv::Mat small(tag->height, tag->width, CV_8UC1, tag->buf, static_cast<std::size_t>(tag->stride));
  const int border = family->width_at_border, total = family->total_width;
  cv::Mat large;
  cv::resize(small, large, cv::Size(total * scale, total * scale), 0, 0, cv::INTER_NEAREST);
  scene.image =
      cv::Mat(size == Size::bench ? 480 : 240, size == Size::bench ? 640 : 320, CV_8UC1, cv::Scalar(255));
  const int x = 40, y = 20;
  large.copyTo(scene.image(cv::Rect(x, y, large.cols, large.rows)));
  cv::GaussianBlur(scene.image, scene.image, cv::Size(3, 3), 0.8);
  const double low = (total - border) / 2.0 * scale, high = low + border * scale;
  scene.corners.push_back(
      {cv::Point2d{x + low, y + low}, {x + high, y + low}, {x + high, y + high}, {x + low, y + high}});
  std::free(tag->buf);
  std::free(tag);
  tag36h11_destroy(family);
  scene.description = "one generated tag 36h11";
  scene.synthetic = true;
  return scene;
}

Check tag_check(const Input& input, const std::vector<ros::Bytes>& outputs) {
  const auto corners = deserialize<std_msgs::Float64MultiArray>(input.truth.at(0)).data;  // x, y, x, y, ...
  Check check{.passed = !outputs.empty(),
              .what = "largest distance of a true corner to the nearest detected one, pixels",
              .limit = input.synthetic ? 1.0 : 0.5};
  for (const auto& bytes : outputs) {
    const auto found = deserialize<apriltag_msgs::AprilTagDetectionArray>(bytes);
    for (std::size_t i = 0; i + 1 < corners.size(); i += 2) {
      double nearest = 1e9;
      for (const auto& detection : found.detections)
        for (const auto& at : detection.corners)
          nearest = std::min(nearest, std::hypot(at.x - corners[i], at.y - corners[i + 1]));
      check.value = std::max(check.value, nearest);
    }
  }
  check.passed = check.passed && check.value <= check.limit;
  return check;
}

GraphSpec graph_of(const std::string& id, std::vector<TopicSpec> inputs, TopicSpec output, NodeSpec node) {
  GraphSpec graph;
  graph.id = id;
  graph.inputs = std::move(inputs);
  graph.outputs = {std::move(output)};
  graph.nodes = {std::move(node)};
  return graph;
}

}  // namespace

std::vector<Benchmark> depth_benchmarks() {
  std::vector<Benchmark> list;
  list.push_back(
      {.id = "a3",
       .name = "stereo_image_proc",
       .category = "perception",
       .what = "disparity of a rectified pair",
       .rates_hz = {30},
       .slots = {"bm", "sgbm", "tbb"},
       .graph =
           [](const std::string& slot) {
             return graph_of(
                 "a3",
                 {info_at("/right/camera_info"), image_at("/left/image_rect"), image_at("/right/image_rect")},
                 {.topic = "/disparity", .type = "stereo_msgs/msg/DisparityImage"},
                 {.name = "/disparity_node",
                  .component = "ballast::components::Disparity",
                  .remap = {{"right/camera_info", "/right/camera_info"},
                            {"left/image_rect", "/left/image_rect"},
                            {"right/image_rect", "/right/image_rect"},
                            {"disparity", "/disparity"}},
                  .params = {{"matcher", slot == "sgbm" ? "sgbm" : "bm"},
                             {"strips", slot == "tbb" ? 4 : 1}}});
           },
       .input = stereo_input,
       .check =
           [](const Input& input, const std::string& slot, const auto& outputs, const auto&) {
             // The first columns of a generated pair have no match: disparities reach 64.
             return stereo_check(input, outputs, input.synthetic ? 0.5 : slot == "sgbm" ? 0.8 : 0.7);
           }});
  list.push_back({.id = "a4",
                  .name = "depth_image_proc",
                  .category = "perception",
                  .what = "xyz + rgb cloud from depth and colour",
                  .rates_hz = {30},
                  .slots = {"reference", "tbb"},
                  .graph =
                      [](const std::string& slot) {
                        return graph_of("a4",
                                        {info_at("/camera_info"), image_at("/colour"), image_at("/depth")},
                                        {.topic = "/points", .type = "sensor_msgs/msg/PointCloud2"},
                                        {.name = "/point_cloud",
                                         .component = "ballast::components::PointCloud",
                                         .remap = {{"camera_info", "/camera_info"},
                                                   {"colour", "/colour"},
                                                   {"depth", "/depth"},
                                                   {"points", "/points"}},
                                         .params = {{"parallel", slot == "tbb"}}});
                      },
                  .input = [](Size size, std::uint64_t seed) { return depth_input(size, seed, true); },
                  .check = [](const Input& input, const std::string&, const auto& outputs,
                              const auto& frames) { return cloud_check(input, outputs, frames); }});
  list.push_back(
      {.id = "a7",
       .name = "depth_to_laserscan",
       .category = "perception",
       .what = "laser scan from the middle row of depth",
       .rates_hz = {30},
       .slots = {"reference"},
       .graph =
           [](const std::string&) {
             return graph_of(
                 "a7", {info_at("/camera_info"), image_at("/depth")},
                 {.topic = "/scan", .type = "sensor_msgs/msg/LaserScan"},
                 {.name = "/depth_to_scan",
                  .component = "ballast::components::DepthToScan",
                  .remap = {{"camera_info", "/camera_info"}, {"depth", "/depth"}, {"scan", "/scan"}}});
           },
       .input = [](Size size, std::uint64_t seed) { return depth_input(size, seed, false); },
       .check = [](const Input& input, const std::string&, const auto& outputs,
                   const auto& frames) { return scan_check(input, outputs, frames); }});
  list.push_back(
      {.id = "a6",
       .name = "harris",
       .category = "perception",
       .what = "the 500 strongest Harris corners",
       .rates_hz = {30},
       .slots = {"reference"},
       .graph =
           [](const std::string&) {
             return graph_of("a6", {image_at("/image")},
                             {.topic = "/corners", .type = "sensor_msgs/msg/PointCloud2"},
                             {.name = "/harris",
                              .component = "ballast::components::Harris",
                              .remap = {{"image", "/image"}, {"corners", "/corners"}}});
           },
       .input =
           [](Size, std::uint64_t seed) {
             // A chessboard of 32 pixels a field: its inner corners are known.
             cv::Mat board(240, 320, CV_8UC1);
             for (int v = 0; v < board.rows; ++v)
               for (int u = 0; u < board.cols; ++u)
                 board.at<std::uint8_t>(v, u) = (u / 32 + v / 32) % 2 == 0 ? 30 : 220;
             return Input{.streams = {{.topic = image_at("/image"),
                                       .messages = {serialize(to_image(board, "mono8", "camera"))}}},
                          .description = fmt::format("a generated chessboard 320x240 (seed {})", seed),
                          .synthetic = true};
           },
       .check =
           [](const Input&, const std::string&, const auto& outputs, const auto&) {
             Check check{.passed = !outputs.empty(),
                         .what = "largest distance of a field corner to the nearest found one, pixels",
                         .limit = 1.5};
             for (const auto& bytes : outputs) {
               const auto cloud = deserialize<sensor_msgs::PointCloud2>(bytes);
               for (int y = 32; y < 224; y += 32)
                 for (int x = 32; x < 320; x += 32) {
                   double nearest = 1e9;
                   for (std::size_t i = 0; i < cloud.width; ++i) {
                     float at[2];
                     std::memcpy(at, cloud.data.data() + i * cloud.point_step, 8);
                     nearest = std::min(nearest, std::hypot(at[0] - (x - 0.5), at[1] - (y - 0.5)));
                   }
                   check.value = std::max(check.value, nearest);
                 }
             }
             check.passed = check.passed && check.value <= check.limit;
             return check;
           }});
  list.push_back(
      {.id = "b3",
       .name = "apriltag_detection",
       .category = "localization",
       .what = "AprilTag 36h11 detection",
       .rates_hz = {10, 50},
       .slots = {"reference", "threads"},
       .graph =
           [](const std::string& slot) {
             return graph_of("b3", {image_at("/image_rect")},
                             {.topic = "/detections", .type = "apriltag_msgs/msg/AprilTagDetectionArray"},
                             {.name = "/apriltag",
                              .component = "ballast::components::AprilTag",
                              .remap = {{"image_rect", "/image_rect"}, {"detections", "/detections"}},
                              .params = {{"threads", slot == "threads" ? 2 : 1}}});
           },
       .input =
           [](Size size, std::uint64_t) {
             const auto scene = tag_scene(size);
             std_msgs::Float64MultiArray corners;
             for (const auto& tag : scene.corners)
               for (const auto& corner : tag) corners.data.insert(corners.data.end(), {corner.x, corner.y});
             return Input{.streams = {{.topic = image_at("/image_rect"),
                                       .messages = {serialize(to_image(scene.image, "mono8", "camera"))}}},
                          .description = scene.description,
                          .synthetic = scene.synthetic,
                          .truth = {serialize(corners)}};
           },
       .check = [](const Input& input, const std::string&, const auto& outputs,
                   const auto&) { return tag_check(input, outputs); }});
  return list;
}

}  // namespace ballast::robot
