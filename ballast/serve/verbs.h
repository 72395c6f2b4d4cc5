// The verbs of `ballast serve`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast::serve {
void add_start(cli::Program& program);
void add_router(cli::Program& program);
void add_profile(cli::Program& program);
void add_sim(cli::Program& program);
void add_capacity(cli::Program& program);
void add_plan(cli::Program& program);
void add_bench(cli::Program& program);
void add_load(cli::Program& program);
void add_tour(cli::Program& program);
}  // namespace ballast::serve
