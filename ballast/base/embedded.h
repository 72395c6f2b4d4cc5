// Files that are part of every program: the style and script of report pages, and Chart.js from the
// distribution's package (found when the build is configured), so that a page needs no network and a program
// no data folder.
#pragma once

#include <string_view>

namespace ballast::embedded {

std::string_view page_css();
std::string_view page_js();
std::string_view chart_js();

}  // namespace ballast::embedded
