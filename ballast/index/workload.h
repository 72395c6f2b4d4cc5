// Keys and questions of the benchmarks (specification 9.0): uniform keys, questions skewed over pieces of the
// key space, over items, or over nothing at all; moving tails; and real keys of Debian packages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ballast/index/types.h"

namespace ballast::index {

/// `count` distinct uniform keys, ascending; values are their positions.
std::vector<Entry> uniform_entries(std::uint64_t count, std::uint64_t seed);
/// Distinct keys from any list, ascending; values are their positions.
std::vector<Entry> entries_of(std::vector<Key> keys);

/// piece-zipf(alpha): the key space is cut in `pieces` equal pieces; a fresh random permutation of them a
/// batch; the piece's rank by Zipf(alpha), the key uniform within it. alpha < 0: all questions in one random
/// piece.
std::vector<Key> piece_zipf(std::uint64_t count, std::uint64_t pieces, double alpha, std::uint64_t seed,
                            std::uint64_t batch);
/// The same over the ranks of existing keys: every question is one of them.
std::vector<Key> piece_zipf_existing(std::span<const Entry> entries, std::uint64_t count,
                                     std::uint64_t pieces, double alpha, std::uint64_t seed,
                                     std::uint64_t batch);
/// item-zipf: existing keys, each key's rank by Zipf(alpha) over a random order.
std::vector<Key> item_zipf(std::span<const Entry> entries, std::uint64_t count, double alpha,
                           std::uint64_t seed, std::uint64_t batch);

/// Stand-ins for the key sets that users bring (SOSD's): wiki-like, osm-like, books-like. Duplicates may
/// occur.
std::vector<Key> keys_like(const std::string& name, std::uint64_t count, std::uint64_t seed);

/// The first eight bytes of a string, big-endian: strings of different prefixes keep their order.
Key string_prefix(std::string_view text);

/// First addresses of the IPv4 ranges of geoip-database (a country's ranges), ascending. Throws Unavailable
/// when the package's data are not here.
std::vector<Key> ipv4_range_keys();
/// The first eight bytes, big-endian, of every word of the largest English word list.
std::vector<Key> word_keys();

}  // namespace ballast::index
