// The compiler as one call: lowering, the passes that are switched on, and the control program.
//
//   auto module = load_model("treelstm");
//   auto exe = compile(module);                       // all passes
//   Session session(exe, initial_parameters(module, 1));
#pragma once

#include <memory>
#include <string>

#include "ballast/base/temporary_folder.h"
#include "ballast/dynamic/compiler/control.h"

namespace ballast::dynamic {

/// Each pass with its switch (ACRoBat); off is for the ablation. Values never depend on them beyond the order
/// of sums that split_dense changes.
struct CompileOptions {
  bool reuse = true;        ///< operand-reuse analysis with duplication of functions
  bool fuse = true;         ///< operators and what follows them element by element in one kernel
  bool hoist = true;        ///< static depths for what hangs on no recursion
  bool split_dense = true;  ///< dense over a hoistable and another operand in two
  bool coarsen = true;      ///< static blocks: runs of operators as one node
  bool hfuse = true;        ///< dense operators over one operand with stacked weights
  bool ghost = true;        ///< arms of a conditional end at one depth
  bool phases = true;       ///< `phase;` marks count
  bool forks = true;        ///< arms of `concurrent` that wait for tensors run as child fibers
  bool constants = true;  ///< operators of parameters alone run once, not in every mini-batch (part of reuse;
                          ///< off for training)
  bool native = true;     ///< the control program as machine code, not interpreted
};
/// The passes' names in order, as --no-NAME and --after NAME take them.
std::vector<std::string> pass_names();
/// Throws InvalidInput naming the nearest pass.
void switch_pass(CompileOptions& options, const std::string& pass, bool on);
bool pass_on(const CompileOptions& options, const std::string& pass);

struct Executable {
  std::shared_ptr<const Module> module;
  CompileOptions options;
  Program program;
  ControlUnit unit;
  std::shared_ptr<loop::ControlExecutor> control;
  std::vector<KernelChoice> choices;             ///< by operator type, from tuning; empty: the defaults
  std::shared_ptr<const TemporaryFolder> cache;  ///< of machine code, when it is not the user's

  std::string cache_directory() const { return cache ? cache->path() : "default"; }
};

/// `cache`: where machine code is looked for and kept; none: the user's cache.
Executable compile(Module module, const CompileOptions& options = {},
                   std::shared_ptr<const TemporaryFolder> cache = nullptr);
/// The middle form after a pass ("lower" for none); throws InvalidInput naming the nearest.
std::string inspect_after(const Module& module, const CompileOptions& options, const std::string& pass);

}  // namespace ballast::dynamic
