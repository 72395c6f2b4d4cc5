// Debian's libtorch as a competitor: the padded encoder layer as PyTorch users write it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ballast/ragged/encoder.h"

namespace ballast::ragged {

class TorchEncoder {
 public:
  TorchEncoder(const EncoderConfig& config, const std::vector<LayerWeights>& weights, int threads);
  ~TorchEncoder();
  TorchEncoder(const TorchEncoder&) = delete;
  TorchEncoder& operator=(const TorchEncoder&) = delete;

  /// hidden [B, longest, d] to the same; keys beyond a sequence's length are masked. `attention_only`:
  /// multi-head attention without residual and norm.
  std::vector<float> forward(std::span<const float> hidden, std::span<const std::int32_t> lengths,
                             bool attention_only = false);
  static bool available();
  static std::string version();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::ragged
