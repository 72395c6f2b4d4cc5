#include "ballast/robot/wire/cdr_walk.h"

#include <optional>

namespace ballast::ros {
namespace {

constexpr int kMaxDepth = 32;

class Walker {
 public:
  Walker(const TypeLibrary& library, ByteView payload, const WalkLimits& limits)
      : library_(library), reader_(payload), limits_(limits) {}

  /// `out` null: only checks. `want` not empty: the path that is looked for.
  void message(const TypeDescription& type, Json* out, std::string_view want, int depth) {
    if (depth > kMaxDepth) reader_.fail("types nested too deeply");
    if (out) *out = Json::object();
    for (const auto& field : type.fields) {
      const auto head = want.substr(0, want.find('.'));
      const bool on_path = !want.empty() && head == field.name;
      const auto tail =
          on_path && head.size() < want.size() ? want.substr(head.size() + 1) : std::string_view{};
      value(field.type, out ? &(*out)[field.name] : nullptr, tail, on_path && tail.empty(), depth);
      if (found_) return;
    }
  }

  const std::optional<Place>& found() const { return found_; }
  const CdrReader& reader() const { return reader_; }

 private:
  void value(const FieldType& type, Json* out, std::string_view want, bool here, int depth) {
    if (type.container == Container::none) return single(type, out, want, here, depth);
    if (here || !want.empty()) throw InvalidInput("a key's path cannot go through an array or a sequence");
    const std::size_t smallest = std::max<std::size_t>(wire_size(type.kind), 1);
    const std::uint64_t count =
        type.container == Container::array ? type.capacity : reader_.read_count(smallest);
    if (type.container == Container::bounded_sequence && count > type.capacity)
      reader_.fail("a sequence longer than its bound");
    if (type.container == Container::array && count > reader_.left())
      reader_.fail("an array longer than what is left");
    if (out) *out = Json::array();
    const bool plain = wire_size(type.kind) != 0;
    const std::uint64_t shown = out ? std::min<std::uint64_t>(count, limits_.elements) : 0;
    for (std::uint64_t i = 0; i < (plain ? shown : count); ++i) {
      Json item;
      single(type, i < shown ? &item : nullptr, {}, false, depth);
      if (i < shown) out->push_back(std::move(item));
    }
    if (plain && count > shown) reader_.take((count - shown) * wire_size(type.kind), wire_size(type.kind));
    if (out && count > shown) out->push_back(fmt::format("... {} elements", count));
  }

  template <typename T>
  void number(Json* out) {
    T value{};
    reader_.read(value);
    if (out) *out = value;
  }

  void single(const FieldType& type, Json* out, std::string_view want, bool here, int depth) {
    const std::size_t size = wire_size(type.kind);
    if (here && size != 0) {
      reader_.take(0, size);  // aligns
      found_ = Place{reader_.offset(), type};
      return;
    }
    if (here) throw InvalidInput("a key must be a number or stamp component, not a string or a message");
    if (!want.empty() && type.kind != Kind::nested)
      throw InvalidInput("the key's path goes past a plain field");
    switch (type.kind) {
      case Kind::nested:
        return message(library_.get(type.nested), out, want, depth + 1);
      case Kind::int8:
        return number<std::int8_t>(out);
      case Kind::uint8:
      case Kind::byte:
        return number<std::uint8_t>(out);
      case Kind::boolean:
        return number<bool>(out);
      case Kind::int16:
        return number<std::int16_t>(out);
      case Kind::uint16:
        return number<std::uint16_t>(out);
      case Kind::int32:
        return number<std::int32_t>(out);
      case Kind::uint32:
      case Kind::wchar:
        return number<std::uint32_t>(out);
      case Kind::int64:
        return number<std::int64_t>(out);
      case Kind::uint64:
        return number<std::uint64_t>(out);
      case Kind::float32:
        return number<float>(out);
      case Kind::float64:
        return number<double>(out);
      case Kind::string:
      case Kind::bounded_string: {
        std::string text;
        reader_.read(text);
        if (type.kind == Kind::bounded_string && text.size() > type.string_capacity)
          reader_.fail("a string longer than its bound");
        if (out) *out = text;
        return;
      }
      case Kind::wstring:
      case Kind::bounded_wstring: {
        const auto count = reader_.read_count(4);
        reader_.take(std::size_t{count} * 4, 4);
        if (out) *out = fmt::format("wide string of {}", count);
        return;
      }
    }
  }

  const TypeLibrary& library_;
  CdrReader reader_;
  WalkLimits limits_;
  std::optional<Place> found_;
};

}  // namespace

Json cdr_to_json(const TypeLibrary& library, std::string_view type, ByteView payload,
                 const WalkLimits& limits) {
  Walker walker(library, payload, limits);
  Json result;
  walker.message(library.get(type), &result, {}, 0);
  return result;
}

Place locate(const TypeLibrary& library, std::string_view type, ByteView payload, std::string_view path) {
  Walker walker(library, payload, {});
  walker.message(library.get(type), nullptr, path, 0);
  if (!walker.found()) throw InvalidInput("key", path, fmt::format("the dotted path of a field of {}", type));
  return *walker.found();
}

void check_payload(const TypeLibrary& library, std::string_view type, ByteView payload) {
  Walker walker(library, payload, {});
  walker.message(library.get(type), nullptr, {}, 0);
  if (walker.reader().left() > 3)
    walker.reader().fail(fmt::format("{} bytes too many for a {}", walker.reader().left(), type));
}

}  // namespace ballast::ros
