#include "ballast/federate/model_file.h"

#include <fmt/format.h>

#include <cmath>
#include <sstream>

#include "ballast/base/errors.h"
#include "ballast/data/safetensors.h"

namespace ballast::federate {

void write_model(const std::string& path, const ModelShape& shape, const Params& params) {
  const auto array = data::Array::of<float>({params.size()}, params);
  data::write_safetensors(path, {{"parameters", array.view()}},
                          {{"layout", fmt::format("{} {} {} {}", to_string(shape.kind), shape.features,
                                                  shape.hidden, shape.classes)}});
}

ModelFile read_model(const std::string& path) {
  const data::SafetensorsFile file(path);
  const auto layout = file.metadata().find("layout");
  if (layout == file.metadata().end())
    throw InvalidInput(
        fmt::format("{}: no `layout` in its metadata; accepted: a model that `federate` wrote", path));
  std::istringstream words(layout->second);
  std::string kind;
  ModelShape shape;
  if (!(words >> kind >> shape.features >> shape.hidden >> shape.classes) || shape.features < 1 ||
      shape.features > (1 << 24) || shape.hidden < 1 || shape.hidden > (1 << 20) || shape.classes < 2 ||
      shape.classes > (1 << 20))
    throw InvalidInput(
        fmt::format("{}: layout '{}'; accepted: KIND FEATURES HIDDEN CLASSES", path, layout->second));
  shape.kind = model_kind_from_string(kind);
  const auto values = file.tensor("parameters").as<float>();
  if (values.size() != shape.size())
    throw InvalidInput(fmt::format("{}: {} parameters, but its layout '{}' has {}", path, values.size(),
                                   layout->second, shape.size()));
  for (float value : values) {
    if (!std::isfinite(value))
      throw InvalidInput(fmt::format("{}: parameters that are no finite numbers", path));
  }
  return {shape, Params(values.begin(), values.end())};
}

std::vector<NamedTensor> named_tensors(const ModelShape& shape) {
  const auto d = static_cast<std::size_t>(shape.features), h = static_cast<std::size_t>(shape.hidden),
             c = static_cast<std::size_t>(shape.classes);
  std::vector<NamedTensor> tensors;
  std::size_t at = 0;
  const auto add = [&](const std::string& name, std::vector<std::size_t> sizes) {
    std::size_t count = 1;
    for (const std::size_t size : sizes) count *= size;
    tensors.push_back({name, std::move(sizes), at});
    at += count;
  };
  if (shape.kind == ModelKind::lr) {
    add("layer0.weight", {c, d});
    add("layer0.bias", {c});
    return tensors;
  }
  if (shape.kind != ModelKind::cnn) {
    add("layer0.weight", {h, d});
    add("layer0.bias", {h});
    add("layer1.weight", {c, h});
    add("layer1.bias", {c});
    return tensors;
  }
  auto planes = static_cast<std::size_t>(shape.channels()), side = static_cast<std::size_t>(shape.side());
  for (std::size_t k = 0; k < std::size(kCnnWidths); ++k) {
    const auto width = static_cast<std::size_t>(kCnnWidths[k]);
    add(fmt::format("stage{}.convolution.weight", k), {width, planes, 3, 3});
    add(fmt::format("stage{}.convolution.bias", k), {width});
    planes = width;
    side /= 2;
  }
  add("hidden.weight", {h, planes * side * side});
  add("hidden.bias", {h});
  add("classify.weight", {c, h});
  add("classify.bias", {c});
  return tensors;
}

}  // namespace ballast::federate
