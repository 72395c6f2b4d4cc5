// `ballast doctor`: what is built, what is missing, and the command that brings it.
#pragma once

#include <string>
#include <vector>

namespace ballast::cli {
/// Words are those behind `doctor`. Prints tables, or with --json one document of schema `ballast.doctor/1`;
/// it tells and never fails because of what it found.
int doctor(const std::vector<std::string>& words);
}  // namespace ballast::cli
