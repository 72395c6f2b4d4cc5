// Descriptions of ROS 2 message types: made from our C++ messages, from .msg text, or from the schemas inside
// a bag; and their RIHS01 hash, by which ROS 2 (Iron and later) tells whether two ends mean the same type.
//
//   TypeLibrary library = TypeLibrary::standard();
//   type_hash(library, "std_msgs/msg/String")   // "RIHS01_df668c74..."
//   library.add_bundle("my/msg/Pair", "std_msgs/Header header\nfloat64 a\n====...\nMSG:
//   std_msgs/Header\n...");
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ballast::ros {

/// The kind of one value, with the ids of type_description_interfaces/msg/FieldType.
enum class Kind : std::uint8_t {
  nested = 1,
  int8 = 2,
  uint8 = 3,
  int16 = 4,
  uint16 = 5,
  int32 = 6,
  uint32 = 7,
  int64 = 8,
  uint64 = 9,
  float32 = 10,
  float64 = 11,
  wchar = 14,
  boolean = 15,
  byte = 16,
  string = 17,
  wstring = 18,
  bounded_string = 21,
  bounded_wstring = 22,
};

enum class Container : std::uint8_t { none = 0, array = 48, bounded_sequence = 96, sequence = 144 };

struct FieldType {
  Kind kind = Kind::uint8;
  Container container = Container::none;
  std::uint64_t capacity = 0;         ///< length of an array, bound of a bounded sequence, else 0
  std::uint64_t string_capacity = 0;  ///< bound of a bounded string, else 0
  std::string nested = {};            ///< "pkg/msg/Name" when kind is nested

  int type_id() const { return static_cast<int>(kind) + static_cast<int>(container); }
  bool operator==(const FieldType&) const = default;
};

struct Field {
  std::string name;
  FieldType type;
  bool operator==(const Field&) const = default;
};

struct TypeDescription {
  std::string name;  ///< "pkg/msg/Name"
  std::vector<Field> fields;
  bool operator==(const TypeDescription&) const = default;
};

/// Size in bytes of a value of fixed size on the wire (CDR version 1); 0 for strings and nested types.
std::size_t wire_size(Kind kind);

class TypeLibrary {
 public:
  /// All message types that this program has as C++ structs (messages.h).
  static const TypeLibrary& standard();

  void add(TypeDescription description);
  /// Parses .msg text; `name` is "pkg/msg/Name". Unqualified nested names are taken from the same package.
  void add_msg(const std::string& name, std::string_view text);
  /// .msg text with its dependencies behind lines of 80 '=' and "MSG: pkg/Name" (MCAP's `ros2msg`).
  void add_bundle(const std::string& name, std::string_view text);
  /// The subset of OMG IDL that rosidl writes (MCAP's `ros2idl`), sections behind "IDL: pkg/msg/Name".
  void add_idl_bundle(const std::string& name, std::string_view text);

  const TypeDescription* find(std::string_view name) const;
  /// Throws InvalidInput when unknown.
  const TypeDescription& get(std::string_view name) const;
  /// The types that `name` refers to, directly or not, sorted by name, without itself. Throws InvalidInput
  /// when one is missing or the references form a cycle.
  std::vector<const TypeDescription*> references(std::string_view name) const;
  std::vector<std::string> names() const;

 private:
  std::map<std::string, TypeDescription, std::less<>> types_;
};

/// The JSON text that is hashed.
std::string type_description_json(const TypeLibrary& library, std::string_view name);
/// "RIHS01_" and 64 hexadecimal digits.
std::string type_hash(const TypeLibrary& library, std::string_view name);
/// The bundle of .msg text that MCAP stores as `ros2msg`.
std::string to_msg_bundle(const TypeLibrary& library, std::string_view name);

/// SHA-256 and MD5 in lower-case hexadecimal digits.
std::string sha256_hex(std::string_view bytes);
std::string md5_hex(std::string_view bytes);

}  // namespace ballast::ros
