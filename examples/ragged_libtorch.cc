// A padded batch that a libtorch program holds, through the ragged encoder: same weights, same rows, no
// padding computed. The module takes the place of torch::nn::TransformerEncoder.
#include <cstdio>

#include "ballast/ragged/libtorch/encoder_module.h"

int main() {
  const torch::NoGradGuard inference;
  torch::manual_seed(1);
  torch::nn::TransformerEncoderLayer layer(
      torch::nn::TransformerEncoderLayerOptions(64, 4).dim_feedforward(256).activation(torch::kGELU));
  torch::nn::TransformerEncoder theirs(torch::nn::TransformerEncoderOptions(layer, 2));
  theirs->eval();

  const torch::Tensor x = torch::randn({4, 50, 64});  // padded to 50
  const torch::Tensor lengths = torch::tensor({50, 7, 12, 20}, torch::kLong);
  ballast::ragged::RaggedEncoder ours(theirs);
  const torch::Tensor got = ours->forward_padded(x, lengths);

  // libtorch masks the padding and computes it all the same.
  const torch::Tensor beyond = torch::arange(50).unsqueeze(0).ge(lengths.unsqueeze(1));
  const torch::Tensor want = theirs->forward(x.transpose(0, 1), torch::Tensor(), beyond).transpose(0, 1);
  double worst = 0;
  for (std::int64_t b = 0; b < 4; ++b) {
    const std::int64_t l = lengths[b].item<std::int64_t>();
    worst = std::max(worst, (got[b].narrow(0, 0, l) - want[b].narrow(0, 0, l)).abs().max().item<double>());
  }
  std::printf("rows computed: %ld of %ld; largest difference from libtorch: %.1e\n",
              static_cast<long>(lengths.sum().item<std::int64_t>()), static_cast<long>(x.size(0) * x.size(1)),
              worst);
  return worst < 1e-4 ? 0 : 1;
}
