// A trained model as a safetensors file: one tensor `parameters` and the layout in its metadata.
#pragma once

#include <string>

#include "ballast/federate/params.h"

namespace ballast::federate {

struct ModelFile {
  ModelShape shape;
  Params params;
};

void write_model(const std::string& path, const ModelShape& shape, const Params& params);
/// Throws Unavailable when it is not there, InvalidInput for what is no model of ours, naming the file.
ModelFile read_model(const std::string& path);

/// The parameters layer by layer under libtorch's names, in the buffer's order: what other programs read.
struct NamedTensor {
  std::string name;
  std::vector<std::size_t> shape;
  std::size_t first;  ///< in the buffer
};
std::vector<NamedTensor> named_tensors(const ModelShape& shape);

}  // namespace ballast::federate
