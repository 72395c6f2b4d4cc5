// ballast-federate-torch: trains and scores models of component `model` for one TorchTrainer, over standard
// input and output (torch_trainer.h). Not started by hand.
#include <fmt/format.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "ballast/base/errors.h"
#include "ballast/federate/model_file.h"
#include "ballast/federate/torch_trainer.h"
#include "ballast/model/networks.h"
#include "ballast/model/state.h"
#include "ballast/model/threads.h"

namespace ballast::federate {
namespace {

/// One of `model`'s networks, and how samples become its input.
class Network {
 public:
  explicit Network(const ModelShape& shape) : shape_(shape) {
    if (shape.kind == ModelKind::cnn) {
      cnn_ = model::SmallCnn(model::SmallCnnOptions{.channels = shape.channels(),
                                                    .size = shape.side(),
                                                    .widths = {std::begin(kCnnWidths), std::end(kCnnWidths)},
                                                    .hidden = shape.hidden,
                                                    .classes = shape.classes,
                                                    .normalise = false});
    } else {
      const bool linear = shape.kind == ModelKind::lr;
      mlp_ = model::Mlp(model::MlpOptions{
          .inputs = shape.features,
          .hidden = linear ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{shape.hidden},
          .outputs = shape.classes});
    }
  }
  torch::nn::Module& module() {
    if (cnn_) return *cnn_;
    return *mlp_;
  }
  at::Tensor logits(const float* x, std::int64_t n) {
    auto input = torch::from_blob(const_cast<float*>(x), {n, shape_.features});
    if (!cnn_) return mlp_->forward(input);
    return cnn_->forward(input.view({n, shape_.channels(), shape_.side(), shape_.side()}));
  }
  const ModelShape& shape() const { return shape_; }

 private:
  ModelShape shape_;
  model::Mlp mlp_{nullptr};
  model::SmallCnn cnn_{nullptr};
};

at::Tensor labels(const std::int32_t* y, std::int64_t n) {
  return torch::from_blob(const_cast<std::int32_t*>(y), {n}, torch::kInt32).to(torch::kLong);
}

void train(Network& network, TorchRequest& request, TorchReply& reply) {
  const auto width = static_cast<std::size_t>(network.shape().features),
             batch = static_cast<std::size_t>(request.batch);
  const Params anchor = request.params;
  for (std::size_t at = 0; at + batch <= request.y.size(); at += batch) {
    model::assign(network.module(), request.params);
    network.module().zero_grad();
    const auto n = static_cast<std::int64_t>(batch);
    const auto loss = torch::nn::functional::cross_entropy(network.logits(request.x.data() + at * width, n),
                                                           labels(request.y.data() + at, n));
    loss.backward();
    Params gradients;
    gradients.reserve(request.params.size());
    for (const auto& parameter : network.module().parameters()) {
      const auto flat = parameter.grad().contiguous();
      gradients.insert(gradients.end(), flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
    }
    optimizer_step(request.params, request.state, request.config, gradients, 1.0f,
                   request.config.prox > 0 ? anchor.data() : nullptr);
  }
  reply.params = std::move(request.params);
  reply.state = std::move(request.state);
}

void judge(Network& network, const TorchRequest& request, TorchReply& reply) {
  const torch::NoGradGuard guard;
  model::assign(network.module(), request.params);
  const auto width = static_cast<std::size_t>(network.shape().features);
  constexpr std::size_t kBlock = 256;  // images at a time
  for (std::size_t at = 0; at < request.y.size(); at += kBlock) {
    const auto n = static_cast<std::int64_t>(std::min(kBlock, request.y.size() - at));
    const auto log_p = torch::log_softmax(network.logits(request.x.data() + at * width, n), 1).contiguous();
    const auto best = log_p.argmax(1);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int32_t truth = request.y[at + static_cast<std::size_t>(i)];
      const auto answer = static_cast<std::int32_t>(best.data_ptr<std::int64_t>()[i]);
      const double loss = -log_p.data_ptr<float>()[i * network.shape().classes + truth];
      ++reply.stat.n;
      reply.stat.loss_sum += loss;
      reply.stat.loss_sq_sum += loss * loss;
      reply.stat.brier_sum += (1 - std::exp(-loss)) * (1 - std::exp(-loss));
      reply.stat.correct += answer == truth ? 1 : 0;
      if (request.kind == TorchRequest::Kind::predict) reply.answers.push_back(answer);
    }
  }
}

// Empty, or what is wrong with a request.
std::string problem_of(const TorchRequest& request) {
  const auto n = request.y.size();
  if (request.shape.features < 1 || request.shape.classes < 2 || request.shape.hidden < 1)
    return "no such shape";
  if (request.params.size() != request.shape.size()) return "parameters of another layout";
  if (request.x.size() != n * static_cast<std::size_t>(request.shape.features))
    return "samples of another width";
  if (request.kind == TorchRequest::Kind::train &&
      (request.batch < 1 || n % static_cast<std::size_t>(request.batch) != 0))
    return "no whole number of batches";
  for (const std::int32_t label : request.y) {
    if (label < 0 || label >= request.shape.classes) return "a label out of range";
  }
  return {};
}

int serve() {
  model::use_threads(1);
  std::unique_ptr<Network> network;
  for (std::string record; read_record(0, record);) {
    TorchReply reply;
    try {
      auto request = from_bytes<TorchRequest>(record);
      reply.refusal = problem_of(request);
      if (reply.refusal.empty()) {
        if (!network || !(network->shape() == request.shape))
          network = std::make_unique<Network>(request.shape);
        if (request.kind == TorchRequest::Kind::train) {
          train(*network, request, reply);
        } else {
          judge(*network, request, reply);
        }
      }
    } catch (const std::exception& error) {
      reply = {};
      reply.refusal = error.what();
    }
    write_record(1, to_bytes(std::move(reply)));
  }
  return 0;
}

// The network written down in TorchScript over its named tensors, so that any libtorch or Python can run it.
void write_script(const std::string& from, const std::string& to) {
  const ModelFile file = read_model(from);
  torch::jit::Module module("federate");
  for (const NamedTensor& tensor : named_tensors(file.shape)) {
    std::vector<std::int64_t> sizes(tensor.shape.begin(), tensor.shape.end());
    std::string name = tensor.name;
    std::replace(name.begin(), name.end(), '.', '_');
    module.register_parameter(
        name, torch::from_blob(const_cast<float*>(file.params.data()) + tensor.first, sizes).clone(), false);
  }
  std::string code = "def forward(self, x):\n";
  if (file.shape.kind == ModelKind::cnn) {
    code += fmt::format("    x = x.view([-1, {}, {}, {}])\n", file.shape.channels(), file.shape.side(),
                        file.shape.side());
    for (std::size_t k = 0; k < std::size(kCnnWidths); ++k)
      code += fmt::format(
          "    x = torch.conv2d(x, self.stage{0}_convolution_weight, self.stage{0}_convolution_bias, [1, 1], "
          "[1, 1])\n"
          "    x = torch.max_pool2d(torch.relu(x), [2, 2])\n",
          k);
    code +=
        "    x = torch.relu(torch.linear(x.flatten(1), self.hidden_weight, self.hidden_bias))\n"
        "    return torch.linear(x, self.classify_weight, self.classify_bias)\n";
  } else if (file.shape.kind == ModelKind::lr) {
    code += "    return torch.linear(x, self.layer0_weight, self.layer0_bias)\n";
  } else {
    code +=
        "    x = torch.relu(torch.linear(x, self.layer0_weight, self.layer0_bias))\n"
        "    return torch.linear(x, self.layer1_weight, self.layer1_bias)\n";
  }
  module.define(code);
  module.save(to);
}

}  // namespace
}  // namespace ballast::federate

int main(int argc, char** argv) {
  try {
    if (argc == 4 && std::string(argv[1]) == "script") {
      ballast::federate::write_script(argv[2], argv[3]);
      return 0;
    }
    return ballast::federate::serve();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ballast-federate-torch: %s\n", error.what());
    return 3;
  }
}
