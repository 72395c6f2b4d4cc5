#include "ballast/tune/method.h"

#include "ballast/base/cli.h"

namespace ballast::tune {

std::vector<Unit> units_of(model::BlockModel& model) {
  std::vector<Unit> units;
  for (std::int64_t block = 0; block < model.block_count(); ++block) {
    for (const model::NamedLinear& linear : model.linears(block)) {
      units.push_back({static_cast<std::int64_t>(units.size()), block, linear.name, linear.layer.ptr()});
    }
  }
  return units;
}

std::vector<UnitBias> Method::calibrate(std::int64_t, const std::function<at::Tensor(const Unit&)>&) {
  return {};
}

Relearn relearn_from_string(const std::string& word) {
  cli::require_one_of("--relearn", word, {"never", "always", "threshold", "drift"});
  if (word == "never") return Relearn::never;
  if (word == "always") return Relearn::always;
  return word == "drift" ? Relearn::drift : Relearn::threshold;
}

void reproject_moments(const ProjectorPair& from, const ProjectorPair& to, at::Tensor& m, at::Tensor& v) {
  const at::Tensor a = to.p.gram(from.p), c = from.q.gram(to.q);
  const auto clean = [](const at::Tensor& x) { return at::nan_to_num(x, 0.0, 0.0, 0.0); };
  m = clean(a.matmul(m).matmul(c));
  v = clean(a.square().matmul(v).matmul(c.square()));
}

}  // namespace ballast::tune
