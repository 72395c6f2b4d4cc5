// The header of a .npy file, for the readers and writers of .npy and .npz.
#pragma once

#include <string>

#include "ballast/data/array.h"
#include "ballast/data/stream.h"

namespace ballast::data {

struct NpyHeader {
  DType dtype = DType::u8;
  Shape shape;
  bool fortran_order = false;
  bool big_endian = false;
  std::uint64_t bytes = 0;  ///< of all elements
};

/// Reads magic and header and leaves the stream at the first element.
NpyHeader read_npy_header(InputStream& in);
/// Magic and header of format 1.0.
std::string npy_header_text(const ArrayView& array, bool fortran_order);

}  // namespace ballast::data
