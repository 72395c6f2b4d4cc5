#include "ballast/federate/model_shape.h"

#include <fmt/format.h>

#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::federate {
namespace {

constexpr const char* kNames[] = {"mlp", "torch_mlp", "lr", "cnn"};

int root(int pixels) {
  const int side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(pixels))));
  return side * side == pixels ? side : 0;
}

}  // namespace

const char* to_string(ModelKind kind) {
  return kNames[static_cast<std::size_t>(kind)];
}

ModelKind model_kind_from_string(const std::string& word) {
  for (std::size_t k = 0; k < std::size(kNames); ++k) {
    if (word == kNames[k]) return static_cast<ModelKind>(k);
  }
  throw InvalidInput("--model", word, "mlp, torch_mlp, lr or cnn");
}

ModelShape ModelShape::of(ModelKind kind, int features, int hidden, int classes) {
  if (hidden <= 0) hidden = kind == ModelKind::cnn ? 64 : 2 * features;
  ModelShape shape{features, hidden, classes, kind};
  if (kind == ModelKind::cnn) (void)shape.side();
  return shape;
}

int ModelShape::channels() const {
  return root(features) > 0 ? 1 : 3;
}

int ModelShape::side() const {
  const int side = root(features / channels());
  if (channels() * side * side != features || side < 4)
    throw InvalidInput(
        fmt::format("a cnn needs images: {} features are no square of at least 4 x 4 pixels, grey or "
                    "in three planes",
                    features));
  return side;
}

std::vector<ParameterBlock> ModelShape::blocks() const {
  const auto d = static_cast<std::size_t>(features), h = static_cast<std::size_t>(hidden),
             c = static_cast<std::size_t>(classes);
  if (kind == ModelKind::lr) return {{d, c * d}, {d, c}};
  if (kind != ModelKind::cnn) return {{d, h * d}, {d, h}, {h, c * h}, {h, c}};
  std::vector<ParameterBlock> blocks;
  auto planes = static_cast<std::size_t>(channels()), size = static_cast<std::size_t>(side());
  for (const int width : kCnnWidths) {
    const auto w = static_cast<std::size_t>(width), fan_in = planes * 9;
    blocks.push_back({fan_in, w * fan_in});
    blocks.push_back({fan_in, w});
    planes = w;
    size /= 2;
  }
  const std::size_t flat = planes * size * size;
  for (const ParameterBlock& block : {ParameterBlock{flat, h * flat}, {flat, h}, {h, c * h}, {h, c}})
    blocks.push_back(block);
  return blocks;
}

std::size_t ModelShape::size() const {
  std::size_t total = 0;
  for (const ParameterBlock& block : blocks()) total += block.count;
  return total;
}

}  // namespace ballast::federate
