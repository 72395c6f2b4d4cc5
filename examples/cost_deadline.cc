// How many tokens fit a deadline? Fit a model to measured steps, ask it, and see what bounds it.
#include <cstdio>

#include "ballast/cost/fit.h"

int main() {
  using namespace ballast::cost;
  // Seconds of a decoding step by tokens in the batch and by context: what a profile run would measure.
  std::vector<Sample> samples;
  for (double tokens = 1; tokens <= 512; tokens *= 2)
    for (double context = 0; context <= 8000; context += 2000)
      samples.push_back({{tokens, context}, (tokens < 16 ? 5e-3 : 1e-3 + 2.5e-4 * tokens) + 3e-6 * context});

  const Model step = fit_lines("step", {"tokens", "context"}, samples, {.lines = 2});
  std::printf("error on held-out points: %.2f %% on average\n", 100 * step.held_out->mape);
  for (const auto& part : step.explain({64, 4000}))
    std::printf("  %-18s %.4f s\n", part.name.c_str(), part.value);

  const double deadline = 0.050, margin = 1 + step.held_out->under_p95;
  const auto most = step.largest(0, {0, 4000}, deadline / margin);
  if (!most) return 1;
  std::printf("within %.0f ms: %.0f tokens\n", deadline * 1e3, *most);
  return step({*most, 4000}) * margin <= deadline * (1 + 1e-9) ? 0 : 1;
}
