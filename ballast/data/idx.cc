#include "ballast/data/idx.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "ballast/base/errors.h"

namespace ballast::data {
namespace {

std::optional<DType> type_of(unsigned char code) {
  switch (code) {
    case 0x08:
      return DType::u8;
    case 0x09:
      return DType::i8;
    case 0x0B:
      return DType::i16;
    case 0x0C:
      return DType::i32;
    case 0x0D:
      return DType::f32;
    case 0x0E:
      return DType::f64;
    default:
      return std::nullopt;
  }
}

}  // namespace

// magic := 0 0 TYPE DIMENSIONS, then DIMENSIONS big-endian 32-bit extents, then the elements.
Array read_idx(InputStream in) {
  std::array<unsigned char, 4> magic{};
  in.read_exactly(magic.data(), magic.size(), "the magic of an IDX file");
  const auto type = type_of(magic[2]);
  if (magic[0] != 0 || magic[1] != 0 || !type)
    throw InvalidInput::at_byte(in.name(), 0, "this is no IDX file",
                                "two zero bytes, then an element type of 8, 9, 11, 12, 13 or 14");
  if (magic[3] == 0 || magic[3] > 8)
    throw InvalidInput::at_byte(in.name(), 3, fmt::format("{} dimensions", magic[3]), "1 to 8");
  Array array;
  array.dtype = *type;
  for (int i = 0; i < magic[3]; ++i) {
    std::array<unsigned char, 4> raw{};
    in.read_exactly(raw.data(), raw.size(), "the extents");
    array.shape.push_back(std::uint64_t{raw[0]} << 24 | raw[1] << 16 | raw[2] << 8 | raw[3]);
  }
  std::uint64_t bytes = 0;
  if (!byte_count(array.shape, size_of(array.dtype), bytes))
    throw InvalidInput::at_byte(in.name(), 4, fmt::format("shape {} is too large", to_string(array.shape)));
  array.bytes = in.read_bytes(bytes, "the elements");
  in.expect_end();
  swap_bytes(array.bytes, size_of(array.dtype));
  return array;
}

}  // namespace ballast::data
