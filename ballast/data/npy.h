// NumPy's files: .npy (format 1.0 to 3.0) and .npz (a ZIP archive of them, stored or deflated).
//
//   Array a = read_npy(InputStream::open("x.npy.gz"));
//   write_npy("y.npy", Array::of<float>({2, 3}, values));
//   std::map<std::string, Array> all = read_npz("data.npz");
//
// Big-endian arrays are turned on reading; structured, object, string and complex arrays are refused.
#pragma once

#include <map>
#include <string>

#include "ballast/data/array.h"
#include "ballast/data/stream.h"

namespace ballast::data {

/// Reads one array and expects the stream to end behind it. Throws InvalidInput with file and byte.
Array read_npy(InputStream in);
/// Writes format 1.0, little-endian; the file appears complete or not at all. Throws InvalidInput for types
/// that NumPy does not have (bfloat16, float8).
void write_npy(const std::string& path, const ArrayView& array);

/// All arrays of the archive by their name without ".npy". Throws InvalidInput with file and byte; every
/// member's CRC is checked.
std::map<std::string, Array> read_npz(const std::string& path);
/// The same over bytes in memory.
std::map<std::string, Array> parse_npz(const std::string& name, std::string_view bytes);
/// Members are stored, not compressed. Throws InvalidInput when the archive would pass 4 GiB.
void write_npz(const std::string& path, const std::map<std::string, Array>& arrays);

}  // namespace ballast::data
