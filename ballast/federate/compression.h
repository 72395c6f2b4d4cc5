// How an update travels: a client sends the difference to the model it started from, in fewer bits.
//
//   none   the trained parameters themselves, bit for bit
//   fp16   differences as IEEE half floats
//   int8   differences in 255 levels of the largest, rounded at random so that the mean is exact (QSGD-like)
//   topk   the k largest differences; what was left out is added to the next update (error feedback)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ballast/federate/params.h"

namespace ballast::federate {

struct Compression {
  enum class Kind : std::uint8_t { none, fp16, int8, topk } kind = Kind::none;
  double keep = 0.1;  ///< topk: the fraction that travels

  /// "none", "fp16", "int8", "topk:0.05". Throws InvalidInput.
  static Compression from_string(const std::string& word);
  std::string to_string() const;

  /// Bytes of an encoded model of `size` parameters.
  std::size_t bytes(std::size_t size) const;
  /// `residual` (topk) is what earlier updates left out; it is changed. `key` seeds the random rounding.
  std::string encode(const Params& trained, const Params& start, Params& residual, std::uint64_t key) const;
  /// Throws InvalidInput when the payload is not one of `start.size()` parameters.
  Params decode(std::string_view payload, const Params& start) const;
};

}  // namespace ballast::federate
