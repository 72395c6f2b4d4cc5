// The verbs of `ballast federate`, one file each.
#pragma once

#include <memory>
#include <string>

#include "ballast/base/cli.h"
#include "ballast/federate/engine.h"

namespace ballast::federate {

void add_sim(cli::Program& program);
void add_bench(cli::Program& program);
void add_detect(cli::Program& program);
void add_pattern(cli::Program& program);
void add_privacy(cli::Program& program);
void add_tour(cli::Program& program);
void add_serve(cli::Program& program);
void add_client(cli::Program& program);
void add_token(cli::Program& program);
void add_status(cli::Program& program);
void add_plan(cli::Program& program);
void add_predict(cli::Program& program);
void add_export(cli::Program& program);
void add_report(cli::Program& program);
void add_drain(cli::Program& program);
void add_release(cli::Program& program);

/// FedDrift's drift threshold for a data set (on the error metric), as its authors set it.
double default_delta(const std::string& data);

/// Hyper-parameters of a preset: smoke (tests), fast, paper.
RunConfig preset(const std::string& name, const std::string& data);

/// Client x step maps of serving slots beside the true concepts, one panel a strategy, as SVG.
std::string assignment_map(const std::vector<const RunLog*>& logs);

}  // namespace ballast::federate
