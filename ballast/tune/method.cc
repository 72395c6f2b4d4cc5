#include "ballast/tune/method.h"

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

}  // namespace ballast::tune
