// What clients train: the kind of network and its sizes, and how its parameters lie in one buffer.
//
//   mlp        Linear(features, hidden) - ReLU - Linear(hidden, classes), by the fused trainer
//   torch_mlp  the same network by libtorch: the slow twin
//   lr         Linear(features, classes), by libtorch
//   cnn        3x3 convolutions of 16 and 32 channels with ReLU and 2x2 max pooling, Linear - ReLU - Linear,
//   by
//              libtorch (model::SmallCnn without batch normalisation, whose running statistics average badly
//              over unequal clients); the features are the pixels of a square image, grey or three planes of
//              colour
//
// Outputs are logits. The buffer holds the parameters in the order in which libtorch registers them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ballast::federate {

enum class ModelKind : std::uint8_t { mlp, torch_mlp, lr, cnn };
/// Throws InvalidInput naming the words above.
ModelKind model_kind_from_string(const std::string& word);
const char* to_string(ModelKind kind);

/// Consecutive parameters with one fan-in: a layer's weights, or its biases.
struct ParameterBlock {
  std::size_t fan_in, count;
};

struct ModelShape {
  int features = 0, hidden = 0, classes = 0;
  ModelKind kind = ModelKind::mlp;

  /// `hidden` 0: the kind's customary width. Throws InvalidInput when the features are no image and one is
  /// needed.
  static ModelShape of(ModelKind kind, int features, int hidden, int classes);
  std::size_t size() const;
  std::vector<ParameterBlock> blocks() const;
  /// cnn: planes and side of the image; throws InvalidInput when there is none of so many pixels.
  int channels() const;
  int side() const;
  bool operator==(const ModelShape&) const = default;
};

constexpr int kCnnWidths[] = {16, 32};

}  // namespace ballast::federate
