// YCSB's workload files (workloads/workloada ...): Java properties, one `name=value` a line, `#` and `!`
// begin comments.
//
//   const YcsbProperties p = read_ycsb_properties("workloads/workloade");
//
// What YCSB leaves at its default keeps it here (read 0.95, update 0.05, uniform requests).
// `zipfian` is exact Zipf (ycsb.h); `ycsb-zipfian` is YCSB's own scrambled approximation.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ballast/data/ycsb.h"

namespace ballast::data {

struct YcsbProperties {
  double read = 0.95, update = 0.05, insert = 0, scan = 0, read_modify_write = 0;  ///< sum: 1
  KeyLaw law = KeyLaw::uniform;
  double exponent = 0.99;
  std::uint64_t records = 100'000;  ///< YCSB has none
  std::uint64_t operations = 1000;
  std::uint32_t fields = 10, field_bytes = 100;
  bool read_all_fields = true;
  std::uint32_t max_scan = 1000;
};

/// Throws InvalidInput with file and line for an unknown property, a value that is none, or shares that do
/// not add up to 1.
YcsbProperties ycsb_properties(std::string_view text, const std::string& file);
YcsbProperties read_ycsb_properties(const std::string& path);

}  // namespace ballast::data
