#include "ballast/base/errors.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {

double default_delta(const std::string& data) {
  if (data == "sine") return 0.20;
  if (data == "sea") return 0.04;
  return 0.10;
}

RunConfig preset(const std::string& name, const std::string& data) {
  cli::require_one_of("--preset", name, {"smoke", "fast", "paper"});
  RunConfig config;
  if (name == "smoke") config.rounds = 10, config.local_steps = 5;
  if (name == "fast") config.rounds = 20, config.local_steps = 20;
  if (name == "paper") config.rounds = 100, config.local_steps = 50;
  if (data == "fmnist" || data == "mnist" || data == "digits") {
    config.hidden = 64;
    config.optimizer.learning_rate = 1e-3f;
    if (name == "paper") config.rounds = 30, config.local_steps = 20;
  }
  if (data == "letter") config.hidden = 64;
  return config;
}

}  // namespace ballast::federate
