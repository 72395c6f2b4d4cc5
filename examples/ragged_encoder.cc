// Three sentences of different lengths through one encoder layer, without padding.
#include <cstdio>
#include <vector>

#include "ballast/ragged/encoder.h"

int main() {
  using namespace ballast;
  const ragged::EncoderConfig config{.layers = 1, .model = 64, .heads = 4, .feed_forward = 128};
  loop::KernelRegistry registry;  // compiles once, keeps objects on disk
  loop::Launcher launcher;        // all cores
  const ragged::Encoder encoder(registry, config, ragged::random_weights(config, 1));

  const std::vector<std::int32_t> lengths{5, 17, 9};
  const ragged::Plan plan = ragged::Plan::ragged(lengths);
  std::vector<float> hidden(static_cast<std::size_t>(plan.rows * config.model), 0.25f);
  ragged::Workspace workspace;
  encoder.forward(launcher, plan, hidden.data(), workspace);
  std::printf("%lld rows instead of %d padded ones; first value %.4f\n", static_cast<long long>(plan.rows),
              3 * 17, hidden[0]);
  return plan.rows == 31 ? 0 : 1;
}
