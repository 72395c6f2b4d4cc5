// The verbs of `ballast tune`, one file each.
#pragma once

#include "ballast/base/cli.h"
#include "ballast/tune/experiment.h"

namespace ballast::tune {

void add_plan(cli::Program& program);
void add_run(cli::Program& program);
void add_calibrate(cli::Program& program);
void add_export(cli::Program& program);
void add_eval(cli::Program& program);
void add_data(cli::Program& program);
void add_bench(cli::Program& program);
void add_tour(cli::Program& program);

/// The flags that say which model, text and limits; the same for every verb that trains.
struct WorkloadFlags {
  WorkloadOptions workload;
  LimitOptions limits;
  std::string budget;
  std::vector<double> link;
  std::string clock = "wall";
};
void add_workload_flags(cli::Verb& verb, WorkloadFlags& flags);
/// Fills what the words on the command line mean. Throws InvalidInput.
void resolve(WorkloadFlags& flags, const cli::Common& common);

Json to_json(const RunResult& result);
/// Loss over seconds of training, one line a method.
Chart loss_chart(const std::vector<RunResult>& results, const std::string& title);
/// One row a method: steps, tokens/s, loss, bytes a step, peak memory, where the time went.
Table run_table(const std::vector<RunResult>& results, const std::string& title, const Limits& limits);

}  // namespace ballast::tune
