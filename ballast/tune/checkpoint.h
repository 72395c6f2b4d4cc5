// Training state on disk, from which a run goes on bit for bit.
//
//   DIR/step-00000120/model.safetensors        the model's parameters
//                     optimizer.safetensors    moments, masters, adapters
//                     projectors.safetensors   positions (uint16 in I16) and
//                     values state.json               step, method, options,
//                     checksum of each file
//   DIR/latest                                 the folder's name; replaced in
//   one rename
//
// A folder is complete before `latest` names it, so a run that is killed at any
// moment leaves the last checkpoint valid.
#pragma once

#include <cstdint>
#include <string>

#include "ballast/base/json.h"
#include "ballast/tune/method.h"

namespace ballast::tune {

/// Writes a checkpoint and removes the one before. `facts` say what a
/// continuation must share (method, model, d, r). Throws Unavailable (full
/// disk) with the previous checkpoint intact.
void save_checkpoint(const std::string& folder, std::int64_t step, const NamedTensors& tensors,
                     const Json& facts);

struct CheckpointInfo {
  std::string folder;  ///< of the checkpoint itself
  std::int64_t step = 0;
  Json facts;
};
/// The newest complete checkpoint; removes unfinished ones. Throws Unavailable
/// when there is none.
CheckpointInfo find_checkpoint(const std::string& folder);

/// Fills the tensors. Throws InvalidInput, with nothing changed, when names,
/// types or shapes differ, or `facts` do: the sentence lists the differences.
void load_checkpoint(const CheckpointInfo& checkpoint, const NamedTensors& tensors, const Json& facts);

}  // namespace ballast::tune
