// The verbs of `ballast cost`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast::cost {
void add_fit(cli::Program& program);
void add_predict(cli::Program& program);
void add_timeline(cli::Program& program);
void add_bench(cli::Program& program);
}  // namespace ballast::cost
