#include "ballast/data/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <vector>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"

namespace ballast::data {
namespace {

constexpr std::uint64_t kLongestHeader = 100'000'000;  // the limit of the format's own library

struct TypeName {
  DType type;
  std::string_view name;
};
constexpr TypeName kNames[] = {{DType::boolean, "BOOL"},    {DType::u8, "U8"},           {DType::i8, "I8"},
                               {DType::u16, "U16"},         {DType::i16, "I16"},         {DType::u32, "U32"},
                               {DType::i32, "I32"},         {DType::u64, "U64"},         {DType::i64, "I64"},
                               {DType::f8_e4m3, "F8_E4M3"}, {DType::f8_e5m2, "F8_E5M2"}, {DType::f16, "F16"},
                               {DType::bf16, "BF16"},       {DType::f32, "F32"},         {DType::f64, "F64"}};

std::optional<DType> type_of(std::string_view name) {
  for (const auto& entry : kNames)
    if (entry.name == name) return entry.type;
  return std::nullopt;
}

[[noreturn]] void fail(const std::string& file, const std::string& problem, std::string_view accepted = {}) {
  throw InvalidInput::at_byte(file, 8, problem, accepted);
}

// The header's JSON; a name that stands twice is refused, where a plain parser would keep the last.
Json parse_header(const std::string& file, std::string_view text) {
  std::set<std::string> seen;
  std::string twice;
  const auto callback = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1 && !seen.insert(parsed.get<std::string>()).second)
      twice = parsed.get<std::string>();
    return true;
  };
  Json header;
  try {
    header = Json::parse(text, callback);
  } catch (const Json::exception&) {
    fail(file, "the header is no JSON");
  }
  if (!header.is_object()) fail(file, "the header is no JSON object");
  if (!twice.empty()) fail(file, fmt::format("tensor '{}' stands twice in the header", twice));
  return header;
}

std::uint64_t natural(const std::string& file, const std::string& tensor, const Json& value,
                      const char* what) {
  if (!value.is_number_unsigned())
    fail(file, fmt::format("tensor '{}': {} holds no natural number", tensor, what));
  return value.get<std::uint64_t>();
}

struct Placed {
  std::uint64_t begin, end;
  std::string name;
};

}  // namespace

Safetensors parse_safetensors(const std::string& name, std::span<const std::byte> bytes) {
  if (bytes.size() < 8) throw InvalidInput::at_byte(name, 0, "the file ends within the header's length");
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i)
    length = length << 8 | std::to_integer<std::uint64_t>(bytes[static_cast<std::size_t>(i)]);
  if (length > kLongestHeader)
    throw InvalidInput::at_byte(name, 0, fmt::format("a header of {} bytes", length),
                                fmt::format("up to {}", kLongestHeader));
  if (length > bytes.size() - 8) throw InvalidInput::at_byte(name, 8, "the file ends within the header");
  const Json header = parse_header(name, {reinterpret_cast<const char*>(bytes.data()) + 8, length});
  const auto data = bytes.subspan(8 + length);

  Safetensors content;
  std::vector<Placed> placed;
  for (const auto& [tensor, entry] : header.items()) {
    if (!entry.is_object()) fail(name, fmt::format("entry '{}' is no JSON object", tensor));
    if (tensor == "__metadata__") {
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) fail(name, fmt::format("metadata '{}' is no text", key));
        content.metadata[key] = value.get<std::string>();
      }
      continue;
    }
    for (const char* key : {"dtype", "shape", "data_offsets"})
      if (!entry.contains(key)) fail(name, fmt::format("tensor '{}' has no {}", tensor, key));
    if (entry.size() != 3)
      fail(name, fmt::format("tensor '{}' has keys other than dtype, shape, data_offsets", tensor));
    ArrayView view;
    const auto type =
        entry["dtype"].is_string() ? type_of(entry["dtype"].get_ref<const std::string&>()) : std::nullopt;
    if (!type)
      fail(name, fmt::format("tensor '{}' has dtype {}", tensor, entry["dtype"].dump()),
           "BOOL, U8 to U64, I8 to I64, F8_E4M3, F8_E5M2, F16, BF16, F32, F64");
    view.dtype = *type;
    if (!entry["shape"].is_array()) fail(name, fmt::format("tensor '{}': shape is no list", tensor));
    for (const auto& extent : entry["shape"]) view.shape.push_back(natural(name, tensor, extent, "shape"));
    const Json& offsets = entry["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2)
      fail(name, fmt::format("tensor '{}': data_offsets is no pair", tensor));
    const std::uint64_t begin = natural(name, tensor, offsets[0], "data_offsets");
    const std::uint64_t end = natural(name, tensor, offsets[1], "data_offsets");
    if (begin > end || end > data.size())
      fail(name, fmt::format("tensor '{}' lies at bytes {} to {} of {} bytes of data", tensor, begin, end,
                             data.size()));
    std::uint64_t size = 0;
    if (!byte_count(view.shape, size_of(view.dtype), size) || size != end - begin)
      fail(name, fmt::format("tensor '{}' of shape {} and type {} has {} bytes of data", tensor,
                             to_string(view.shape), to_string(view.dtype), end - begin));
    view.bytes = data.subspan(begin, size);
    placed.push_back({begin, end, tensor});
    content.tensors.emplace(tensor, std::move(view));
  }
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t covered = 0;
  for (const auto& [begin, end, tensor] : placed) {
    if (begin < covered) fail(name, fmt::format("tensor '{}' overlaps the one before it", tensor));
    if (begin > covered) fail(name, fmt::format("there is a hole before tensor '{}'", tensor));
    covered = end;
  }
  if (covered != data.size())
    throw InvalidInput::at_byte(name, 8 + length + covered, "bytes behind the last tensor");
  return content;
}

const ArrayView& SafetensorsFile::tensor(const std::string& name) const {
  const auto found = content_.tensors.find(name);
  if (found != content_.tensors.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, view] : content_.tensors) names.push_back(known);
  const auto close = cli::nearest(name, names);
  throw InvalidInput(fmt::format("{} has no tensor '{}'{}", file_.path(), name,
                                 close ? fmt::format("; did you mean '{}'?", *close) : ""));
}

void write_safetensors(const std::string& path, const std::map<std::string, ArrayView>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const std::pair<const std::string, ArrayView>*> order;
  for (const auto& entry : tensors) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return size_of(a->second.dtype) > size_of(b->second.dtype);
  });
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t at = 0;
  for (const auto* entry : order) {
    const auto& [name, view] = *entry;
    std::uint64_t size = 0;
    if (name == "__metadata__") throw InvalidInput("tensor name", name, "any other");
    if (!byte_count(view.shape, size_of(view.dtype), size) || size != view.bytes.size())
      throw InvalidInput(fmt::format("tensor '{}' of shape {} and type {} has {} bytes", name,
                                     to_string(view.shape), to_string(view.dtype), view.bytes.size()));
    const auto type =
        std::find_if(std::begin(kNames), std::end(kNames),
                     [wanted = view.dtype](const TypeName& known) { return known.type == wanted; });
    header[name] = {
        {"dtype", std::string(type->name)}, {"shape", view.shape}, {"data_offsets", {at, at + size}}};
    at += size;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string start;
  for (int i = 0; i < 8; ++i) start += static_cast<char>(text.size() >> (8 * i) & 0xff);
  AtomicFile file(path);
  file.write(start + text);
  for (const auto* entry : order) file.write(entry->second.bytes);
  file.commit();
}

}  // namespace ballast::data
