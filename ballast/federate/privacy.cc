#include "ballast/federate/privacy.h"

#include <cmath>

#include "ballast/base/random.h"

namespace ballast::federate {

double update_norm(const Params& trained, const Params& start) {
  double sum = 0;
  for (std::size_t i = 0; i < trained.size(); ++i) {
    const double d = static_cast<double>(trained[i]) - start[i];
    sum += d * d;
  }
  return std::sqrt(sum);
}

bool clip_update(Params& trained, const Params& start, double clip) {
  const double norm = update_norm(trained, start);
  if (!(norm > clip)) return false;
  const double scale = clip / norm;
  for (std::size_t i = 0; i < trained.size(); ++i)
    trained[i] = static_cast<float>(start[i] + scale * (static_cast<double>(trained[i]) - start[i]));
  return true;
}

void add_noise(Params& params, double deviation, std::uint64_t key) {
  Random random(key, 0xD9);
  for (float& value : params) value = static_cast<float>(value + deviation * random.normal());
}

double next_clip(double clip, double below) {
  return clip * std::exp(-0.2 * (below - 0.5));
}

}  // namespace ballast::federate
