// A network that foretells accuracies from genes, so that a search may ask tens of thousands of times: three
// hidden layers of 400 on one-hot genes, trained on accuracies that were measured on the supernet.
#pragma once

#include <torch/torch.h>

#include "ballast/codesign/space.h"

namespace ballast::codesign {

/// One-hot genes; blocks beyond a stage's depth are all zero.
std::vector<float> encode(const Space& space, const Genotype& genotype);

class Predictor {
 public:
  struct Quality {
    int trained = 0, held_out = 0;
    double spearman = 0, mean_error = 0;  ///< on the held-out fifth, in points of accuracy
  };

  /// Trains on (genotype, accuracy) pairs, the last fifth held out. Throws InvalidInput for fewer than 20
  /// pairs.
  Predictor(const Space& space, const std::vector<std::pair<Genotype, double>>& measured, std::uint64_t seed,
            int epochs = 200);

  double operator()(const Genotype& genotype) const;
  const Quality& quality() const { return quality_; }

 private:
  at::Tensor forward(const at::Tensor& x) const;
  Space space_;
  std::vector<at::Tensor> weights_;
  double mean_ = 0, spread_ = 1;
  Quality quality_;
};

}  // namespace ballast::codesign
