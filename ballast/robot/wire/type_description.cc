#include "ballast/robot/wire/type_description.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <functional>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/json.h"

namespace ballast::ros {
namespace {

std::string digest_hex(const EVP_MD* algorithm, std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  BALLAST_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest, &size, algorithm, nullptr) == 1);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

Json field_json(const Field& field) {
  return {{"name", field.name},
          {"type",
           {{"type_id", field.type.type_id()},
            {"capacity", field.type.capacity},
            {"string_capacity", field.type.string_capacity},
            {"nested_type_name", field.type.nested}}}};
}

Json description_json(const TypeDescription& description) {
  Json fields = Json::array();
  for (const auto& field : description.fields) fields.push_back(field_json(field));
  return {{"type_name", description.name}, {"fields", fields}};
}

// Python's json.dumps writes ", " and ": "; nlohmann writes neither blank, so the text is made here.
void write_spaced(const Json& value, std::string& out) {
  if (value.is_object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : value.items()) {
      if (!first) out += ", ";
      first = false;
      out += Json(key).dump() + ": ";
      write_spaced(item, out);
    }
    out += '}';
  } else if (value.is_array()) {
    out += '[';
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out += ", ";
      write_spaced(value[i], out);
    }
    out += ']';
  } else {
    out += value.dump();
  }
}

std::string kind_word(const FieldType& type) {
  switch (type.kind) {
    case Kind::nested: {
      const auto slash = type.nested.find('/'), last = type.nested.rfind('/');
      return type.nested.substr(0, slash) + type.nested.substr(last);
    }
    case Kind::int8:
      return "int8";
    case Kind::uint8:
      return "uint8";
    case Kind::int16:
      return "int16";
    case Kind::uint16:
      return "uint16";
    case Kind::int32:
      return "int32";
    case Kind::uint32:
      return "uint32";
    case Kind::int64:
      return "int64";
    case Kind::uint64:
      return "uint64";
    case Kind::float32:
      return "float32";
    case Kind::float64:
      return "float64";
    case Kind::wchar:
      return "wchar";
    case Kind::boolean:
      return "bool";
    case Kind::byte:
      return "byte";
    case Kind::string:
      return "string";
    case Kind::wstring:
      return "wstring";
    case Kind::bounded_string:
      return fmt::format("string<={}", type.string_capacity);
    case Kind::bounded_wstring:
      return fmt::format("wstring<={}", type.string_capacity);
  }
  return "uint8";
}

std::string msg_text(const TypeDescription& description) {
  std::string text;
  for (const auto& field : description.fields) {
    // An empty message carries this member on the wire only.
    if (field.name == "structure_needs_at_least_one_member") continue;
    std::string suffix;
    if (field.type.container == Container::array) suffix = fmt::format("[{}]", field.type.capacity);
    if (field.type.container == Container::sequence) suffix = "[]";
    if (field.type.container == Container::bounded_sequence)
      suffix = fmt::format("[<={}]", field.type.capacity);
    text += fmt::format("{}{} {}\n", kind_word(field.type), suffix, field.name);
  }
  return text;
}

}  // namespace

std::size_t wire_size(Kind kind) {
  switch (kind) {
    case Kind::int8:
    case Kind::uint8:
    case Kind::boolean:
    case Kind::byte:
      return 1;
    case Kind::int16:
    case Kind::uint16:
      return 2;
    case Kind::int32:
    case Kind::uint32:
    case Kind::float32:
    case Kind::wchar:
      return 4;
    case Kind::int64:
    case Kind::uint64:
    case Kind::float64:
      return 8;
    default:
      return 0;
  }
}

void TypeLibrary::add(TypeDescription description) {
  auto name = description.name;
  types_.insert_or_assign(std::move(name), std::move(description));
}

const TypeDescription* TypeLibrary::find(std::string_view name) const {
  const auto found = types_.find(name);
  return found == types_.end() ? nullptr : &found->second;
}

const TypeDescription& TypeLibrary::get(std::string_view name) const {
  const auto* found = find(name);
  if (!found)
    throw InvalidInput("message type", name,
                       "a type of this program (`ballast robot list --types`) or of a bag's own schemas");
  return *found;
}

std::vector<const TypeDescription*> TypeLibrary::references(std::string_view name) const {
  std::map<std::string, const TypeDescription*> found;
  std::set<std::string> open;
  const std::function<void(const TypeDescription&)> visit = [&](const TypeDescription& type) {
    if (!open.insert(type.name).second) throw InvalidInput("message type " + type.name + " contains itself");
    for (const auto& field : type.fields) {
      if (field.type.kind != Kind::nested) continue;
      const auto& nested = get(field.type.nested);
      if (open.contains(nested.name)) throw InvalidInput("message type " + nested.name + " contains itself");
      if (found.emplace(nested.name, &nested).second) visit(nested);
    }
    open.erase(type.name);
  };
  visit(get(name));
  std::vector<const TypeDescription*> sorted;
  for (const auto& [unused, type] : found) sorted.push_back(type);
  return sorted;
}

std::vector<std::string> TypeLibrary::names() const {
  std::vector<std::string> result;
  for (const auto& [name, unused] : types_) result.push_back(name);
  return result;
}

std::string type_description_json(const TypeLibrary& library, std::string_view name) {
  Json referenced = Json::array();
  for (const auto* type : library.references(name)) referenced.push_back(description_json(*type));
  const Json document{{"type_description", description_json(library.get(name))},
                      {"referenced_type_descriptions", referenced}};
  std::string text;
  write_spaced(document, text);
  return text;
}

std::string type_hash(const TypeLibrary& library, std::string_view name) {
  return "RIHS01_" + sha256_hex(type_description_json(library, name));
}

std::string to_msg_bundle(const TypeLibrary& library, std::string_view name) {
  std::string text = msg_text(library.get(name));
  for (const auto* type : library.references(name)) {
    const auto slash = type->name.find('/'), last = type->name.rfind('/');
    text += std::string(80, '=') + "\nMSG: " + type->name.substr(0, slash) + type->name.substr(last) + "\n" +
            msg_text(*type);
  }
  return text;
}

std::string sha256_hex(std::string_view bytes) {
  return digest_hex(EVP_sha256(), bytes);
}
std::string md5_hex(std::string_view bytes) {
  return digest_hex(EVP_md5(), bytes);
}

}  // namespace ballast::ros
