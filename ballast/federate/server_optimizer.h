// What the server does with a cluster's mean update: takes it as it is, or treats it as a gradient (Reddi et
// al. 2021; Flash: Panchal et al. 2023).
#pragma once

#include <string>

#include "ballast/federate/params.h"

namespace ballast::federate {

/// State of one slot.
struct ServerOptimizerState {
  std::vector<double> m, v, d;
  void archive(Archive& a) { a& m& v& d; }
};

/// none, fedavgm, fedadagrad, fedadam, fedyogi, flash.
std::vector<std::string> server_optimizer_names();

/// The next model from `start` and the clients' mean. Rate 1e-2 (fedavgm: 1), beta 0.9 and 0.99, tau 1e-3.
Params server_step(const std::string& name, ServerOptimizerState& state, const Params& start,
                   const Params& mean);

}  // namespace ballast::federate
