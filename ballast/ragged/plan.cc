#include "ballast/ragged/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "ballast/base/errors.h"

namespace ballast::ragged {
namespace {

Plan build(std::span<const std::int32_t> lengths, std::int64_t to, bool dense, std::int64_t max_length) {
  Plan p;
  p.lengths.assign(lengths.begin(), lengths.end());
  std::int64_t total = 0;
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    if (lengths[b] < 0 || lengths[b] > max_length)
      throw InvalidInput(fmt::format("len[{}]", b), std::to_string(lengths[b]),
                         fmt::format("lengths from 0 to {}", max_length));
    if (dense && lengths[b] > to)
      throw InvalidInput(fmt::format("len[{}]", b), std::to_string(lengths[b]),
                         fmt::format("at most the padded length {}", to));
    p.offsets.push_back(static_cast<std::int32_t>(total));
    total += dense ? to : lengths[b];
    if (total > std::numeric_limits<std::int32_t>::max())
      throw InvalidInput("rows of one batch", std::to_string(total), "fewer than 2^31: cut the batch");
  }
  p.offsets.push_back(static_cast<std::int32_t>(total));
  p.rows = total;
  p.positions.reserve(static_cast<std::size_t>(total));
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return lengths[a] > lengths[b]; });
  for (const std::size_t b : order) {
    const std::int64_t rows = dense ? to : lengths[b];
    for (std::int64_t row = 0; row < rows; row += Plan::kRowTile) {
      p.tile_start.push_back(p.offsets[b]);
      p.tile_row.push_back(static_cast<std::int32_t>(row));
      p.tile_length.push_back(static_cast<std::int32_t>(rows));
      p.tile_keys.push_back(lengths[b]);
    }
  }
  for (std::size_t b = 0; b < lengths.size(); ++b)
    for (std::int32_t i = 0; i < (dense ? to : lengths[b]); ++i) p.positions.push_back(i);
  return p;
}

}  // namespace

Plan Plan::ragged(std::span<const std::int32_t> lengths, std::int64_t max_length) {
  return build(lengths, 0, false, max_length);
}

Plan Plan::padded(std::span<const std::int32_t> lengths, std::int64_t to, std::int64_t max_length) {
  if (to == 0)
    for (const std::int32_t l : lengths) to = std::max<std::int64_t>(to, l);
  return build(lengths, to, true, max_length);
}

std::int64_t Plan::table_bytes() const {
  return static_cast<std::int64_t>(4 * (offsets.size() + 4 * tile_start.size()));
}

}  // namespace ballast::ragged
