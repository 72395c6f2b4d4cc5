// compile: a model with its machine code and parameters as one file.
#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/bench.h"
#include "ballast/base/file.h"
#include "ballast/dynamic/run_options.h"
#include "ballast/dynamic/tuning.h"
#include "ballast/dynamic/verbs.h"

namespace ballast::dynamic {

void add_compile(cli::Program& program) {
  struct Options {
    ExecutableOptions exe;
    DataOptions data;
    std::string output, log;
    TuneOptions tune{.weights = ""};
  };
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("compile", "a model with its machine code and parameters as one file (.bdx)",
                   {"ballast dynamic compile treelstm -D H=64 -o treelstm.bdx",
                    "ballast dynamic compile model.bdm --parameters model.safetensors -o model.bdx",
                    "ballast dynamic compile birnn --tune pgo --tuning-log birnn.tuning.json -o birnn.bdx"});
  options->exe.add_to(verb.app());
  verb->add_option("-o,--output", options->output, "file .bdx for `ballast dynamic run`")->required();
  verb->add_option("--tune", options->tune.weights,
                   "time candidates of each kernel on the data, shared by weight: uniform, static or pgo")
      ->check(CLI::IsMember({"uniform", "static", "pgo"}));
  verb->add_option("--tune-trials", options->tune.trials, "candidates timed in all")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  verb->add_option("--batch-estimate", options->tune.batch_estimate,
                   "lanes of a batch; 0: as in the sample run")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  verb->add_option("--tuning-log", options->log, "with --tune: written; without: choices are taken from it");
  options->data.add_to(verb.app());
  verb.run([options](const cli::Common& common) {
    if (!options->output.ends_with(".bdx"))
      throw InvalidInput("-o", options->output, "a name that ends in .bdx");
    Container c = options->exe.load();
    if (!options->tune.weights.empty()) {
      TuneOptions tune_options = options->tune;
      tune_options.seed = common.seed;
      const std::vector<Instance> sample = options->data.load(*c.exe.module, common.seed);
      Tuning tuning;
      const double spent = time_of([&] { tuning = tune(c.exe, c.parameters, sample, tune_options); });
      c.exe.choices = tuning.choices;
      Table table(
          fmt::format("Kernels tuned with {} weights in {:.1f} s (measured)", options->tune.weights, spent),
          {"kernel", "lanes", "trials", "tile", "times faster"});
      for (const Tuning::Kernel& k : tuning.kernels)
        table.row({k.type, std::to_string(k.lanes), std::to_string(k.trials), std::to_string(k.choice.tile),
                   k.trials > 0 ? fmt::format("{:.2f}", k.before_us / k.after_us) : ""});
      if (common.for_people()) table.print(stdout);
      if (!options->log.empty())
        write_file(options->log, tuning_to_json(tuning, tune_options.threads).dump(1) + "\n");
    } else if (!options->log.empty()) {
      c.exe.choices = choices_from_json(c.exe, read_json(options->log), options->log);
    }
    const double seconds = time_of([&] { save_executable(c.exe, c.parameters, options->output); });
    double loading = 0;
    loading = time_of([&] { load_executable(options->output); });
    const auto bytes = std::filesystem::file_size(options->output);
    if (common.for_people())
      fmt::print("{}: {} kernels' types, {} bytes; compiled in {:.2f} s, loads in {:.2f} s (measured)\n",
                 options->output, c.exe.unit.types.size(), bytes, seconds, loading);
    common.write_json({{"schema", "ballast.dynamic.compile/1"},
                       {"output", options->output},
                       {"types", c.exe.unit.types.size()},
                       {"bytes", bytes}});
  });
}

}  // namespace ballast::dynamic
