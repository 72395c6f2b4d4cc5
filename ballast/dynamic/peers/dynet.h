// DyNet 2.2 (PyPI: dynet38) as a competitor: the TreeLSTM with automatic batching, run by a Python script.
#pragma once

#include <optional>
#include <vector>

#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/language/reference.h"

namespace ballast::dynamic {

struct DynetRun {
  std::vector<double> outputs;         ///< logits in preorder of the internal nodes
  std::vector<double> execute, total;  ///< seconds of each round
};
/// nullopt where DyNet is not installed. `autobatch`: DyNet's mode 1 to 3.
std::optional<DynetRun> run_dynet(const Module& treelstm, const Parameters& parameters,
                                  const std::vector<Instance>& trees, int autobatch, int rounds);

}  // namespace ballast::dynamic
