// What verbs that run or compile models share: the passes' switches and the data.
#pragma once

#include <fmt/format.h>

#include "ballast/dynamic/compiler/compile.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/model_options.h"
#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {

struct PassOptions {
  CompileOptions on;
  bool off[8] = {};
  std::string control = "aot";

  void add_to(CLI::App& app) {
    const auto names = pass_names();
    for (std::size_t i = 0; i < names.size(); ++i)
      app.add_flag("--no-" + names[i], off[i], "leave this pass out");
    app.add_option("--control", control, "control program: aot (machine code) or vm (interpreted)")
        ->capture_default_str()
        ->check(CLI::IsMember({"aot", "vm"}));
  }
  CompileOptions options() const {
    CompileOptions result = on;
    const auto names = pass_names();
    for (std::size_t i = 0; i < names.size(); ++i)
      if (off[i]) switch_pass(result, names[i], false);
    result.native = control == "aot";
    return result;
  }
};

struct DataOptions {
  std::string data;
  int instances = 64;
  bool skip_bad = false;

  void add_to(CLI::App& app) {
    app.add_option("--data", data,
                   "instances: .jsonl, .ptb, .conll, .tags or .lattice; without it they are generated");
    app.add_option("--instances", instances, "how many to generate, or at most to take from the file")
        ->capture_default_str()
        ->check(CLI::Range(1, 10000000));
    app.add_flag("--skip-bad", skip_bad, "count malformed records and go on");
  }
  std::vector<Instance> load(const Module& module, std::uint64_t seed) const {
    if (data.empty()) return draw_instances(module, instances, seed);
    ReadResult read = read_instances(module, data, {.skip_bad = skip_bad});
    if (read.skipped > 0)
      fmt::print(stderr, "{} malformed record(s) skipped; the first: {}\n", read.skipped,
                 read.first_errors[0]);
    if (read.instances.size() > static_cast<std::size_t>(instances))
      read.instances.resize(static_cast<std::size_t>(instances));
    return read.instances;
  }
};

}  // namespace ballast::dynamic
