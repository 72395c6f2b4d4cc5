// The verbs of `ballast kv`, one file each.
#pragma once

#include "ballast/base/bench.h"
#include "ballast/base/cli.h"

namespace ballast::kv {

void add_serve(cli::Program& program);
void add_plan(cli::Program& program);
void add_bench(cli::Program& program);
void add_tour(cli::Program& program);

/// The server beside Redis and memcached, `rounds` times each.
void server_rows(const cli::Common& common, Bench& bench, int rounds);

}  // namespace ballast::kv
