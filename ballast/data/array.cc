#include "ballast/data/array.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"

namespace ballast::data {

std::size_t size_of(DType type) {
  switch (type) {
    case DType::boolean:
    case DType::u8:
    case DType::i8:
    case DType::f8_e4m3:
    case DType::f8_e5m2:
      return 1;
    case DType::u16:
    case DType::i16:
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::u32:
    case DType::i32:
    case DType::f32:
      return 4;
    case DType::u64:
    case DType::i64:
    case DType::f64:
      return 8;
  }
  BALLAST_CHECK(false);
}

std::string_view to_string(DType type) {
  switch (type) {
    case DType::boolean:
      return "bool";
    case DType::u8:
      return "uint8";
    case DType::i8:
      return "int8";
    case DType::u16:
      return "uint16";
    case DType::i16:
      return "int16";
    case DType::u32:
      return "uint32";
    case DType::i32:
      return "int32";
    case DType::u64:
      return "uint64";
    case DType::i64:
      return "int64";
    case DType::f8_e4m3:
      return "float8_e4m3";
    case DType::f8_e5m2:
      return "float8_e5m2";
    case DType::f16:
      return "float16";
    case DType::bf16:
      return "bfloat16";
    case DType::f32:
      return "float32";
    case DType::f64:
      return "float64";
  }
  BALLAST_CHECK(false);
}

std::string to_string(const Shape& shape) {
  return shape.size() == 1 ? fmt::format("({},)", shape[0]) : fmt::format("({})", fmt::join(shape, ", "));
}

bool byte_count(const Shape& shape, std::size_t element_bytes, std::uint64_t& bytes) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 63;
  bytes = element_bytes;
  if (std::find(shape.begin(), shape.end(), 0u) != shape.end()) {
    bytes = 0;
    return true;
  }
  for (const std::uint64_t extent : shape) {
    if (extent >= kMost / bytes) return false;
    bytes *= extent;
  }
  return true;
}

void swap_bytes(std::span<std::byte> bytes, std::size_t element_bytes) {
  if (element_bytes == 1) return;
  for (std::size_t i = 0; i + element_bytes <= bytes.size(); i += element_bytes)
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                 bytes.begin() + static_cast<std::ptrdiff_t>(i + element_bytes));
}

void internal::wrong_type(DType wanted, DType given) {
  throw InvalidInput("element type of the array", to_string(given), to_string(wanted));
}

}  // namespace ballast::data
