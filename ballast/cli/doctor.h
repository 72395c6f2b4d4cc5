// `ballast doctor`: what is built, what is missing, and the command that brings it.
#pragma once

#include <string>
#include <vector>

namespace ballast::cli {
int doctor(const std::vector<std::string>& words);
}
