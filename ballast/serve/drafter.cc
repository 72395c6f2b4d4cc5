#include "ballast/serve/drafter.h"

#include <algorithm>

namespace ballast::serve {

std::vector<llama::Token> NgramDrafter::propose(std::span<const llama::Token> history, int most) {
  constexpr std::size_t kLongest = 4, kShortest = 2, kLookBack = 4096;
  if (most <= 0) return {};
  const std::size_t begin = history.size() > kLookBack ? history.size() - kLookBack : 0;
  for (std::size_t length = kLongest; length >= kShortest; --length) {
    if (history.size() - begin <= length) continue;
    const auto suffix = history.last(length);
    for (std::size_t end = history.size() - 1; end >= begin + length; --end) {  // the match ends before `end`
      if (!std::equal(suffix.begin(), suffix.end(),
                      history.begin() + static_cast<std::ptrdiff_t>(end - length)))
        continue;
      const std::size_t count = std::min(static_cast<std::size_t>(most), history.size() - end);
      return {history.begin() + static_cast<std::ptrdiff_t>(end),
              history.begin() + static_cast<std::ptrdiff_t>(end + count)};
    }
  }
  return {};
}

}  // namespace ballast::serve
