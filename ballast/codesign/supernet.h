// The weight-sharing network: one largest tensor a layer, of which every network of the space uses the
// leading channels and the centre of the kernels. Batch norm has no statistics of its own: they belong to one
// genotype and are gathered anew for it (recalibration), without which the accuracy of a subnet is noise.
//
//   Supernet net(space, {.seed = 1});
//   Plan plan = plan_network(space, genotype);
//   at::Tensor logits = net.forward(plan, images, Mode::train, nullptr);
//   Statistics stats;                                   // recalibrate, then evaluate
//   for (batch) net.forward(plan, batch, Mode::calibrate, &stats);
//   logits = net.forward(plan, images, Mode::evaluate, &stats);
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>
#include <vector>

#include "ballast/codesign/plan.h"

namespace ballast::codesign {

enum class Mode {
  train,      ///< batch statistics
  calibrate,  ///< batch statistics, which are gathered
  evaluate,   ///< gathered statistics
};

/// Mean and variance by step of one genotype.
struct Statistics {
  struct Of {
    at::Tensor mean, variance;
    std::int64_t batches = 0;
  };
  std::map<std::string, Of> layers;

  /// Smallest and largest value that each matrix product reads, by "step.part", gathered in evaluation where
  /// `observe` is set: what an 8-bit export needs.
  struct Range {
    double low = 0, high = 0;
  };
  std::map<std::string, Range> ranges;
  bool observe = false;
};

/// How much noise the macros add to the layers that they compute, in evaluation.
struct AnalogNoise {
  double sigma = 0;  ///< Gaussian, relative to a layer's largest output
  int adc_bits = 0;  ///< outputs rounded to this many bits of their range; 0: not
  std::uint64_t seed = 1;
};

struct SupernetOptions {
  std::uint64_t seed = 1;
  bool kernel_transform = false;  ///< smaller kernels are a learned function of the larger one's centre
};

class Supernet {
 public:
  explicit Supernet(const Space& space, const SupernetOptions& options = {});
  /// The network of one genotype alone, for training from scratch and as the target of extract().
  Supernet(const Space& space, const Genotype& genotype, std::uint64_t seed);

  /// [batch, channels, resolution, resolution] to [batch, classes]. Safe from several threads in evaluation.
  at::Tensor forward(const Plan& plan, const at::Tensor& images, Mode mode, Statistics* statistics,
                     const AnalogNoise& noise = {}) const;

  /// A network that holds copies of this genotype's slices and computes the same.
  Supernet extract(const Genotype& genotype) const;

  /// Copies all values of the other network of the same space.
  void assign(const Supernet& other);
  /// A copy with parameters of its own.
  Supernet clone() const;

  /// By name, in a fixed order; leaves with gradients.
  std::map<std::string, at::Tensor>& parameters() { return parameters_; }
  const std::map<std::string, at::Tensor>& parameters() const { return parameters_; }
  /// The slice that a step uses, such as at("s3.1.mb.depthwise.weight", {96, 1, 3, 3}).
  at::Tensor slice(const std::string& name, const std::vector<std::int64_t>& shape) const;
  std::int64_t parameter_count() const;
  /// What a table of relative positions [heads, 2 side - 1, 2 side - 1] adds to the scores: [1, heads,
  /// side^2, side^2].
  at::Tensor position_bias(const at::Tensor& table, int side) const;

  const Space& space() const { return space_; }

 private:
  struct Run;
  void declare(const Plan& plan, std::map<std::string, std::vector<std::int64_t>>& shapes) const;
  void create(const std::map<std::string, std::vector<std::int64_t>>& shapes, const std::vector<Plan>& plans,
              std::uint64_t seed);

  Space space_;
  bool kernel_transform_ = false;
  std::map<std::string, at::Tensor> parameters_;
  std::map<int, at::Tensor> position_index_;  // by side: which entry of the table each pair of tokens reads
};

/// Names and shapes of the parameters of a step.
std::vector<std::pair<std::string, std::vector<std::int64_t>>> parameters_of(const Step& step);

/// Top-1 accuracy of a genotype in percent: recalibrates with the first `calibration` images of `calibrate`,
/// then runs all of `images`.
double top1(const Supernet& net, const Plan& plan, const at::Tensor& calibrate, const at::Tensor& images,
            const at::Tensor& labels, const AnalogNoise& noise = {}, Statistics* statistics = nullptr);

}  // namespace ballast::codesign
