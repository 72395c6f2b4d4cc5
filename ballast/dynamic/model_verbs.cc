// check, inspect and plan: models and layouts without running them.
#include <fmt/format.h>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/dynamic/plan/memory_plan.h"
#include "ballast/dynamic/run_options.h"
#include "ballast/dynamic/verbs.h"

namespace ballast::dynamic {
namespace {

struct InspectVerb {
  ModelOptions model;
  PassOptions passes;
  std::string after;
  bool control = false, blocks = false, text = false;
};

void inspect(const InspectVerb& options, const cli::Common& common) {
  const Module module = options.model.load();
  std::string out;
  if (options.text) {
    out = to_text(module);
  } else if (!options.after.empty()) {
    out = inspect_after(module, options.passes.options(), options.after);
  } else {
    CompileOptions compile_options = options.passes.options();
    compile_options.native = false;
    const Executable exe = compile(module, compile_options);
    if (options.control) out = loop::to_text(exe.unit.program);
    if (options.blocks)
      for (const OpType& type : exe.unit.types)
        out += fmt::format("{}: {:.0f} operations a lane: {}\n", type.name, work_of(type.cell),
                           to_string(type.cell));
    if (out.empty()) out = to_text(exe.program);
    for (const std::string& note : exe.program.notes) out += "note: " + note + "\n";
  }
  if (common.for_people()) fmt::print("{}", out);
  common.write_json({{"schema", "ballast.dynamic.inspect/1"}, {"model", options.model.model}, {"text", out}});
}

void plan(const std::string& path, const cli::Common& common) {
  const BlockBatches block = BlockBatches::from_json(read_json(path), path);
  const MemoryPlan before = declaration_plan(block);
  MemoryPlan after;
  const double seconds = time_of([&] { after = plan_memory(block); });
  Table table(fmt::format("{}: {} variables, {} lists of two lanes or more (copies counted, time measured)",
                          path, block.variables, before.lists),
              {"order", "copies", "copied bytes"});
  table.row({"as declared", std::to_string(before.copies), std::to_string(before.copied_bytes)});
  table.row({"planned", std::to_string(after.copies), std::to_string(after.copied_bytes)});
  if (common.for_people()) {
    table.print(stdout);
    fmt::print("order: {}\nplanned in {:.2f} ms\n", fmt::join(after.order, " "), 1000 * seconds);
  }
  common.write_json({{"schema", "ballast.dynamic.plan/1"},
                     {"order", after.order},
                     {"copies", after.copies},
                     {"copied_bytes", after.copied_bytes},
                     {"copies_as_declared", before.copies},
                     {"copied_bytes_as_declared", before.copied_bytes}});
}

}  // namespace

void add_check(cli::Program& program) {
  auto options = std::make_shared<ModelOptions>();
  auto verb = program.verb("check", "parse and type-check a model",
                           {"ballast dynamic check model.bdm", "ballast dynamic check treelstm -D H=256"});
  options->add_to(verb.app());
  verb.run([options](const cli::Common& common) {
    const Module module = options->load();
    std::int64_t numbers = 0;
    for (const ParamDecl& param : module.params) numbers += volume(param.type->shape);
    std::vector<std::string> arguments;
    for (const auto& [name, type] : module.entry().parameters)
      arguments.push_back(name + ": " + to_string(type));
    const std::string signature = fmt::format("{}({}) -> {}", module.entry().name, fmt::join(arguments, ", "),
                                              to_string(module.entry().result));
    if (common.for_people())
      fmt::print("{}: sound; {} parameters of {} numbers; entry {}\n", options->model, module.params.size(),
                 numbers, signature);
    common.write_json({{"schema", "ballast.dynamic.check/1"},
                       {"model", options->model},
                       {"parameters", module.params.size()},
                       {"numbers", numbers},
                       {"entry", signature}});
  });
}

void add_inspect(cli::Program& program) {
  auto options = std::make_shared<InspectVerb>();
  auto verb = program.verb(
      "inspect", "a model after a pass of the compiler, its blocks or its control program",
      {"ballast dynamic inspect treelstm --after reuse", "ballast dynamic inspect birnn --blocks"});
  options->model.add_to(verb.app());
  options->passes.add_to(verb.app());
  verb->add_option("--after", options->after,
                   fmt::format("the middle form after: lower, {}", fmt::join(pass_names(), ", ")));
  verb->add_flag("--blocks", options->blocks, "the operator types: what runs as one batch");
  verb->add_flag("--control-program", options->control, "the control program");
  verb->add_flag("--text", options->text, "the model as the parser read it");
  verb.run([options](const cli::Common& common) { inspect(*options, common); });
}

void add_plan(cli::Program& program) {
  auto path = std::make_shared<std::string>();
  auto verb = program.verb("plan", "order a block's variables so that batches need no copies (PQ tree)",
                           {"ballast dynamic plan layout.json", "ballast dynamic plan layout.json --json"});
  verb->add_option("layout", *path,
                   R"({"variables": n, "batches": [{"results": [..], "operands": [[..], ..]}]})")
      ->required();
  verb.run([path](const cli::Common& common) { plan(*path, common); });
}

}  // namespace ballast::dynamic
