// IDX files, the format of MNIST and its successors: a magic, the extents, big-endian elements; gzip is
// undone.
//
//   Array images = read_idx(InputStream::open(find_dataset("fashion-mnist") +
//   "/train-images-idx3-ubyte.gz"));
//   // images.shape == {60000, 28, 28}, images.as<std::uint8_t>()
#pragma once

#include "ballast/data/array.h"
#include "ballast/data/stream.h"

namespace ballast::data {

/// Throws InvalidInput with file and byte.
Array read_idx(InputStream in);

}  // namespace ballast::data
