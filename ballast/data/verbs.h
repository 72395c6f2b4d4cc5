// The verbs of `ballast data`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast::data {
void add_list(cli::Program& program);
void add_info(cli::Program& program);  // info and check
void add_gen(cli::Program& program);
void add_bench(cli::Program& program);
}  // namespace ballast::data
