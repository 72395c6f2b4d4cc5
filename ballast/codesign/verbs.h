// The verbs of `ballast codesign`, one file each.
#pragma once

#include "ballast/base/cli.h"

namespace ballast::codesign {

/// The options of a verb that takes a network and a device.
struct NetworkOptions {
  std::string model, hardware = "xr22-x4";
  std::vector<std::string> input_shapes;
};
void add_network_options(cli::Verb& verb, NetworkOptions& options);

void add_estimate(cli::Program& program);
void add_map(cli::Program& program);
void add_sweep(cli::Program& program);
void add_bench(cli::Program& program);
void add_tour(cli::Program& program);

}  // namespace ballast::codesign
