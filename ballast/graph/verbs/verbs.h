// The verbs of `ballast graph`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast::graph {
void add_gen(cli::Program& program);
void add_convert(cli::Program& program);
void add_info(cli::Program& program);
void add_bench(cli::Program& program);
void add_graphalytics(cli::Program& program);
void add_tour(cli::Program& program);
void add_plan(cli::Program& program);
void add_run(cli::Program& program);
void add_validate(cli::Program& program);
}  // namespace ballast::graph
