// The verbs of `ballast base`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast {
void add_histogram_verb(cli::Program& program);
void add_bench_verb(cli::Program& program);
}  // namespace ballast
