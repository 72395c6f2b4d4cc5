// Independent runtimes for exported and cleaned models: onnxruntime (PyPI, in the environment that set-up
// makes) gives the verdict, OpenCV's dnn a second opinion. Both run as separate processes, so neither meets
// libtorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ballast::codesign {

/// Values of one tensor, row-major f32.
struct RawTensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

struct RuntimeAnswer {
  bool installed = false;
  std::string version;
  std::string problem;      ///< empty: it ran
  RawTensor output;         ///< the model's first output
  double milliseconds = 0;  ///< of one run of the batch, measured
};

/// Runs the model on one input; a runtime that is not installed or refuses the model says so in the answer.
RuntimeAnswer run_onnxruntime(const std::string& model, const std::string& input_name,
                              const RawTensor& input);
/// `helper`: the program ballast-codesign-opencv; empty: beside this program.
RuntimeAnswer run_opencv(const std::string& model, const RawTensor& input, const std::string& helper = "");

/// Row by row: the share of equal largest entries, and the largest difference of any entry.
struct Agreement {
  std::int64_t rows = 0, same_top1 = 0;
  double largest_difference = 0;
};
Agreement agreement(const RawTensor& a, const RawTensor& b);

}  // namespace ballast::codesign
