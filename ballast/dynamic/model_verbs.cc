// check and inspect: models without running them.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/dynamic/compiler/core.h"
#include "ballast/dynamic/model_options.h"
#include "ballast/dynamic/verbs.h"

namespace ballast::dynamic {

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

}  // namespace ballast::dynamic
