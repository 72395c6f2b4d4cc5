#include "ballast/dynamic/compiler/compile.h"

#include "ballast/base/cli.h"
#include "ballast/dynamic/compiler/passes.h"

namespace ballast::dynamic {
namespace {

struct Pass {
  const char* name;
  bool CompileOptions::*on;
  void (*run)(Program&);
  void (*instead)(Program&) = nullptr;
};
// Marks go first: depths are counted from the last one.
constexpr Pass kPasses[] = {
    {"phases", &CompileOptions::phases, nullptr, drop_phases},
    {"reuse", &CompileOptions::reuse, reuse_operands, key_weights},
    {"split-dense", &CompileOptions::split_dense, split_dense},
    {"fuse", &CompileOptions::fuse, fuse_vertically},
    {"coarsen", &CompileOptions::coarsen, coarsen},
    {"hfuse", &CompileOptions::hfuse, fuse_horizontally},
    {"hoist", &CompileOptions::hoist, hoist},
    {"ghost", &CompileOptions::ghost, add_ghosts},
    {"forks", &CompileOptions::forks, fork_arms},
};

Program run_passes(const Module& module, const CompileOptions& options, const std::string& last) {
  Program program = lower(module);
  if (last == "lower") return program;
  for (const Pass& pass : kPasses) {
    auto run = options.*pass.on ? pass.run : pass.instead;
    if (run == &reuse_operands && !options.constants) run = reuse_operands_only;
    if (run != nullptr) run(program);
    remove_unused(program);
    if (last == pass.name) break;
  }
  return program;
}

}  // namespace

std::vector<std::string> pass_names() {
  std::vector<std::string> names;
  for (const Pass& pass : kPasses) names.emplace_back(pass.name);
  return names;
}

void switch_pass(CompileOptions& options, const std::string& name, bool on) {
  cli::require_one_of("pass", name, pass_names());
  for (const Pass& pass : kPasses)
    if (name == pass.name) options.*pass.on = on;
}

bool pass_on(const CompileOptions& options, const std::string& name) {
  cli::require_one_of("pass", name, pass_names());
  for (const Pass& pass : kPasses)
    if (name == pass.name) return options.*pass.on;
  return false;
}

std::string inspect_after(const Module& module, const CompileOptions& options, const std::string& pass) {
  std::vector<std::string> names = pass_names();
  names.insert(names.begin(), "lower");
  cli::require_one_of("--after", pass, names);
  return to_text(run_passes(module, options, pass));
}

Executable compile(Module module, const CompileOptions& options,
                   std::shared_ptr<const TemporaryFolder> cache) {
  Executable exe;
  exe.cache = std::move(cache);
  exe.module = std::make_shared<const Module>(std::move(module));
  exe.options = options;
  exe.program = run_passes(*exe.module, options, "");
  exe.unit = to_control(exe.program);
  if (options.native) {
    exe.control = std::make_shared<loop::ControlCode>(exe.unit.program, exe.cache_directory());
  } else {
    // The interpreter reads a program that lives as long as it does.
    auto kept = std::make_shared<const loop::ControlProgram>(exe.unit.program);
    exe.control = std::shared_ptr<loop::ControlExecutor>(new loop::ControlMachine(*kept),
                                                         [kept](loop::ControlExecutor* p) { delete p; });
  }
  return exe;
}

}  // namespace ballast::dynamic
