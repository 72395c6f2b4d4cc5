// What verbs that run or compile models share: the passes' switches and the data.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ballast/dynamic/compiler/container.h"
#include "ballast/dynamic/corpora.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/model_options.h"
#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {

struct PassOptions {
  CompileOptions on;
  std::array<bool, 9> off = {};
  std::string control = "aot";

  void add_to(CLI::App& app) {
    const auto names = pass_names();
    for (std::size_t i = 0; i < names.size(); ++i)
      app.add_flag("--no-" + names[i], off[i], "leave this pass out");
    app.add_option("--control", control, "control program: aot (machine code) or vm (interpreted)")
        ->capture_default_str()
        ->check(CLI::IsMember({"aot", "vm"}));
  }
  bool any() const { return control != "aot" || std::find(off.begin(), off.end(), true) != off.end(); }
  CompileOptions options() const {
    CompileOptions result = on;
    const auto names = pass_names();
    for (std::size_t i = 0; i < names.size(); ++i)
      if (off[i]) switch_pass(result, names[i], false);
    result.native = control == "aot";
    return result;
  }
};

/// A model to run: text that is compiled here, or a compiled one (.bdx) with its parameters.
struct ExecutableOptions {
  ModelOptions model;
  PassOptions passes;
  std::string parameters;
  std::uint64_t parameter_seed = 1;

  void add_to(CLI::App& app) {
    model.add_to(app, "; or a compiled one .bdx");
    passes.add_to(app);
    app.add_option("--parameters", parameters,
                   "parameters: .safetensors, or .json as train --save writes them");
    app.add_option("--parameter-seed", parameter_seed, "of the initial parameters")->capture_default_str();
  }
  Container load() const {
    Container c;
    if (model.model.ends_with(".bdx")) {
      if (!model.definitions.empty() || passes.any())
        throw InvalidInput(
            model.model +
            ": is compiled already; -D, --no-PASS and --control belong to `ballast dynamic compile`");
      c = load_executable(model.model);
    } else {
      c.exe = compile(model.load(), passes.options());
    }
    if (!parameters.empty())
      c.parameters = read_parameters(parameters);
    else if (!model.model.ends_with(".bdx"))
      c.parameters = initial_parameters(*c.exe.module, parameter_seed);
    return c;
  }
};

struct DataOptions {
  std::string data;
  int instances = 64;
  bool skip_bad = false;

  void add_to(CLI::App& app) {
    app.add_option(
        "--data", data,
        "instances: .jsonl, .ptb, .conll, .tags or .lattice; wordnet or chinese: from installed packages; "
        "without it they are generated");
    app.add_option("--instances", instances, "how many to generate, or at most to take from the file")
        ->capture_default_str()
        ->check(CLI::Range(1, 10000000));
    app.add_flag("--skip-bad", skip_bad, "count malformed records and go on");
  }
  std::vector<Instance> load(const Module& module, std::uint64_t seed) const {
    if (data.empty()) return draw_instances(module, instances, seed);
    const std::vector<std::string> corpora = corpus_names();
    if (std::find(corpora.begin(), corpora.end(), data) != corpora.end())
      return read_corpus(module, data, instances, seed);
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
