// What a file is, found by its content: the reader is chosen, the whole file is read and checked.
#pragma once

#include <string>
#include <string_view>

#include "ballast/base/json.h"
#include "ballast/base/table.h"

namespace ballast::data {

struct Inspection {
  std::string format;  ///< "npy", "npz", "safetensors", "idx", "trace", "csv"
  Table table;         ///< arrays or columns
  Json json;           ///< the same for machines
};

/// Throws InvalidInput when the file is malformed or of no known format, Unavailable when it cannot be
/// opened.
Inspection inspect(const std::string& path);

/// The format by the first (uncompressed) bytes and the name; empty when it is none that is known.
std::string format_of(const std::string& path, std::string_view first_bytes);

}  // namespace ballast::data
