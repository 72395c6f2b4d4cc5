// DyNet 2.2 (PyPI: dynet38) as a competitor: TreeLSTM, BiRNN, BiLSTM and lattice LSTM with automatic
// batching, run by a Python script.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/language/reference.h"

namespace ballast::dynamic {

struct DynetRun {
  std::vector<double> outputs;         ///< class scores in the order of the model's result
  std::vector<double> execute, total;  ///< seconds of each round
};
/// nullopt where DyNet is not installed. `autobatch`: DyNet's mode 1 to 3.
/// `model`: treelstm, birnn, bilstm or latticelstm.
std::optional<DynetRun> run_dynet(const std::string& model, const Module& module,
                                  const Parameters& parameters, const std::vector<Instance>& batch,
                                  int autobatch, int rounds);

}  // namespace ballast::dynamic
