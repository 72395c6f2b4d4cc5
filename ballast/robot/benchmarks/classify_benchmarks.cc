// a8 image_classification: a network, such as one that `ballast codesign` found, beside a classical method.
// Not of RobotPerf's set.
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/robot/benchmarks/benchmark.h"
#include "ballast/robot/benchmarks/images.h"
#include "ballast/robot/components/classify.h"

namespace ballast::robot {
namespace {

GraphSpec classify_graph(const std::string& slot) {
  GraphSpec graph;
  graph.id = "a8";
  graph.inputs = {{.topic = "/image", .type = "sensor_msgs/msg/Image"}};
  graph.outputs = {{.topic = "/classification", .type = vision_msgs::Classification::kType}};
  Json params = Json::object();
  if (slot.starts_with("network")) {
    const auto colon = slot.find(':');
    const std::string file = colon == std::string::npos ? "" : slot.substr(colon + 1);
    if (!std::filesystem::exists(file))
      throw InvalidInput("implementation of a8", slot, "network:FILE.onnx with a file that exists, or hog");
    params["model"] = std::filesystem::absolute(file).string();
  }
  graph.nodes = {{.name = "/classify",
                  .component = "ballast::components::Classify",
                  .remap = {{"image", "/image"}, {"classification", "/classification"}},
                  .params = params}};
  return graph;
}

Input classify_input(Size size, std::uint64_t) {
  const LabelledImages test = fashion_images(true, size == Size::bench ? 200 : 20);
  Input input;
  input.description = std::to_string(test.images.size()) + " test images of Fashion-MNIST, 28x28";
  Stream images{.topic = {.topic = "/image", .type = "sensor_msgs/msg/Image"}, .messages = {}};
  for (const auto& image : test.images)
    images.messages.push_back(ros::serialize(to_image(image, "mono8", "camera")));
  input.streams = {std::move(images)};
  for (const int label : test.labels)
    input.truth.push_back(ros::serialize(std_msgs::String{std::to_string(label)}));
  return input;
}

}  // namespace

std::vector<Benchmark> classify_benchmarks() {
  return {{.id = "a8",
           .name = "image_classification",
           .category = "perception",
           .what = "what an image shows: gradients and class means, or network:FILE.onnx",
           .rates_hz = {30},
           .slots = {"hog"},
           .file_slots = {"network"},
           .graph = classify_graph,
           .input = classify_input,
           .check = [](const Input& input, const std::string&, const auto& outputs, const auto& frames) {
             Check check{.what = "share of images that are named wrong", .limit = 0.5};
             for (std::size_t k = 0; k < outputs.size(); ++k) {
               const auto answer = ros::deserialize<vision_msgs::Classification>(outputs[k]);
               const auto truth = ros::deserialize<std_msgs::String>(input.truth[frames[k]]);
               if (answer.results.size() != 1 || answer.results[0].class_id != truth.data) ++check.value;
             }
             check.value /= static_cast<double>(outputs.size());
             check.passed = check.value <= check.limit;
             return check;
           }}};
}

}  // namespace ballast::robot
