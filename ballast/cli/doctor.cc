#include "ballast/cli/doctor.h"

#include <fmt/format.h>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/base/table.h"
#include "ballast/cli/programs.h"

namespace ballast::cli {

int doctor(const std::vector<std::string>& words) {
  bool json = false;
  for (const auto& word : words) {
    require_one_of("flag", word, {"--json", "--help"});
    if (word == "--help") {
      fmt::print(
          "usage: ballast doctor [--json]\n\nSays which components are built and what this machine is.\n");
      return 0;
    }
    json = true;
  }
  const Json machine = machine_facts();
  Json document{{"schema", "ballast.doctor/1"}, {"machine", machine}, {"components", Json::array()}};
  Table table(fmt::format("{} ({} cores, {})", machine["cpu"].get<std::string>(), machine["cores"].get<int>(),
                          machine["isa"].get<std::string>()),
              {"component", "built", "what to do"});
  for (const auto& component : components()) {
    const bool built = !program_path(component.name).empty();
    table.row({component.name, built ? "yes" : "no",
               built ? fmt::format("ballast {} --help", component.name)
                     : fmt::format("make build COMPONENTS={}", component.name)});
    document["components"].push_back({{"name", component.name}, {"built", built}});
  }
  if (json) {
    fmt::print("{}\n", document.dump(2));
  } else {
    table.print(stdout);
  }
  return 0;
}

}  // namespace ballast::cli
