// Four strategies on one federation whose clients drift at different times; prints accuracy and number of
// models.
#include <cstdio>

#include "ballast/federate/engine.h"

namespace fed = ballast::federate;

int main() {
  const auto data =
      fed::make_federation({.name = "circle", .samples = 200, .seed = 1}, fed::ConceptPattern::named("A"));
  fed::RunConfig config;
  config.rounds = 10;
  config.local_steps = 20;
  for (const char* name : {"oracle", "oblivious", "ifca", "feddrift"}) {
    const auto strategy = fed::make_strategy({.name = name, .drift = {.delta = 0.10}}, data.pattern());
    const fed::RunLog log = fed::run(data, *strategy, config);
    std::printf("%-10s accuracy %.4f models %.1f Rand index %.3f\n", name, log.accuracy(), log.mean_models(),
                log.rand_index());
  }
}
