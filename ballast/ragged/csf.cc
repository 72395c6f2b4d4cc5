#include "ballast/ragged/csf.h"

#include "ballast/base/errors.h"

namespace ballast::ragged {

std::vector<std::vector<std::int64_t>> csf_positions(const Tensor& tensor,
                                                     std::span<const std::int32_t> lengths) {
  std::vector<std::vector<std::int64_t>> arrays;
  // For each slice of the outermost dimension: combinations of the indices so far.
  std::vector<std::int64_t> parents(lengths.size(), 1);
  for (std::size_t a = 1; a < tensor->axes.size(); ++a) {
    const LengthFn& extent = tensor->axes[a].extent;
    if (extent.is_constant()) {
      for (std::int64_t& p : parents) p *= extent.constant();
      continue;
    }
    BALLAST_CHECK(extent.of() == tensor->axes[0].dim, "an extent that depends on an inner dimension");
    std::vector<std::int64_t> positions{0};
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      for (std::int64_t p = 0; p < parents[b]; ++p) positions.push_back(positions.back() + lengths[b]);
      parents[b] *= lengths[b];
    }
    arrays.push_back(std::move(positions));
  }
  return arrays;
}

std::vector<Tensor> layer_tensors(std::int64_t model, std::int64_t heads, std::int64_t feed_forward) {
  const Dim b = dim("b"), i = dim("i"), j = dim("j"), h = dim("h"), k = dim("k");
  const LengthFn B = LengthFn::scalar("B"), len = LengthFn::data("len", b, 0, 1 << 20);
  const auto rows = [&](const char* name, std::int64_t width) {
    return input(name, {{b, B}, {i, len}, {k, width}});
  };
  const auto scores = [&](const char* name) { return input(name, {{b, B}, {i, len}, {h, heads}, {j, len}}); };
  return {rows("X", model),  rows("QKV", 3 * model), scores("S"),       scores("P"),
          rows("O", model),  rows("Y", model),       rows("N1", model), rows("F1", feed_forward),
          rows("F2", model), rows("N2", model)};
}

}  // namespace ballast::ragged
