#include "ballast/model/state.h"

#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"

namespace ballast::model {
namespace {

std::vector<at::Tensor> tensors_of(const torch::nn::Module& module, StateScope scope) {
  std::vector<at::Tensor> tensors = module.parameters();
  if (scope == StateScope::parameters_and_buffers) {
    for (const at::Tensor& buffer : module.buffers()) {
      if (buffer.is_floating_point()) tensors.push_back(buffer);
    }
  }
  return tensors;
}

}  // namespace

std::int64_t state_size(const torch::nn::Module& module, StateScope scope) {
  std::int64_t size = 0;
  for (const at::Tensor& tensor : tensors_of(module, scope)) size += tensor.numel();
  return size;
}

std::vector<float> flatten(const torch::nn::Module& module, StateScope scope) {
  torch::NoGradGuard no_grad;
  std::vector<float> state(static_cast<std::size_t>(state_size(module, scope)));
  float* next = state.data();
  for (const at::Tensor& tensor : tensors_of(module, scope)) {
    const at::Tensor values = tensor.to(torch::kFloat32).contiguous();
    std::memcpy(next, values.data_ptr<float>(), static_cast<std::size_t>(values.numel()) * sizeof(float));
    next += values.numel();
  }
  return state;
}

void assign(torch::nn::Module& module, std::span<const float> state, StateScope scope) {
  torch::NoGradGuard no_grad;
  const std::int64_t size = state_size(module, scope);
  if (static_cast<std::int64_t>(state.size()) != size) {
    throw InvalidInput("state vector", std::to_string(state.size()) + " values",
                       std::to_string(size) + " for this network");
  }
  const float* next = state.data();
  for (at::Tensor& tensor : tensors_of(module, scope)) {
    tensor.copy_(torch::from_blob(const_cast<float*>(next), tensor.sizes(), torch::kFloat32));
    next += tensor.numel();
  }
}

void copy_state(const torch::nn::Module& from, torch::nn::Module& to) {
  torch::NoGradGuard no_grad;
  const auto copy = [](const std::vector<at::Tensor>& source, std::vector<at::Tensor> target) {
    if (source.size() != target.size()) {
      throw InvalidInput("network", std::to_string(source.size()) + " tensors",
                         "one with " + std::to_string(target.size()));
    }
    for (std::size_t i = 0; i < source.size(); ++i) {
      if (source[i].sizes() != target[i].sizes()) {
        throw InvalidInput("network", "tensor " + std::to_string(i) + " of another shape",
                           "the same structure");
      }
      target[i].copy_(source[i]);
    }
  };
  copy(from.parameters(), to.parameters());
  copy(from.buffers(), to.buffers());
}

std::uint64_t state_checksum(const torch::nn::Module& module) {
  std::uint64_t sum = 0;
  const auto add = [&](const std::vector<at::Tensor>& tensors) {
    for (const at::Tensor& tensor : tensors) {
      const at::Tensor values = tensor.detach().contiguous();
      const auto* bytes = static_cast<const std::byte*>(values.data_ptr());
      sum = mix64(sum ^ checksum64(std::span(bytes, static_cast<std::size_t>(values.nbytes()))));
    }
  };
  add(module.parameters());
  add(module.buffers());
  return sum;
}

}  // namespace ballast::model
