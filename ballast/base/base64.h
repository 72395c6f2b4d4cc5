// Base64 (RFC 4648, the alphabet with + and /, padded).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ballast {

std::string base64_encode(std::string_view bytes);
/// nullopt unless the text is whole groups of four letters, padded at the end only, without leftover bits.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace ballast
