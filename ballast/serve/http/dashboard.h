// The page at GET /: one static document, no network access but to this server.
#pragma once

#include <string_view>

namespace ballast::serve {
std::string_view dashboard_page();
}
