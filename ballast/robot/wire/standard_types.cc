// The descriptions of messages.h, made by visiting each message once.
#include "ballast/robot/wire/messages.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::ros {
namespace {

template <typename T>
struct Describe {
  static FieldType type() { return {.kind = Kind::nested, .nested = T::kType}; }
};
template <Kind kKind>
struct Plain {
  static FieldType type() { return {.kind = kKind}; }
};
template <>
struct Describe<bool> : Plain<Kind::boolean> {};
template <>
struct Describe<std::int8_t> : Plain<Kind::int8> {};
template <>
struct Describe<std::uint8_t> : Plain<Kind::uint8> {};
template <>
struct Describe<std::int16_t> : Plain<Kind::int16> {};
template <>
struct Describe<std::uint16_t> : Plain<Kind::uint16> {};
template <>
struct Describe<std::int32_t> : Plain<Kind::int32> {};
template <>
struct Describe<std::uint32_t> : Plain<Kind::uint32> {};
template <>
struct Describe<std::int64_t> : Plain<Kind::int64> {};
template <>
struct Describe<std::uint64_t> : Plain<Kind::uint64> {};
template <>
struct Describe<float> : Plain<Kind::float32> {};
template <>
struct Describe<double> : Plain<Kind::float64> {};
template <>
struct Describe<std::string> : Plain<Kind::string> {};
template <std::size_t kBound>
struct Describe<BoundedString<kBound>> {
  static FieldType type() { return {.kind = Kind::bounded_string, .string_capacity = kBound}; }
};
template <typename T, std::size_t kSize>
struct Describe<std::array<T, kSize>> {
  static FieldType type() {
    FieldType type = Describe<T>::type();
    type.container = Container::array;
    type.capacity = kSize;
    return type;
  }
};
template <typename T>
struct Describe<std::vector<T>> {
  static FieldType type() {
    FieldType type = Describe<T>::type();
    type.container = Container::sequence;
    return type;
  }
};

struct FieldCollector {
  std::vector<Field>& fields;
  template <typename T>
  void operator()(const char* name, const T&) {
    fields.push_back({name, Describe<T>::type()});
  }
};

struct TypeCollector {
  TypeLibrary& library;
  template <typename Message>
  void operator()() {
    TypeDescription description{Message::kType, {}};
    const Message message{};
    Message::visit(message, FieldCollector{description.fields});
    library.add(std::move(description));
  }
};

TypeLibrary build() {
  TypeLibrary library;
  for_each_message_type(TypeCollector{library});
  return library;
}

}  // namespace

const TypeLibrary& TypeLibrary::standard() {
  static const TypeLibrary library = build();
  return library;
}

}  // namespace ballast::ros
