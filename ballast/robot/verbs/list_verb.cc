// `ballast robot list`: benchmarks, components, message types.
#include <fmt/format.h>

#include "ballast/robot/benchmarks/benchmark.h"
#include "ballast/robot/components/component.h"
#include "ballast/robot/verbs/verbs.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::robot {

void add_list(cli::Program& program) {
  struct Options {
    bool types = false, components = false;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb("list", "the benchmark set, the components, the message types",
                           {"ballast robot list", "ballast robot list --types --json"});
  verb->add_flag("--types", options->types, "message types and their RIHS01 hashes");
  verb->add_flag("--components", options->components, "components that a graph file may name");
  verb.run([options](const cli::Common& common) {
    Table table;
    if (options->types) {
      table = Table("message types", {"type", "hash"});
      const auto& library = ros::TypeLibrary::standard();
      for (const auto& name : library.names()) table.row({name, ros::type_hash(library, name)});
    } else if (options->components) {
      table = Table("components", {"component", "what", "parameters"});
      for (const auto& type : component_types())
        table.row({type.name, type.what, fmt::format("{}", fmt::join(type.parameters, " "))});
    } else {
      table = Table("benchmarks", {"id", "name", "category", "what", "rates", "implementations"});
      for (const auto& item : benchmarks())
        table.row({item.id, item.name, item.category, item.what,
                   fmt::format("{}", fmt::join(item.rates_hz, " ")),
                   fmt::format("{}", fmt::join(item.slots, " "))});
    }
    if (common.for_people()) table.print(stdout);
    common.write_json({{"schema", "ballast.robot.list/1"}, {"table", table.to_json()}});
  });
}

}  // namespace ballast::robot
