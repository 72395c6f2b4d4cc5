#include "ballast/ragged/work.h"

#include <algorithm>

namespace ballast::ragged {
namespace {

double up(double x, double m) {
  return static_cast<double>(static_cast<std::int64_t>((x + m - 1) / m)) * m;
}

double token_work(double tokens, const LayerSizes& s) {
  const auto d = static_cast<double>(s.model), f = static_cast<double>(s.feed_forward);
  return tokens * (4 * d * d + 2 * d * f);
}

}  // namespace

LayerWork layer_work(std::span<const std::int32_t> lengths, const LayerSizes& s) {
  LayerWork w;
  const auto d = static_cast<double>(s.model), n = static_cast<double>(lengths.size());
  double tokens = 0, squares = 0, longest = 0, tiles = 0;
  for (const std::int32_t length : lengths) {
    const auto l = static_cast<double>(length);
    tokens += l;
    squares += l * l;
    tiles += up(l, 64) * up(l, 64) + up(l, 64) * up(l, 16);
    longest = std::max(longest, l);
  }
  w.exact = token_work(tokens, s) + 2 * d * squares;
  w.padded = token_work(n * longest, s) + 2 * d * n * longest * longest;
  w.partial = token_work(up(tokens, 64), s) + d * tiles;
  w.packed = token_work(tokens, s) + 2 * d * n * longest * longest;
  return w;
}

double microbatch_work(std::span<const std::int32_t> lengths, std::int64_t unit, const LayerSizes& s) {
  std::vector<std::int32_t> sorted(lengths.begin(), lengths.end());
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  double work = 0;
  for (std::size_t i = 0; i < sorted.size(); i += static_cast<std::size_t>(unit))
    work += layer_work(
                std::span(sorted).subspan(i, std::min(static_cast<std::size_t>(unit), sorted.size() - i)), s)
                .padded;
  return work;
}

double bucketed_work(std::span<const std::int32_t> lengths, std::int64_t width, const LayerSizes& s) {
  std::int32_t longest = 0;
  for (const std::int32_t l : lengths) longest = std::max(longest, l);
  double work = 0;
  for (const std::int32_t l : lengths) {
    const std::int64_t to = std::min<std::int64_t>((l + width - 1) / width * width, longest);
    const auto one = static_cast<std::int32_t>(to);
    work += layer_work({&one, 1}, s).exact;
  }
  return work;
}

double activation_floats(std::span<const std::int32_t> lengths, const LayerSizes& s, bool padded) {
  double tokens = 0, squares = 0, longest = 0;
  for (const std::int32_t l : lengths) {
    tokens += l;
    squares += static_cast<double>(l) * l;
    longest = std::max(longest, static_cast<double>(l));
  }
  if (padded) {
    const auto n = static_cast<double>(lengths.size());
    tokens = n * longest;
    squares = n * longest * longest;
  }
  return tokens * static_cast<double>(9 * s.model + s.feed_forward) +
         2.0 * static_cast<double>(s.heads) * squares;
}

}  // namespace ballast::ragged
