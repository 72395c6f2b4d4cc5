// The verbs of `ballast cluster`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast::cluster {

void add_info(cli::Program& program);
void add_ping(cli::Program& program);
void add_bench(cli::Program& program);

}  // namespace ballast::cluster
