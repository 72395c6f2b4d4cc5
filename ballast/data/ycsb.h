// The key choosers of YCSB (Cooper et al., "Benchmarking cloud serving systems with YCSB", SoCC 2010), with
// the arithmetic of its generators, and exact Zipf beside them.
//
//   KeyChooser keys({.law = KeyLaw::scrambled, .records = 1'000'000}, seed);
//   std::uint64_t key = keys.at(stream, i);            // in [0, records)
//
// | law | what |
// | uniform | every key alike |
// | zipf | exact Zipf of any exponent over ranks, scattered by a Permutation (ours, not YCSB's) |
// | zipfian | YCSB's ZipfianGenerator: the approximation of Gray et al. (SIGMOD 1994); key 0 is the hottest |
// | scrambled | YCSB's ScrambledZipfianGenerator: a zipfian over 10^10 items, FNV-hashed onto the keys |
// | latest | YCSB's SkewedLatestGenerator: zipfian distance from the newest key |
// | hotspot | a share of the operations on a share of the keys, uniform within and without |
// | exponential | YCSB's ExponentialGenerator: `percentile` % of the draws within `frac` of the keys |
// | sequential | i mod records |
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ballast/data/permutation.h"
#include "ballast/data/zipf.h"

namespace ballast::data {

/// YCSB's ZipfianGenerator, equal to it bit by bit for the same uniform number as far as the C library's
/// pow() is equal to Java's.
class YcsbZipfian {
 public:
  /// zeta(items, theta) is summed term by term as YCSB does, up to 10^7 items; above, by Euler-Maclaurin
  /// (relative difference below 1e-12). Throws InvalidInput unless items >= 2 and 0 < theta < 1.
  explicit YcsbZipfian(std::uint64_t items, double theta = 0.99);
  /// With a zeta that is known, such as YCSB's constant for 10^10 items.
  YcsbZipfian(std::uint64_t items, double theta, double zeta);

  std::uint64_t at(double uniform) const;
  double zeta() const { return zeta_; }

 private:
  std::uint64_t items_;
  double theta_, zeta_, alpha_, eta_;
};

/// YCSB's Utils.fnvhash64: FNV-1a over the eight octets, then the absolute value.
std::uint64_t ycsb_hash(std::uint64_t value);

enum class KeyLaw { uniform, zipf, zipfian, scrambled, latest, hotspot, exponential, sequential };
/// Throws InvalidInput naming the nearest word.
KeyLaw key_law(const std::string& flag, const std::string& word);
const std::vector<std::string>& key_law_words();

struct KeyOptions {
  KeyLaw law = KeyLaw::uniform;
  std::uint64_t records = 1;
  double exponent = 0.99;          ///< zipf: any >= 0; zipfian and latest: YCSB's theta, between 0 and 1
  double hot_share = 0.2;          ///< hotspot: share of the keys
  double hot_operations = 0.8;     ///< hotspot: share of the operations that they get
  double percentile = 95;          ///< exponential
  double fraction = 0.8571428571;  ///< exponential: YCSB's default
};

class KeyChooser {
 public:
  KeyChooser(const KeyOptions& options, std::uint64_t seed);

  /// Key of draw `index` of `stream`, in [0, records): a pure function of its arguments, options and seed.
  std::uint64_t at(std::uint64_t stream, std::uint64_t index) const;
  const KeyOptions& options() const { return options_; }

 private:
  KeyOptions options_;
  std::uint64_t seed_;
  std::optional<Zipf> zipf_;
  std::optional<Permutation> scatter_;
  std::optional<YcsbZipfian> zipfian_;
};

}  // namespace ballast::data
