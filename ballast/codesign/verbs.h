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
void add_compare(cli::Program& program);
void add_sweep(cli::Program& program);
/// measure and calibrate.
void add_calibrate(cli::Program& program);
void add_space(cli::Program& program);
void add_train(cli::Program& program);
void add_eval(cli::Program& program);
/// search and plot.
void add_search(cli::Program& program);
/// export, verify and doctor.
void add_deploy(cli::Program& program);
void add_bench(cli::Program& program);
void add_tour(cli::Program& program);

}  // namespace ballast::codesign
