#include "ballast/index/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/data/datasets.h"
#include "ballast/data/permutation.h"
#include "ballast/data/stream.h"
#include "ballast/data/zipf.h"

namespace ballast::index {
namespace {

enum Stream : std::uint64_t { kKeys = 1, kPieces = 2, kWithin = 3, kItems = 4 };

std::uint64_t piece_of_draw(const data::Zipf& zipf, const data::Permutation& order, double alpha,
                            std::uint64_t seed, std::uint64_t batch, std::uint64_t i) {
  return order(alpha < 0 ? 0 : zipf.at(seed, kPieces + (batch << 8), i));
}

}  // namespace

std::vector<Entry> entries_of(std::vector<Key> keys) {
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::vector<Entry> entries(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) entries[i] = {keys[i], i};
  return entries;
}

std::vector<Entry> uniform_entries(std::uint64_t count, std::uint64_t seed) {
  std::vector<Key> keys(count);
  Random random(seed, kKeys);
  for (Key& key : keys) key = random();
  std::vector<Entry> entries = entries_of(std::move(keys));
  while (entries.size() < count) {  // a collision of 64-bit keys: hardly ever
    entries.push_back({random(), 0});
    std::vector<Key> again;
    for (const auto& entry : entries) again.push_back(entry.key);
    entries = entries_of(std::move(again));
  }
  return entries;
}

std::vector<Key> piece_zipf(std::uint64_t count, std::uint64_t pieces, double alpha, std::uint64_t seed,
                            std::uint64_t batch) {
  const data::Zipf zipf(pieces, std::max(alpha, 0.0));
  const data::Permutation order(pieces, mix64(seed + batch));
  const double width = std::ldexp(1.0, 64) / static_cast<double>(pieces);
  std::vector<Key> keys(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto low =
        static_cast<Key>(width * static_cast<double>(piece_of_draw(zipf, order, alpha, seed, batch, i)));
    keys[i] = low + Random(mix64(seed ^ mix64(batch)), i).below(static_cast<std::uint64_t>(width));
  }
  return keys;
}

std::vector<Key> piece_zipf_existing(std::span<const Entry> entries, std::uint64_t count,
                                     std::uint64_t pieces, double alpha, std::uint64_t seed,
                                     std::uint64_t batch) {
  if (entries.empty()) throw InvalidInput("questions about existing keys", "no keys", "at least one");
  pieces = std::min<std::uint64_t>(pieces, entries.size());
  const data::Zipf zipf(pieces, std::max(alpha, 0.0));
  const data::Permutation order(pieces, mix64(seed + batch));
  std::vector<Key> keys(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t piece = piece_of_draw(zipf, order, alpha, seed, batch, i);
    const std::uint64_t begin = piece * entries.size() / pieces, end = (piece + 1) * entries.size() / pieces;
    keys[i] = entries[begin + Random(mix64(seed ^ mix64(batch)), i).below(end - begin)].key;
  }
  return keys;
}

std::vector<Key> item_zipf(std::span<const Entry> entries, std::uint64_t count, double alpha,
                           std::uint64_t seed, std::uint64_t batch) {
  if (entries.empty()) throw InvalidInput("questions about existing keys", "no keys", "at least one");
  const data::Zipf zipf(entries.size(), alpha);
  const data::Permutation scatter(entries.size(), seed);
  std::vector<Key> keys(count);
  for (std::uint64_t i = 0; i < count; ++i)
    keys[i] = entries[scatter(zipf.at(seed, kItems + (batch << 8), i))].key;
  return keys;
}

// Each recipe gives about `count` distinct keys. wiki-like: timestamps in seconds, quiet and busy hours,
// bursts of edits in one second joined. osm-like: Morton codes of points around 1000 towns. books-like:
// lognormal sizes.
std::vector<Key> keys_like(const std::string& name, std::uint64_t count, std::uint64_t seed) {
  Random random(seed, kKeys + 8);
  std::vector<Key> keys;
  keys.reserve(count);
  if (name == "wiki-like") {
    double now = 1.0e9;
    while (keys.size() < count) {
      const double busy = 1 + 0.9 * std::sin(now / 13'751.0);
      now += 1 + random.exponential() / busy * 3;
      keys.push_back(static_cast<Key>(now));
    }
  } else if (name == "osm-like") {
    std::vector<std::pair<double, double>> towns(1000);
    for (auto& [x, y] : towns) x = random.uniform(), y = random.uniform();
    const auto spread = [](std::uint64_t x) {
      std::uint64_t out = 0;
      for (int bit = 0; bit < 32; ++bit) out |= (x >> bit & 1) << (2 * bit);
      return out;
    };
    while (keys.size() < count) {
      const auto& [x, y] = towns[random.below(1 + random.below(towns.size()))];
      const auto at = [&](double centre) {
        const double place = std::clamp(centre + 0.004 * random.normal(), 0.0, 0.999999999);
        return static_cast<std::uint64_t>(std::ldexp(place, 32));
      };
      keys.push_back(spread(at(x)) | spread(at(y)) << 1);
    }
  } else if (name == "books-like") {
    while (keys.size() < count) keys.push_back(static_cast<Key>(std::exp(28 + 3 * random.normal())));
  } else {
    throw InvalidInput("keys", name, "uniform, wiki-like, osm-like or books-like");
  }
  return keys;
}

// GeoIP's legacy country database is a binary trie over the bits of an address: record = two 3-byte
// little-endian children; a child of at least 0xffff00 is a country. Every leaf of another country than the
// one before it begins a range.
std::vector<Key> ipv4_range_keys() {
  const std::string path = data::find_dataset("geoip") + "/GeoIP.dat";
  const std::string bytes = read_file(path);
  constexpr std::uint32_t kCountries = 0xffff00;
  std::vector<Key> starts;
  struct Node {
    std::uint32_t record, address;
    int depth;
  };
  std::vector<Node> stack{{0, 0, 0}};
  std::uint32_t last = ~0u;
  while (!stack.empty()) {
    const Node node = stack.back();
    stack.pop_back();
    if (node.record >= kCountries) {
      if (node.record != last) starts.push_back(node.address);
      last = node.record;
      continue;
    }
    const std::size_t at = std::size_t{6} * node.record;
    if (at + 6 > bytes.size() || node.depth >= 32)
      throw InvalidInput::at_byte(path, at, "this is no GeoIP country database");
    const auto child = [&](std::size_t i) {
      const auto byte = [&](std::size_t b) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + 3 * i + b]));
      };
      return byte(0) | byte(1) << 8 | byte(2) << 16;
    };
    stack.push_back({child(1), node.address | 1u << (31 - node.depth), node.depth + 1});
    stack.push_back({child(0), node.address, node.depth + 1});
  }
  return starts;
}

Key string_prefix(std::string_view text) {
  Key key = 0;
  for (std::size_t i = 0; i < 8; ++i)
    key = key << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0);
  return key;
}

std::vector<Key> word_keys() {
  data::LineReader lines(data::InputStream::open(data::find_dataset("words") + "/american-english-insane"));
  std::vector<Key> keys;
  std::string_view line;
  while (lines.next(line)) {
    keys.push_back(string_prefix(line));
  }
  return keys;
}

}  // namespace ballast::index
