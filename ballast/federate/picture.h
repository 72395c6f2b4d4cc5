// Pictures from files: PNG (libpng) and JPEG (libjpeg), as grey or colour planes in [0, 1].
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ballast::federate {

struct Picture {
  int width = 0, height = 0, channels = 1;
  std::vector<float> planes;  ///< [channels][height][width]
};

/// Whether a file of this name is taken for a picture (.png, .jpg, .jpeg).
bool is_picture(const std::string& name);
/// Throws Unavailable when it cannot be read, InvalidInput when it is damaged or larger than 4096 x 4096.
Picture read_picture(const std::string& path, bool colour);
/// The same from bytes; `name` is for messages.
Picture decode_picture(const std::string& name, std::string_view bytes, bool colour);

}  // namespace ballast::federate
