// Scheduled stages compiled to kernels, once for all lengths; patterns bound to them; runs.
//
//   Program program(registry, {schedule_of_S, schedule_of_O});
//   Pattern pattern{.lengths = {{"len", {321, 341, 350}}}, .scalars = {{"B", 3}}};
//   Prepared prepared = program.prepare(pattern);               // the prelude, shared by all stages
//   std::vector<float> out(prepared.volume("S"));
//   program.run(launcher, prepared, {{"Q", q.data()}, {"K", k.data()}, {"S", out.data()}});
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ballast/loop/interpreter.h"
#include "ballast/loop/kernel.h"
#include "ballast/ragged/lower.h"

namespace ballast::ragged {

struct Pattern {
  std::map<std::string, std::vector<std::int32_t>> lengths;
  std::map<std::string, std::int64_t> scalars;
};

/// The tables of one raggedness pattern. Holds copies of the lengths.
class Prepared {
 public:
  std::int64_t volume(const std::string& tensor) const;
  std::int64_t table_bytes() const;
  /// Entries of one table by its name, for tests and `--dump`.
  const std::vector<std::vector<std::int32_t>>& tables() const { return tables_; }

 private:
  friend class Program;
  std::vector<std::vector<std::int32_t>> tables_;
  std::vector<const std::int32_t*> aux_;
  std::vector<std::int64_t> scalars_;
  std::map<std::string, std::int64_t> volumes_;
};

class Program {
 public:
  /// Stages run in this order; those of `independent` groups (same number) run as one parallel region:
  /// horizontal fusion. `compile_prelude`: false computes tables with the interpreter.
  Program(loop::KernelRegistry& registry, const std::vector<Schedule>& schedules,
          std::vector<int> groups = {}, bool compile_prelude = true);

  /// Throws InvalidInput naming the function, index and value for lengths that are negative, outside their
  /// declared range or of a wrong count; for tables that would pass 2^31 - 1.
  Prepared prepare(const Pattern& pattern) const;
  /// Tensors by name; throws InvalidInput for a missing one, or for one memory given twice where one is
  /// written.
  void run(loop::Launcher& launcher, const Prepared& prepared,
           const std::map<std::string, float*>& tensors) const;
  /// The same by the interpreter, with bounds checks.
  loop::Counters interpret(const Prepared& prepared, const std::map<std::string, float*>& tensors) const;
  std::string dump() const;
  const std::vector<LoweredKernel>& kernels() const { return lowered_; }
  const Tables& tables() const { return tables_; }

 private:
  std::vector<void*> bind(const LoweredKernel& kernel, const std::map<std::string, float*>& tensors) const;
  void fill(const TableSpec& spec, Prepared& prepared, const Pattern& pattern) const;

  loop::KernelRegistry& registry_;
  Tables tables_;
  std::vector<LoweredKernel> lowered_;
  std::vector<std::shared_ptr<const loop::CompiledKernel>> compiled_;
  std::vector<int> groups_;
  std::map<std::string, loop::Expr> volumes_;
  std::map<int, loop::Function> preludes_;
  std::map<int, std::shared_ptr<const loop::CompiledKernel>> compiled_preludes_;
};

}  // namespace ballast::ragged
