#include "ballast/graph/dist/rows.h"

namespace ballast::graph {

Rows::Rows(Csr csr, LocalId owned, const Options& options, Workers& workers) {
  offsets_ = std::move(csr.offsets);
  csr.offsets.clear();
  inner_.resize(count());
  for (LocalId v = 0; v < count(); ++v) {
    const auto first = csr.targets.begin() + static_cast<std::ptrdiff_t>(offsets_[v]),
               last = csr.targets.begin() + static_cast<std::ptrdiff_t>(offsets_[v + 1]);
    inner_[v] = static_cast<std::uint32_t>(std::lower_bound(first, last, owned) - first);
    outer_entries_ += static_cast<std::uint64_t>(last - first) - inner_[v];
  }
  ends_.resize(options.coded ? 0 : csr.targets.size());
  weights_.resize(csr.weights.size());
  constexpr std::size_t kBlock = 1 << 14;
  const std::size_t blocks = (csr.targets.size() + kBlock - 1) / kBlock;
  const auto copy = [&](std::size_t block) {
    const std::size_t first = block * kBlock, last = std::min(first + kBlock, csr.targets.size());
    for (std::size_t i = first; i < last && !options.coded; ++i) ends_[i] = csr.targets[i];
    for (std::size_t i = first; i < std::min(last, csr.weights.size()); ++i) weights_[i] = csr.weights[i];
  };
  if (options.first_touch) {
    workers.run(blocks, copy);
  } else {
    for (std::size_t block = 0; block < blocks; ++block) copy(block);
  }
  if (options.coded) encode(csr, owned);
}

void Rows::encode(const Csr& csr, LocalId owned) {
  byte_offsets_.push_back(0);
  for (LocalId v = 0; v < count(); ++v) {
    LocalId before = 0;
    bool inner = true;
    inner_bytes_.push_back(0);
    for (std::uint64_t i = offsets_[v]; i < offsets_[v + 1]; ++i) {
      if (inner && csr.targets[i] >= owned) {
        inner = false;
        before = 0;
        inner_bytes_.back() = static_cast<std::uint32_t>(codes_.size() - byte_offsets_.back());
      }
      LocalId step = csr.targets[i] - before;
      for (before = csr.targets[i]; step >= 0x80; step >>= 7)
        codes_.push_back(static_cast<std::uint8_t>(step | 0x80));
      codes_.push_back(static_cast<std::uint8_t>(step));
    }
    if (inner) inner_bytes_.back() = static_cast<std::uint32_t>(codes_.size() - byte_offsets_.back());
    byte_offsets_.push_back(codes_.size());
  }
  codes_.shrink_to_fit();
}

std::uint64_t Rows::bytes() const {
  return 8 * offsets_.size() + 4 * inner_.size() + 4 * ends_.size() + codes_.size() +
         8 * byte_offsets_.size() + 4 * inner_bytes_.size() + 8 * weights_.size();
}

}  // namespace ballast::graph
