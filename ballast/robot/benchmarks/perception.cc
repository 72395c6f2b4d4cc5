// a1 perception_2nodes, a2 rectify, a5 resize.
#include <fmt/format.h>

#include <cmath>
#include <opencv2/core.hpp>

#include "ballast/base/errors.h"
#include "ballast/robot/benchmarks/benchmark.h"
#include "ballast/robot/benchmarks/images.h"
#include "ballast/robot/components/vision.h"

namespace ballast::robot {
namespace {

constexpr const char* kImage = "sensor_msgs/msg/Image";
constexpr const char* kInfo = "sensor_msgs/msg/CameraInfo";

TopicSpec topic(const std::string& name, const std::string& type) {
  return {.topic = name, .type = type};
}

GraphSpec camera_graph(const std::string& id, const std::string& output) {
  GraphSpec graph;
  graph.id = id;
  graph.inputs = {topic("/camera_info", kInfo), topic("/image_raw", kImage)};
  graph.outputs = {topic(output, kImage)};
  return graph;
}

NodeSpec rectify_node(const std::string& slot) {
  return {.name = "/rectify",
          .component = "ballast::components::Rectify",
          .remap = {{"image", "/image_raw"},
                    {"camera_info", "/camera_info"},
                    {"image_rect", "/image_rect"},
                    {"camera_info_rect", "/image_rect/camera_info"}},
          .params = {{"slot", slot}}};
}

NodeSpec resize_node(const std::string& slot, const std::string& image, const std::string& info) {
  return {.name = "/resize",
          .component = "ballast::components::Resize",
          .remap = {{"image", image},
                    {"camera_info", info},
                    {"resize", "/resize/image_raw"},
                    {"camera_info_resize", "/resize/camera_info"}},
          .params = {{"slot", slot}, {"scale_width", 2.0}, {"scale_height", 2.0}}};
}

Input camera_input(Size size, std::uint64_t seed) {
  CameraSequence sequence = size == Size::bench ? chessboard_sequence() : CameraSequence{};
  if (sequence.frames.empty())
    sequence =
        size == Size::bench ? generated_sequence(640, 480, 13, seed) : generated_sequence(320, 240, 5, seed);
  Input input;
  input.description = sequence.description;
  input.synthetic = sequence.synthetic;
  Stream infos{.topic = topic("/camera_info", kInfo), .messages = {}},
      images{.topic = topic("/image_raw", kImage), .messages = {}};
  for (const auto& frame : sequence.frames) {
    infos.messages.push_back(ros::serialize(sequence.info));
    images.messages.push_back(ros::serialize(to_image(frame, "mono8", "camera")));
  }
  input.streams = {std::move(infos), std::move(images)};
  return input;
}

/// RMS difference between an output image and the model's value at each of its pixels (every third), where
/// the model has one. `scale` maps the output's pixels to rectified ones.
double rms_to_model(const sensor_msgs::Image& output, const sensor_msgs::Image& raw,
                    const sensor_msgs::CameraInfo& info, double scale, bool rectify) {
  const cv::Mat out = view(output), in = view(raw);
  double squares = 0;
  std::size_t used = 0;
  sensor_msgs::CameraInfo plain = info;
  if (!rectify) plain.d.clear();
  for (int v = 1; v < out.rows - 1; v += 3) {
    for (int u = 1; u < out.cols - 1; u += 3) {
      const double x = (u + 0.5) / scale - 0.5, y = (v + 0.5) / scale - 0.5;
      const double expected = rectified_pixel(in, plain, x, y, 0);
      if (std::isnan(expected)) continue;
      const double difference = out.at<std::uint8_t>(v, u) - expected;
      squares += difference * difference;
      ++used;
    }
  }
  if (used * 2 < static_cast<std::size_t>(out.rows / 3) * static_cast<std::size_t>(out.cols / 3)) return 255;
  return std::sqrt(squares / static_cast<double>(used));
}

Check image_check(const Input& input, const std::vector<ros::Bytes>& outputs,
                  const std::vector<std::size_t>& frames, double scale, bool rectify, double limit) {
  Check check{.passed = !outputs.empty(),
              .what = "largest RMS difference to the camera model in double precision, grey levels",
              .limit = limit};
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const auto info = ros::deserialize<sensor_msgs::CameraInfo>(input.streams[0].messages[frames[k]]);
    const auto raw = ros::deserialize<sensor_msgs::Image>(input.streams[1].messages[frames[k]]);
    const auto output = ros::deserialize<sensor_msgs::Image>(outputs[k]);
    const auto expected_width = static_cast<std::uint32_t>(std::lround(raw.width * scale));
    const double rms = output.width == expected_width ? rms_to_model(output, raw, info, scale, rectify) : 255;
    check.value = std::max(check.value, rms);
  }
  check.passed = check.passed && check.value <= limit;
  return check;
}

}  // namespace

std::vector<Benchmark> perception_benchmarks() {
  std::vector<Benchmark> list;
  list.push_back(
      {.id = "a1",
       .name = "perception_2nodes",
       .category = "perception",
       .what = "rectify, then resize x2",
       .rates_hz = {30},
       .slots = {"reference", "opencv-threads", "tbb", "fused"},
       .graph =
           [](const std::string& slot) {
             auto graph = camera_graph("a1", "/resize/image_raw");
             if (slot == "fused") {
               graph.nodes = {{.name = "/rectify_resize",
                               .component = "ballast::components::RectifyResize",
                               .remap = {{"image", "/image_raw"},
                                         {"camera_info", "/camera_info"},
                                         {"resize", "/resize/image_raw"},
                                         {"camera_info_resize", "/resize/camera_info"}},
                               .params = {{"slot", "reference"}}}};
             } else {
               graph.nodes = {rectify_node(slot),
                              resize_node(slot, "/image_rect", "/image_rect/camera_info")};
             }
             return graph;
           },
       .input = camera_input,
       .check =
           [](const Input& input, const std::string& slot, const auto& outputs, const auto& frames) {
             // Two interpolations smooth more than one: the two-node graph may differ more.
             return image_check(input, outputs, frames, 2, true, slot == "fused" ? 0.5 : 4);
           }});
  list.push_back(
      {.id = "a2",
       .name = "rectify",
       .category = "perception",
       .what = "rectify (bilinear)",
       .rates_hz = {30},
       .slots = {"reference", "opencv-threads", "tbb"},
       .graph =
           [](const std::string& slot) {
             auto graph = camera_graph("a2", "/image_rect");
             graph.nodes = {rectify_node(slot)};
             return graph;
           },
       .input = camera_input,
       .check = [](const Input& input, const std::string&, const auto& outputs,
                   const auto& frames) { return image_check(input, outputs, frames, 1, true, 0.5); }});
  list.push_back(
      {.id = "a5",
       .name = "resize",
       .category = "perception",
       .what = "resize x2 (bilinear)",
       .rates_hz = {30},
       .slots = {"reference", "opencv-threads", "tbb"},
       .graph =
           [](const std::string& slot) {
             auto graph = camera_graph("a5", "/resize/image_raw");
             graph.nodes = {resize_node(slot, "/image_raw", "/camera_info")};
             return graph;
           },
       .input = camera_input,
       .check = [](const Input& input, const std::string&, const auto& outputs,
                   const auto& frames) { return image_check(input, outputs, frames, 2, false, 0.5); }});
  return list;
}

}  // namespace ballast::robot
