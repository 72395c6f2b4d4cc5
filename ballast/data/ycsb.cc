#include "ballast/data/ycsb.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::data {
namespace {

constexpr std::uint64_t kSummedItems = 10'000'000;
// ScrambledZipfianGenerator's item count and its zeta at theta 0.99.
constexpr std::uint64_t kScrambledItems = 10'000'000'000;
constexpr double kScrambledZeta = 26.46902820178302;

double ycsb_zeta(std::uint64_t items, double theta) {
  if (items > kSummedItems) return harmonic(items, theta);
  double sum = 0;
  for (std::uint64_t i = 0; i < items; ++i) sum += 1 / std::pow(static_cast<double>(i + 1), theta);
  return sum;
}

}  // namespace

YcsbZipfian::YcsbZipfian(std::uint64_t items, double theta) : YcsbZipfian(items, theta, 0) {
  zeta_ = ycsb_zeta(items, theta);
  const double zeta2 = ycsb_zeta(2, theta);
  eta_ = (1 - std::pow(2.0 / static_cast<double>(items), 1 - theta)) / (1 - zeta2 / zeta_);
}

YcsbZipfian::YcsbZipfian(std::uint64_t items, double theta, double zeta)
    : items_(items), theta_(theta), zeta_(zeta), alpha_(1.0 / (1.0 - theta)), eta_(0) {
  if (items < 2) throw InvalidInput("items of a YCSB zipfian", std::to_string(items), "at least 2");
  if (!(theta > 0 && theta < 1))
    throw InvalidInput("exponent of a YCSB zipfian", fmt::format("{}", theta),
                       "between 0 and 1 (the law 'zipf' takes any)");
  if (zeta > 0)
    eta_ = (1 - std::pow(2.0 / static_cast<double>(items), 1 - theta)) / (1 - ycsb_zeta(2, theta) / zeta);
}

std::uint64_t YcsbZipfian::at(double uniform) const {
  const double uz = uniform * zeta_;
  if (uz < 1.0) return 0;
  if (uz < 1.0 + std::pow(0.5, theta_)) return 1;
  const auto item =
      static_cast<std::uint64_t>(static_cast<double>(items_) * std::pow(eta_ * uniform - eta_ + 1, alpha_));
  return std::min(item, items_ - 1);
}

std::uint64_t ycsb_hash(std::uint64_t value) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (int i = 0; i < 8; ++i) {
    hash ^= value & 0xff;
    hash *= 1099511628211u;
    value >>= 8;
  }
  return hash >> 63 ? 0 - hash : hash;
}

const std::vector<std::string>& key_law_words() {
  static const std::vector<std::string> words = {"uniform", "zipf",    "zipfian",     "scrambled",
                                                 "latest",  "hotspot", "exponential", "sequential"};
  return words;
}

KeyLaw key_law(const std::string& flag, const std::string& word) {
  cli::require_one_of(flag, word, key_law_words());
  const auto& words = key_law_words();
  return static_cast<KeyLaw>(std::find(words.begin(), words.end(), word) - words.begin());
}

KeyChooser::KeyChooser(const KeyOptions& options, std::uint64_t seed) : options_(options), seed_(seed) {
  const auto share = [](const char* what, double value) {
    if (!(value > 0 && value <= 1)) throw InvalidInput(what, fmt::format("{}", value), "above 0, up to 1");
  };
  if (options.records == 0) throw InvalidInput("number of records", "0", "at least 1");
  switch (options.law) {
    case KeyLaw::zipf:
      zipf_.emplace(options.records, options.exponent);
      scatter_.emplace(options.records, seed);
      break;
    case KeyLaw::zipfian:
    case KeyLaw::latest:
      zipfian_.emplace(options.records, options.exponent);
      break;
    case KeyLaw::scrambled:
      // YCSB counts its items from 0 to 10^10 inclusive, and keeps the zeta of 10^10.
      zipfian_.emplace(kScrambledItems + 1, 0.99, kScrambledZeta);
      break;
    case KeyLaw::hotspot:
      share("share of hot keys", options.hot_share);
      share("share of hot operations", options.hot_operations);
      break;
    case KeyLaw::exponential:
      share("fraction of the exponential law", options.fraction);
      if (!(options.percentile > 0 && options.percentile < 100))
        throw InvalidInput("percentile of the exponential law", fmt::format("{}", options.percentile),
                           "between 0 and 100");
      break;
    case KeyLaw::uniform:
    case KeyLaw::sequential:
      break;
  }
}

std::uint64_t KeyChooser::at(std::uint64_t stream, std::uint64_t index) const {
  const std::uint64_t n = options_.records;
  if (options_.law == KeyLaw::sequential) return index % n;
  if (options_.law == KeyLaw::zipf) return (*scatter_)(zipf_->at(seed_, stream, index));
  Random random(mix64(seed_ ^ mix64(stream)), index);
  switch (options_.law) {
    case KeyLaw::zipfian:
      return zipfian_->at(random.uniform());
    case KeyLaw::scrambled:
      return ycsb_hash(zipfian_->at(random.uniform())) % n;
    case KeyLaw::latest:
      return n - 1 - zipfian_->at(random.uniform());
    case KeyLaw::hotspot: {
      const auto hot = std::clamp<std::uint64_t>(
          static_cast<std::uint64_t>(options_.hot_share * static_cast<double>(n)), 1, n);
      if (hot == n || random.uniform() < options_.hot_operations) return random.below(hot);
      return hot + random.below(n - hot);
    }
    case KeyLaw::exponential: {
      const double gamma =
          -std::log(1 - options_.percentile / 100) / (options_.fraction * static_cast<double>(n));
      for (;;) {  // YCSB draws again when the value lies beyond the newest key
        const double value = -std::log1p(-random.uniform()) / gamma;
        if (value < static_cast<double>(n)) return static_cast<std::uint64_t>(value);
      }
    }
    default:
      return random.below(n);
  }
}

}  // namespace ballast::data
