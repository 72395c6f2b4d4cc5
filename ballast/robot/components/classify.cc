#include "ballast/robot/components/classify.h"

#include <fmt/format.h>

#include <limits>
#include <opencv2/dnn.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>

#include "ballast/base/errors.h"
#include "ballast/data/datasets.h"
#include "ballast/data/idx.h"
#include "ballast/robot/components/component.h"
#include "ballast/robot/components/vision.h"

namespace ballast::robot {
namespace {

constexpr int kSide = 28;

/// What OpenCV's exceptions say after their place in OpenCV's source.
std::string reason(const cv::Exception& error) {
  return error.err.substr(0, error.err.find('\n'));
}

class Network : public Classifier {
 public:
  Network(const std::string& file, int side) : file_(file), side_(side) {
    try {
      net_ = cv::dnn::readNetFromONNX(file);
      net_.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
      classify(cv::Mat::zeros(side, side, CV_8U));  // a network that cannot run is told at the start
    } catch (const cv::Exception& error) {
      throw InvalidInput(file, fmt::format("a file that OpenCV cannot use ({})", reason(error)),
                         fmt::format("an ONNX network with one input of shape 1x1x{0}x{0}", side));
    }
  }

  Answer classify(const cv::Mat& grey) override {
    net_.setInput(cv::dnn::blobFromImage(grey, 1 / 90.0, {side_, side_}, {90}));
    const cv::Mat logits = net_.forward().reshape(1, 1);
    cv::Point best;
    double score = 0;
    cv::minMaxLoc(logits, nullptr, &score, nullptr, &best);
    return {best.x, score};
  }

 private:
  std::string file_;
  int side_;
  cv::dnn::Net net_;
};

class Hog : public Classifier {
 public:
  Hog(const std::vector<cv::Mat>& images, const std::vector<int>& labels)
      : descriptor_({kSide, kSide}, {8, 8}, {4, 4}, {4, 4}, 9) {
    std::vector<int> counts;
    for (std::size_t i = 0; i < images.size(); ++i) {
      const cv::Mat features = describe(images[i]);
      const auto label = static_cast<std::size_t>(labels[i]);
      while (means_.size() <= label) {
        means_.push_back(cv::Mat::zeros(features.size(), CV_32F));
        counts.push_back(0);
      }
      means_[label] += features;
      ++counts[label];
    }
    for (std::size_t label = 0; label < means_.size(); ++label)
      if (counts[label] > 0) means_[label] /= counts[label];
  }

  Answer classify(const cv::Mat& grey) override {
    const cv::Mat features = describe(grey);
    Answer answer{.label = 0, .score = -std::numeric_limits<double>::infinity()};
    for (std::size_t label = 0; label < means_.size(); ++label) {
      const double score = -cv::norm(features, means_[label]);
      if (score > answer.score) answer = {static_cast<int>(label), score};
    }
    return answer;
  }

 private:
  cv::Mat describe(const cv::Mat& grey) const {
    cv::Mat scaled;
    cv::resize(grey, scaled, {kSide, kSide}, 0, 0, cv::INTER_AREA);
    std::vector<float> features;
    descriptor_.compute(scaled, features);
    return cv::Mat(features, true).reshape(1, 1);
  }

  cv::HOGDescriptor descriptor_;
  std::vector<cv::Mat> means_;
};

/// image -> classification, with the image's stamp.
class Classify : public Component {
 public:
  Classify(ros::Node& node, const Json& params) {
    const auto model = parameter<std::string>(params, "model", "");
    if (model.empty()) {
      const LabelledImages known = fashion_images(false, 5000);
      classifier_ = hog_classifier(known.images, known.labels);
    } else {
      classifier_ = network_classifier(model);
    }
    cv::setNumThreads(1);
    out_ = node.publisher<vision_msgs::Classification>("classification", {});
    node.subscribe<sensor_msgs::Image>("image", {}, [this](auto image) { process(*image); });
  }

 private:
  void process(const sensor_msgs::Image& image) {
    trace::Operation operation("classify", image.header.stamp);
    const cv::Mat pixels = view(image);
    if (pixels.type() != CV_8UC1) throw InvalidInput("encoding", image.encoding, "mono8");
    operation.begin();
    const auto answer = classifier_->classify(pixels);
    operation.end();
    vision_msgs::Classification message;
    message.header = image.header;
    message.results = {{.class_id = std::to_string(answer.label), .score = answer.score}};
    out_->publish(std::move(message));
  }

  std::unique_ptr<Classifier> classifier_;
  std::shared_ptr<ros::Publisher<vision_msgs::Classification>> out_;
};

}  // namespace

std::unique_ptr<Classifier> network_classifier(const std::string& file, int side) {
  return std::make_unique<Network>(file, side);
}

std::unique_ptr<Classifier> hog_classifier(const std::vector<cv::Mat>& images,
                                           const std::vector<int>& labels) {
  return std::make_unique<Hog>(images, labels);
}

LabelledImages fashion_images(bool test, std::size_t count) {
  const std::string stem = data::find_dataset("fashion-mnist") + (test ? "/t10k" : "/train");
  const data::Array images = data::read_idx(data::InputStream::open(stem + "-images-idx3-ubyte.gz"));
  const data::Array labels = data::read_idx(data::InputStream::open(stem + "-labels-idx1-ubyte.gz"));
  if (images.shape.size() != 3 || labels.shape.size() != 1 || images.shape[0] != labels.shape[0])
    throw InvalidInput(fmt::format("{}: images and labels do not belong together", stem));
  const auto pixels = images.as<std::uint8_t>();
  const auto words = labels.as<std::uint8_t>();
  const int rows = static_cast<int>(images.shape[1]), columns = static_cast<int>(images.shape[2]);
  LabelledImages result;
  for (std::size_t i = 0; i < std::min<std::size_t>(count, words.size()); ++i) {
    cv::Mat image(rows, columns, CV_8U);
    const auto area = static_cast<std::size_t>(rows * columns);
    std::copy_n(pixels.begin() + static_cast<std::ptrdiff_t>(i * area), area, image.data);
    result.images.push_back(std::move(image));
    result.labels.push_back(words[i]);
  }
  return result;
}

std::vector<ComponentType> classify_components() {
  return {{"ballast::components::Classify",
           "names what an image shows: a network of an ONNX file, or gradients and class means",
           {"model"},
           [](ros::Node& node, const Json& params) { return std::make_unique<Classify>(node, params); }}};
}

}  // namespace ballast::robot
