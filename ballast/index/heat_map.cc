#include "ballast/index/heat_map.h"

#include <fmt/format.h>

#include <algorithm>

namespace ballast::index {

std::string heat_map(const pim::Cost& cost, std::uint64_t scale_words) {
  constexpr std::size_t kRounds = 64, kColumns = 256;
  const std::size_t rounds = std::min(cost.rounds.size(), kRounds);
  const std::size_t columns = std::min<std::size_t>(cost.modules, kColumns);
  std::uint64_t most = scale_words;
  std::vector<std::vector<std::uint64_t>> cells(rounds, std::vector<std::uint64_t>(columns));
  for (std::size_t r = 0; r < rounds; ++r) {
    const auto& words = cost.rounds[r].module_words;
    for (std::size_t m = 0; m < words.size(); ++m) {
      auto& cell = cells[r][m * columns / cost.modules];
      cell = std::max<std::uint64_t>(cell, words[m]);
    }
    if (scale_words == 0)
      for (const std::uint64_t cell : cells[r]) most = std::max(most, cell);
  }
  constexpr int kLeft = 90, kRow = 16, kWidth = 640;
  const double width = static_cast<double>(kWidth) / static_cast<double>(columns);
  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {} {}' role='img' font-size='11' "
      "fill='currentColor'>",
      kLeft + kWidth, kRow * rounds + 20);
  for (std::size_t r = 0; r < rounds; ++r) {
    svg += fmt::format("<text x='0' y='{}'>{}</text>", kRow * r + 12, cost.rounds[r].phase);
    for (std::size_t c = 0; c < columns; ++c) {
      if (cells[r][c] == 0) continue;
      const double shade = std::min(
          1.0, static_cast<double>(cells[r][c]) / static_cast<double>(std::max<std::uint64_t>(most, 1)));
      svg += fmt::format(
          "<rect x='{:.1f}' y='{}' width='{:.1f}' height='{}' fill='#c0392b' fill-opacity='{:.2f}'/>",
          kLeft + width * static_cast<double>(c), kRow * r + 1, width, kRow - 2, 0.06 + 0.94 * shade);
    }
  }
  svg += fmt::format("<text x='{}' y='{}'>module 0 to {}; darkest: {} words</text></svg>", kLeft,
                     kRow * rounds + 14, cost.modules - 1, most);
  return svg;
}

}  // namespace ballast::index
