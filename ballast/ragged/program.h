// Scheduled stages compiled to kernels, once for all lengths; patterns bound to them; runs.
//
//   Program program(registry, {schedule_of_S, schedule_of_O});
//   Pattern pattern{.lengths = {{"len", {321, 341, 350}}}, .scalars = {{"B", 3}}};
//   Prepared prepared = program.prepare(pattern);               // the prelude, shared by all stages
//   std::vector<float> out(prepared.volume("S"));
//   program.run(launcher, prepared, {{"Q", q.data()}, {"K", k.data()}, {"S", out.data()}});
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <mutex>
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
  /// Whether offsets needed 64 bits; `tables()` of prefix sums are empty then.
  bool wide() const { return wide_; }

 private:
  friend class Program;
  std::vector<std::vector<std::int32_t>> tables_;
  std::vector<std::vector<std::int64_t>> wide_tables_;
  bool wide_ = false;
  std::vector<const std::int32_t*> aux_;
  std::vector<std::int64_t> scalars_;
  std::map<std::string, std::int64_t> volumes_;
};

struct ProgramOptions {
  bool compile = true;          ///< false: `interpret` only
  bool compile_prelude = true;  ///< false computes tables with the interpreter
  bool closed_offsets = true;   ///< polynomials in place of offset tables where lengths are closed forms
  /// Offsets above this are kept in tables of 64 bits, by kernels that are compiled when first needed.
  std::int64_t narrow_limit = std::numeric_limits<std::int32_t>::max();
};

class Program {
 public:
  /// Stages run in this order; those of `independent` groups (same number) run as one parallel region:
  /// horizontal fusion.
  Program(loop::KernelRegistry& registry, const std::vector<Schedule>& schedules,
          std::vector<int> groups = {}, ProgramOptions options = {});

  /// Throws InvalidInput naming the function, index and value for lengths that are negative, outside their
  /// declared range or of a wrong count.
  Prepared prepare(const Pattern& pattern) const;
  /// Memory for one tensor, padding and slack filled with zeros. Throws Unavailable with the bytes asked.
  std::vector<float> allocate(const Prepared& prepared, const std::string& tensor) const;
  /// Tensors by name; throws InvalidInput for a missing one, or for one memory given twice where one is
  /// written.
  void run(loop::Launcher& launcher, const Prepared& prepared,
           const std::map<std::string, float*>& tensors) const;
  /// Only these stages, for taking times apart. Throws InvalidInput for a name that is no stage.
  void run_stages(loop::Launcher& launcher, const Prepared& prepared,
                  const std::map<std::string, float*>& tensors, const std::vector<std::string>& stages) const;
  /// The same by the interpreter, with bounds checks.
  loop::Counters interpret(const Prepared& prepared, const std::map<std::string, float*>& tensors) const;
  std::string dump() const;
  /// Equal texts: the same tables and kernels, so that one `Prepared` serves both programs.
  const std::string& structure() const { return structure_; }
  const std::vector<LoweredKernel>& kernels() const { return lowered_; }
  const Tables& tables() const { return tables_; }

 private:
  std::vector<void*> bind(const LoweredKernel& kernel, const std::map<std::string, float*>& tensors) const;
  /// False when an offset passes the limit of narrow tables.
  bool fill(const TableSpec& spec, Prepared& prepared, const Pattern& pattern) const;
  const Program& of(const Prepared& prepared) const;
  const Program& wide() const;
  static void fill_order(const LoweredKernel& kernel, const loop::KernelFrame& frame,
                         std::vector<std::int32_t>& order);
  std::vector<std::int64_t> slices_of(const Prepared& prepared, int prefix) const;
  Program(loop::KernelRegistry& registry, const std::vector<Schedule>& schedules, std::vector<int> groups,
          ProgramOptions options, bool wide);

  loop::KernelRegistry& registry_;
  std::vector<Schedule> schedules_;
  ProgramOptions options_;
  Tables tables_;
  std::vector<LoweredKernel> lowered_;
  std::vector<std::shared_ptr<const loop::CompiledKernel>> compiled_;
  std::vector<int> groups_;
  std::map<std::string, loop::Expr> volumes_;
  std::string structure_;
  /// The same with 64-bit tables, once a pattern needed it.
  struct Wide {
    std::once_flag once;
    std::unique_ptr<Program> program;
  };
  std::unique_ptr<Wide> wide_ = std::make_unique<Wide>();
  std::map<int, loop::Function> preludes_;
  std::map<int, std::shared_ptr<const loop::CompiledKernel>> compiled_preludes_;
};

}  // namespace ballast::ragged
