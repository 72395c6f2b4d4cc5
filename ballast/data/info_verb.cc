// `ballast data info FILE` and `ballast data check FILE...`: what a file is, and whether it is sound.
#include <fmt/format.h>

#include <memory>

#include "ballast/base/errors.h"
#include "ballast/data/inspect.h"
#include "ballast/data/verbs.h"

namespace ballast::data {
namespace {

void add_check(cli::Program& program) {
  auto files = std::make_shared<std::vector<std::string>>();
  auto verb =
      program.verb("check", "read files wholly and say whether they are sound; exit code 1 if one is not",
                   {"ballast data check model.safetensors x.npz", "ballast data check trace.csv.gz --json"});
  verb->add_option("FILE", *files, "npy, npz, safetensors, IDX, CSV or request trace; gz and zst are undone")
      ->required();
  verb.run([files](const cli::Common& common) {
    Table table("Files", {"file", "format", "verdict"});
    Json json = Json::array();
    bool sound = true;
    for (const auto& file : *files) {
      cli::stop_if_interrupted();
      std::string format = "-", verdict = "sound";
      try {
        format = inspect(file).format;
      } catch (const InvalidInput& error) {
        verdict = error.what();
        sound = false;
      }
      table.row({file, format, verdict});
      json.push_back(
          {{"file", file}, {"format", format}, {"sound", verdict == "sound"}, {"verdict", verdict}});
    }
    if (common.for_people()) table.print(stdout);
    common.write_json({{"schema", "ballast.data.check/1"}, {"files", json}});
    if (!sound) throw cli::Exit{static_cast<int>(ExitCode::failed)};
  });
}

}  // namespace

void add_info(cli::Program& program) {
  auto file = std::make_shared<std::string>();
  auto verb =
      program.verb("info", "what a file holds: arrays, columns, or the facts of a request trace",
                   {"ballast data info x.npz", "ballast data info AzureLLMInferenceTrace_conv.csv --json"});
  verb->add_option("FILE", *file, "npy, npz, safetensors, IDX, CSV or request trace; gz and zst are undone")
      ->required();
  verb.run([file](const cli::Common& common) {
    const Inspection found = inspect(*file);
    if (common.for_people()) found.table.print(stdout);
    Json json = {{"schema", "ballast.data.info/1"}};
    json.update(found.json);
    common.write_json(json);
  });
  add_check(program);
}

}  // namespace ballast::data
