// The models in libtorch, on the same weights and instances: eager (one instance, one step at a time, as a
// user writes it, with gates stacked) and batched by hand as an expert would (a TreeLSTM level by level,
// recurrent taggers sorted by length over shrinking batches). One thread, no gradients.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/language/reference.h"

namespace ballast::dynamic {

class TorchPeer {
 public:
  virtual ~TorchPeer() = default;
  /// Runs the mini-batch. Class scores in the order of the model's result.
  virtual std::vector<float> run() = 0;
};

bool have_torch();
/// treelstm, birnn, bilstm or latticelstm; null without libtorch or for another model.
std::unique_ptr<TorchPeer> torch_eager(const std::string& model, const Module& module,
                                       const Parameters& parameters, const std::vector<Instance>& batch);
/// treelstm, birnn or bilstm; null without libtorch or for another model.
std::unique_ptr<TorchPeer> torch_by_hand(const std::string& model, const Module& module,
                                         const Parameters& parameters, const std::vector<Instance>& batch);

}  // namespace ballast::dynamic
