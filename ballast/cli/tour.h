// `ballast tour [COMPONENT...]`: runs the stop of every component that is built and joins them to one page.
#pragma once

#include <string>
#include <vector>

namespace ballast::cli {
int tour(const std::vector<std::string>& words);
}
