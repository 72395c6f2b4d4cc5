// A dense array as it comes from a file: element type, shape, bytes. What npy, npz, safetensors and IDX
// share.
//
//   Array a = read_npy(InputStream::open("x.npy"));
//   std::span<const float> values = a.as<float>();      // throws InvalidInput if it is not float32
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ballast::data {

enum class DType { boolean, u8, i8, u16, i16, u32, i32, u64, i64, f8_e4m3, f8_e5m2, f16, bf16, f32, f64 };

std::size_t size_of(DType type);
/// "bool", "uint8", ..., "float64".
std::string_view to_string(DType type);

using Shape = std::vector<std::uint64_t>;
/// "(3, 224, 224)"
std::string to_string(const Shape& shape);
/// Product of the extents, 1 for a scalar. False when it does not fit into 63 bits together with
/// `element_bytes`.
bool byte_count(const Shape& shape, std::size_t element_bytes, std::uint64_t& bytes);

template <typename T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, bool>) return DType::boolean;
  if constexpr (std::is_same_v<T, std::uint8_t>) return DType::u8;
  if constexpr (std::is_same_v<T, std::int8_t>) return DType::i8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return DType::u16;
  if constexpr (std::is_same_v<T, std::int16_t>) return DType::i16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return DType::u32;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::i32;
  if constexpr (std::is_same_v<T, std::uint64_t>) return DType::u64;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::i64;
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
}

namespace internal {
[[noreturn]] void wrong_type(DType wanted, DType given);
}

/// A view of elements that somebody else owns.
struct ArrayView {
  DType dtype = DType::u8;
  Shape shape;
  std::span<const std::byte> bytes;  ///< row-major unless said otherwise, little-endian, aligned for the type

  std::uint64_t elements() const { return bytes.size() / size_of(dtype); }
  template <typename T>
  std::span<const T> as() const {
    if (dtype != dtype_of<T>()) internal::wrong_type(dtype_of<T>(), dtype);
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
};

struct Array {
  DType dtype = DType::u8;
  Shape shape;
  bool fortran_order = false;  ///< column-major (npy only)
  std::vector<std::byte> bytes;

  template <typename T>
  static Array of(Shape array_shape, std::span<const T> values) {
    const auto raw = std::as_bytes(values);
    return {dtype_of<T>(), std::move(array_shape), false, {raw.begin(), raw.end()}};
  }
  ArrayView view() const { return {dtype, shape, bytes}; }
  std::uint64_t elements() const { return bytes.size() / size_of(dtype); }
  template <typename T>
  std::span<const T> as() const {
    if (dtype != dtype_of<T>()) internal::wrong_type(dtype_of<T>(), dtype);
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  bool operator==(const Array&) const = default;
};

/// Reverses the bytes of each element in place: files of the other byte order.
void swap_bytes(std::span<std::byte> bytes, std::size_t element_bytes);

}  // namespace ballast::data
