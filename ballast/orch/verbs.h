// The verbs of `ballast orch`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast::orch {

void add_bench(cli::Program& program);
void add_explain(cli::Program& program);
void add_plan(cli::Program& program);
void add_trace(cli::Program& program);
void add_tour(cli::Program& program);

}  // namespace ballast::orch
