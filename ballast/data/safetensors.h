// safetensors files, mapped: 8 bytes of header length, a JSON header, the tensors' bytes.
//
//   SafetensorsFile file("model.safetensors");
//   ArrayView w = file.tensor("embed.weight");         // no copy: a view into the mapped file
//   write_safetensors("out.safetensors", {{"w", w}}, {{"format", "pt"}});
//
// The header is checked before any byte is used: sizes agree with types and shapes, and the tensors cover the
// data without holes and without overlaps.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "ballast/data/array.h"
#include "ballast/data/mapped_file.h"

namespace ballast::data {

struct Safetensors {
  std::map<std::string, ArrayView> tensors;
  std::map<std::string, std::string> metadata;
};

/// Checks and describes bytes in memory; the views point into them. Throws InvalidInput with `name` and byte.
Safetensors parse_safetensors(const std::string& name, std::span<const std::byte> bytes);

class SafetensorsFile {
 public:
  /// Throws Unavailable when it cannot be opened, InvalidInput when it is malformed.
  explicit SafetensorsFile(const std::string& path)
      : file_(path), content_(parse_safetensors(path, file_.bytes())) {}

  const std::map<std::string, ArrayView>& tensors() const { return content_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return content_.metadata; }
  /// Throws InvalidInput naming the nearest tensor when there is none of this name.
  const ArrayView& tensor(const std::string& name) const;

 private:
  MappedFile file_;
  Safetensors content_;
};

/// Tensors are laid out by falling alignment, then by name; the data begin at a multiple of 8 bytes.
void write_safetensors(const std::string& path, const std::map<std::string, ArrayView>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace ballast::data
