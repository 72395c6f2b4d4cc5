// The verbs of `ballast codesign`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast::codesign {

void add_estimate(cli::Program& program);
void add_map(cli::Program& program);
void add_sweep(cli::Program& program);
void add_bench(cli::Program& program);
void add_tour(cli::Program& program);

}  // namespace ballast::codesign
