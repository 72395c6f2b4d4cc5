// A network's parameters as one vector: what federated averaging sends, merges and compares.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

namespace ballast::model {

/// What belongs to the vector: trained parameters only, or also buffers (running statistics) of floating
/// type.
enum class StateScope { parameters, parameters_and_buffers };

std::int64_t state_size(const torch::nn::Module& module, StateScope scope = StateScope::parameters);

/// All parameters, in registration order, flattened to f32 [state_size]. A copy.
std::vector<float> flatten(const torch::nn::Module& module, StateScope scope = StateScope::parameters);

/// Writes such a vector back. Throws InvalidInput when the sizes differ.
void assign(torch::nn::Module& module, std::span<const float> state,
            StateScope scope = StateScope::parameters);

/// Copies every parameter and buffer; both must have the same structure.
void copy_state(const torch::nn::Module& from, torch::nn::Module& to);

/// Checksum of the parameters' and buffers' bytes: equal exactly when two networks are bit-identical (up to
/// collisions of a 64-bit hash).
std::uint64_t state_checksum(const torch::nn::Module& module);

}  // namespace ballast::model
