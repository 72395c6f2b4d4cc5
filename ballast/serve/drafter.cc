#include "ballast/serve/drafter.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"

namespace ballast::serve {

std::vector<llama::Token> NgramDrafter::look_up(std::span<const llama::Token> history, int most) {
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

std::vector<std::vector<llama::Token>> NgramDrafter::propose(std::span<const DraftWish> wishes) {
  std::vector<std::vector<llama::Token>> guesses;
  for (const DraftWish& wish : wishes) guesses.push_back(look_up(wish.history, wish.most));
  return guesses;
}

namespace {

const llama::Model& checked(const llama::Model& draft, const llama::Model& target) {
  if (!llama::same_vocabulary(draft, target))
    throw InvalidInput(fmt::format("{}: its vocabulary is not that of {}: it cannot draft for it",
                                   draft.path(), target.path()));
  if (!draft.can_drop_suffix())
    throw InvalidInput(fmt::format("{}: this kind of model cannot forget rejected guesses", draft.path()));
  return draft;
}

}  // namespace

ModelDrafter::ModelDrafter(const llama::Model& draft, const llama::Model& target, int slots, int slot_tokens,
                           int threads)
    : model_(checked(draft, target)),
      context_(draft, {.cells = slots * slot_tokens,
                       .sequences = slots,
                       .batch = std::max(256, slots),
                       .outputs = slots,
                       .threads = threads}),
      batch_(context_.batch_capacity()),
      known_(static_cast<std::size_t>(slots)) {}

std::vector<std::vector<llama::Token>> ModelDrafter::propose(std::span<const DraftWish> wishes) {
  std::vector<std::vector<llama::Token>> guesses(wishes.size());
  for (const DraftWish& wish : wishes) {
    auto& known = known_[static_cast<std::size_t>(wish.slot)];
    const auto same =
        std::mismatch(known.begin(), known.end(), wish.history.begin(), wish.history.end()).first;
    // At least the last token is computed anew: its logits are wanted.
    const auto keep = std::min(static_cast<std::size_t>(same - known.begin()), wish.history.size() - 1);
    if (keep < known.size()) context_.drop(wish.slot, static_cast<int>(keep));
    known.resize(keep);
  }
  // Each round feeds what every wish still lacks, history first, then its own last guess, until all have
  // theirs.
  for (;;) {
    batch_.clear();
    std::vector<std::pair<std::size_t, int>> ready;  // wish, place of its logits
    for (std::size_t w = 0; w < wishes.size(); ++w) {
      const DraftWish& wish = wishes[w];
      auto& known = known_[static_cast<std::size_t>(wish.slot)];
      const std::size_t all = wish.history.size() + guesses[w].size();
      const bool full = static_cast<int>(all) > context_.cells_per_sequence();
      if (std::ssize(guesses[w]) >= wish.most || full) continue;
      while (known.size() < all && batch_.size() < batch_.capacity()) {
        const std::size_t at = known.size();
        const llama::Token token =
            at < wish.history.size() ? wish.history[at] : guesses[w][at - wish.history.size()];
        batch_.add(token, static_cast<int>(at), wish.slot, at + 1 == all);
        known.push_back(token);
      }
      if (known.size() == all && batch_.size() > 0) ready.emplace_back(w, batch_.size() - 1);
    }
    if (batch_.size() == 0) return guesses;
    if (context_.decode(batch_) != llama::DecodeStatus::ok) {
      context_.clear();
      for (auto& known : known_) known.clear();
      return guesses;  // a guess is never owed
    }
    for (const auto& [w, place] : ready) guesses[w].push_back(context_.greedy(place));
  }
}

double ModelDrafter::measure_step_ms() {
  std::vector<double> times;
  context_.clear();
  for (int i = 0; i < 12; ++i) {
    batch_.clear();
    batch_.add(model_.tokenize("a", false).front(), i, 0, true);
    const auto start = std::chrono::steady_clock::now();
    if (context_.decode(batch_) != llama::DecodeStatus::ok) break;
    context_.greedy(0);
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  context_.clear();
  for (auto& known : known_) known.clear();
  if (times.empty()) throw Unavailable(model_.path() + ": the draft model cannot be run");
  return median(times);
}

}  // namespace ballast::serve
