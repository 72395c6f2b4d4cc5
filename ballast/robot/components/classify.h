// Image classification: a network of an ONNX file, such as one that `ballast codesign search` found, and a
// classical method beside it (benchmark a8).
#pragma once

#include <memory>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

namespace ballast::robot {

class Classifier {
 public:
  struct Answer {
    int label = 0;
    double score = 0;  ///< higher is surer; a network's logit, or minus a distance
  };
  virtual ~Classifier() = default;
  /// Of an 8-bit grey image of any size: it is scaled to what the classifier was made for.
  virtual Answer classify(const cv::Mat& grey) = 0;
};

/// Runs the network of `file` in OpenCV, one image at a time. Pixels become (p - 90) / 90, as `ballast
/// codesign train` sees them. The file needs one input of a fixed shape 1 x 1 x height x width (`ballast
/// codesign export --batch 1`), of `side` pixels each way. Throws InvalidInput naming the file when it cannot
/// be read or run.
std::unique_ptr<Classifier> network_classifier(const std::string& file, int side = 28);

/// The classical method: histograms of oriented gradients (7 x 7 cells, 9 directions, blocks of 2 x 2), and
/// the nearest mean of the classes. `images` are 28 x 28, `labels` from 0.
std::unique_ptr<Classifier> hog_classifier(const std::vector<cv::Mat>& images,
                                           const std::vector<int>& labels);

/// `count` images of Fashion-MNIST with their labels, from its training or test part. Throws Unavailable
/// naming the package that brings them.
struct LabelledImages {
  std::vector<cv::Mat> images;
  std::vector<int> labels;
};
LabelledImages fashion_images(bool test, std::size_t count);

}  // namespace ballast::robot
