// YCSB's workloads as operations on an ordered index, and the ordered variants of the PIM-tree paper.
//
//   A 50 % read, 50 % update   B 95/5   C read   D 95 % read of the latest, 5 % insert
//   E 95 % scan, 5 % insert    F 50 % read, 50 % read-modify-write (a read and an update)
//   A' 50 % predecessor, 50 % insert   B' 95/5   C' predecessor   D' insert   E' 95 % scan of 100, 5 % insert
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ballast/data/ycsb.h"
#include "ballast/index/operations_file.h"

namespace ballast::index {

struct YcsbMix {
  double read = 0, update = 0, insert = 0, scan = 0, predecessor = 0, read_modify_write = 0;
  bool latest = false;
  std::uint32_t max_scan = 0;            ///< scans reach over 1 to this many keys; 0: over 100
  std::optional<data::KeyLaw> law = {};  ///< how existing keys are chosen; nothing: by alpha
  double alpha = 0.99;                   ///< YCSB's zipfian constant; of the primed ones the skew over pieces
};
/// A letter, or an original .properties file (data/ycsb_properties.h). Throws InvalidInput naming the
/// workloads, or the line of the file.
YcsbMix ycsb_mix(const std::string& name);

/// Operations over these entries (ascending). Letters choose existing keys by Zipf over a random order;
/// primed ones by Zipf over `pieces` pieces of the key space, as the paper does. Scans reach over about 100
/// keys.
std::vector<Operation> ycsb_operations(const YcsbMix& mix, std::span<const Entry> entries,
                                       std::uint64_t count, std::uint64_t pieces, std::uint64_t seed);

}  // namespace ballast::index
