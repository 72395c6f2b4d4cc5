// The verbs of `ballast dynamic`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast::dynamic {

void add_schedule(cli::Program& program);
void add_gen(cli::Program& program);
void add_train_policy(cli::Program& program);
void add_check(cli::Program& program);
void add_compile(cli::Program& program);
void add_run(cli::Program& program);
void add_inspect(cli::Program& program);
void add_plan(cli::Program& program);
void add_train(cli::Program& program);
void add_bench(cli::Program& program);
void add_tour(cli::Program& program);

}  // namespace ballast::dynamic
