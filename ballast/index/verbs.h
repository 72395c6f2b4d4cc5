// The verbs of `ballast index`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast::index {
void add_bench(cli::Program& program);
void add_explain(cli::Program& program);
void add_files(cli::Program& program);  ///< gen, convert, info, verify
void add_model(cli::Program& program);  ///< model, calibrate
void add_plan(cli::Program& program);
void add_run(cli::Program& program);
void add_soak(cli::Program& program);
void add_tour(cli::Program& program);
}  // namespace ballast::index
