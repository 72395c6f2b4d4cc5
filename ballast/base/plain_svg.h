// Whether a text is a picture and nothing else, before it goes into a page as it is.
#pragma once

#include <string>
#include <string_view>

namespace ballast {

/// Empty for one <svg> element without scripts, embedded pages, event handlers, and references to anything
/// but its own parts and pictures inside the text (data:image/); else what is wrong with it.
std::string what_is_wrong_with_svg(std::string_view svg);

}  // namespace ballast
