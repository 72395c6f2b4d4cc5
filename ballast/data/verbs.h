// The verbs of `ballast data`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast::data {
void add_list(cli::Program& program);
}  // namespace ballast::data
