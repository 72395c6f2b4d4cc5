// `ballast data list`: the data sets known by name, where they lie, or what brings them.
#include "ballast/base/table.h"
#include "ballast/data/datasets.h"
#include "ballast/data/verbs.h"

namespace ballast::data {

void add_list(cli::Program& program) {
  auto verb =
      program.verb("list", "data sets that Debian packages carry: where they lie, or what brings them",
                   {"ballast data list", "ballast data list --json"});
  verb.run([](const cli::Common& common) {
    Table table("Data sets", {"name", "what", "licence", "where"});
    Json json = Json::array();
    for (const auto& dataset : known_datasets()) {
      const std::string folder = try_dataset(dataset.name);
      table.row({dataset.name, dataset.what, dataset.licence,
                 folder.empty() ? "not here; run: " + dataset.command : folder});
      json.push_back({{"name", dataset.name},
                      {"what", dataset.what},
                      {"package", dataset.package},
                      {"licence", dataset.licence},
                      {"command", dataset.command},
                      {"folder", folder.empty() ? Json() : Json(folder)}});
    }
    if (common.for_people()) table.print(stdout);
    common.write_json({{"schema", "ballast.data.list/1"}, {"datasets", json}});
  });
}

}  // namespace ballast::data
