// YCSB's workloads as operations on an ordered index, and the ordered variants of the PIM-tree paper.
//
//   A 50 % read, 50 % update   B 95/5   C read   D 95 % read of the latest, 5 % insert
//   E 95 % scan, 5 % insert    F 50 % read, 50 % read-modify-write (a read and an update)
//   A' 50 % predecessor, 50 % insert   B' 95/5   C' predecessor   D' insert   E' 95 % scan of 100, 5 % insert
#pragma once

#include <string>
#include <vector>

#include "ballast/index/operations_file.h"

namespace ballast::index {

struct YcsbMix {
  double read = 0, update = 0, insert = 0, scan = 0, predecessor = 0, read_modify_write = 0;
  bool latest = false;
  double alpha = 0.99;  ///< YCSB's zipfian constant; of the primed ones the skew over pieces
};
/// Throws InvalidInput naming the workloads.
YcsbMix ycsb_mix(const std::string& name);

/// Operations over these entries (ascending). Letters choose existing keys by Zipf over a random order;
/// primed ones by Zipf over `pieces` pieces of the key space, as the paper does. Scans reach over about 100
/// keys.
std::vector<Operation> ycsb_operations(const YcsbMix& mix, std::span<const Entry> entries,
                                       std::uint64_t count, std::uint64_t pieces, std::uint64_t seed);

}  // namespace ballast::index
