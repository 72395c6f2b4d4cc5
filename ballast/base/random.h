// Keyed, counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1,
// 2, 3", SC 2011). A draw is a pure function of (key, counter), so generators that split work over machines
// or threads give the same numbers however the work was split.
//
//   Random random(seed, stream);             // UniformRandomBitGenerator of 64 bits
//   double u = random.uniform();             // [0, 1)
//   std::uint64_t k = random.below(n);       // unbiased
//   auto words = philox(key, counter);       // stateless: 4 words for this counter
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <utility>

namespace ballast {

namespace internal {
__extension__ using uint128 = unsigned __int128;
}

/// The four 32-bit words of Philox4x32-10 for this 64-bit key and 128-bit counter.
constexpr std::array<std::uint32_t, 4> philox(std::uint64_t key, std::array<std::uint32_t, 4> counter) {
  std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(a)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

constexpr std::array<std::uint32_t, 4> philox(std::uint64_t key, std::uint64_t low, std::uint64_t high = 0) {
  return philox(key, std::array<std::uint32_t, 4>{
                         static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32),
                         static_cast<std::uint32_t>(high), static_cast<std::uint32_t>(high >> 32)});
}

/// A finaliser-quality 64-bit mixing (SplitMix64's), for hashing integers into streams.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// A sequence of draws from one stream of one seed. Copying it copies its place in the stream.
class Random {
 public:
  using result_type = std::uint64_t;

  explicit constexpr Random(std::uint64_t seed, std::uint64_t stream = 0) : key_(seed), stream_(stream) {}

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }

  constexpr std::uint64_t operator()() {
    if (left_ == 0) {
      const auto words = philox(key_, next_++, stream_);
      block_ = {words[0] | std::uint64_t{words[1]} << 32, words[2] | std::uint64_t{words[3]} << 32};
      left_ = 2;
    }
    return block_[--left_];
  }

  /// Uniform in [0, 1) with 53 random bits.
  constexpr double uniform() { return static_cast<double>((*this)() >> 11) * 0x1p-53; }
  constexpr double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// Uniform in {0, ..., n-1} without bias (Lemire's multiply-and-reject); n must be positive.
  constexpr std::uint64_t below(std::uint64_t n) {
    for (;;) {
      const auto product = static_cast<internal::uint128>((*this)()) * n;
      const auto low = static_cast<std::uint64_t>(product);
      if (low >= n || low >= (0 - n) % n) return static_cast<std::uint64_t>(product >> 64);
    }
  }

  /// Standard normal (Box-Muller) and exponential of mean 1.
  double normal();
  double exponential();

  /// Fisher-Yates.
  template <typename Range>
  constexpr void shuffle(Range& range) {
    for (std::size_t i = range.size(); i > 1; --i) std::swap(range[i - 1], range[below(i)]);
  }

 private:
  std::uint64_t key_, stream_;
  std::uint64_t next_ = 0;
  std::array<std::uint64_t, 2> block_{};
  int left_ = 0;
};

}  // namespace ballast
