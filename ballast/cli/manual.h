// `ballast man FOLDER`: the help texts as man pages, one a program.
#pragma once

#include <string>
#include <vector>

#include "ballast/cli/description.h"

namespace ballast::cli {

/// Words are those behind `man`. Writes ballast.1 and ballast-COMPONENT.1 into the folder, which it makes.
int manual(const std::vector<std::string>& words);

/// One program's page in the man macros of roff.
std::string manual_page(const ProgramDescription& program);

}  // namespace ballast::cli
