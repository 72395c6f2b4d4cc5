// Text inside HTML, SVG and XML.
#pragma once

#include <string>
#include <string_view>

namespace ballast {

/// `text` as it stands between tags or inside a quoted attribute: the five special characters named, control
/// characters that markup does not allow as spaces.
std::string markup_text(std::string_view text);

}  // namespace ballast
