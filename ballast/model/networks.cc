#include "ballast/model/networks.h"

#include "ballast/base/errors.h"

namespace ballast::model {

MlpImpl::MlpImpl(const MlpOptions& given) : options(given) {
  std::vector<std::int64_t> sizes{options.inputs};
  sizes.insert(sizes.end(), options.hidden.begin(), options.hidden.end());
  sizes.push_back(options.outputs);
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
    layers.push_back(register_module("layer" + std::to_string(i), Linear(sizes[i], sizes[i + 1], true)));
  }
}

at::Tensor MlpImpl::forward(const at::Tensor& x) {
  at::Tensor y = x.flatten(1);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    y = layers[i](y);
    if (i + 1 < layers.size()) y = activate(options.activation, y);
  }
  return y;
}

SmallCnnImpl::SmallCnnImpl(const SmallCnnOptions& given) : options(given) {
  std::int64_t channels = options.channels, size = options.size;
  for (std::size_t i = 0; i < options.widths.size(); ++i) {
    if (size < 2) {
      throw InvalidInput("image size", std::to_string(options.size),
                         "at least 2^" + std::to_string(options.widths.size()) + " for as many poolings");
    }
    stages.push_back(
        register_module("stage" + std::to_string(i),
                        ConvBnAct(ConvBnActOptions{
                            .in = channels, .out = options.widths[i], .normalise = options.normalise})));
    channels = options.widths[i];
    size /= 2;
  }
  hidden = register_module("hidden", Linear(channels * size * size, options.hidden, true));
  classify = register_module("classify", Linear(options.hidden, options.classes, true));
}

at::Tensor SmallCnnImpl::forward(const at::Tensor& images) {
  at::Tensor x = images;
  for (auto& stage : stages) x = at::max_pool2d(stage(x), 2);
  return classify(at::relu(hidden(x.flatten(1))));
}

}  // namespace ballast::model
