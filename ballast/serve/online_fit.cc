#include "ballast/serve/online_fit.h"

#include <algorithm>
#include <vector>

namespace ballast::serve {

void OnlineFit::record(const BatchLoad& load, double ms, double predicted) {
  if (!(predicted > 0) || !(ms > 0)) return;
  scale_ += (ms / predicted - scale_) / 128;
  recent_.push_back({load, ms, "online"});
  if (recent_.size() > kRecent) recent_.pop_front();
  ++since_refit_;
}

std::optional<PerfModel> OnlineFit::refit(const PerfModel& present) {
  if (!drifted() || since_refit_ < kBetweenRefits || recent_.size() < kBetweenRefits) return std::nullopt;
  since_refit_ = 0;
  std::vector<MeasuredStep> points(recent_.begin(), recent_.end());
  PerfModel rescaled = present;
  rescaled.scale = scale_;
  const FitQuality before = fit_quality(rescaled, points);
  const std::size_t measured = points.size();
  auto prior = [&](const BatchLoad& load) { points.push_back({load, rescaled.step_ms(load), "prior"}); };
  const int most = present.max_batch_tokens > 0 ? present.max_batch_tokens : 512;
  for (int n = 1; n <= most; n *= 2) {
    for (const int done : {0, 256, 1024}) {
      BatchLoad chunk;
      chunk.add_chunk(n, done);
      prior(chunk);
    }
    for (const int context : {32, 512}) {
      if (n > std::max(1, present.max_sequences)) continue;
      BatchLoad decodes, mixed;
      for (int i = 0; i < n; ++i) decodes.add_decode(1, context), mixed.add_decode(1, context);
      mixed.add_chunk(std::max(1, most / 4), 0);
      prior(decodes);
      prior(mixed);
    }
  }
  FitOptions options;
  options.table = !present.table.empty();
  options.force = true;
  PerfModel model = fit_perf_model(points, options);
  const FitQuality after = fit_quality(model, std::span(points).first(measured));
  if (!(after.mape < before.mape)) return std::nullopt;
  // All that is not a coefficient stays.
  model.name = present.name;
  model.device = present.device;
  model.model = present.model;
  model.origin = present.origin;
  model.kv_tokens = present.kv_tokens;
  model.max_batch_tokens = present.max_batch_tokens;
  model.max_sequences = present.max_sequences;
  model.draft_ms = present.draft_ms;
  model.safety = std::max(present.safety, model.safety);
  scale_ = 1;
  return model;
}

}  // namespace ballast::serve
