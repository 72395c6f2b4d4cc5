#include "ballast/cli/description.h"

#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/json.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/cli/programs.h"

namespace ballast::cli {
namespace {

FlagDescription flag_from(const Json& json) {
  return {.names = json.at("names").get<std::vector<std::string>>(),
          .value = json.at("value"),
          .default_value = json.at("default"),
          .text = json.at("description"),
          .group = json.at("group"),
          .required = json.at("required"),
          .positional = json.at("positional")};
}

ProgramDescription program_from(const Json& json) {
  ProgramDescription program{json.at("component"), json.at("summary"), {}};
  for (const Json& verb : json.at("verbs")) {
    auto& added = program.verbs.emplace_back();
    added.name = verb.at("name");
    added.summary = verb.at("summary");
    added.examples = verb.at("examples").get<std::vector<std::string>>();
    for (const Json& flag : verb.at("flags")) added.flags.push_back(flag_from(flag));
  }
  return program;
}

}  // namespace

std::vector<ProgramDescription> describe_programs() {
  constexpr double kLimit_s = 60;
  const TemporaryFolder folder;
  std::vector<ProgramDescription> programs;
  for (const auto& component : components()) {
    const std::string path = program_path(component.name);
    if (path.empty()) continue;
    const std::string answer = folder.file(component.name);
    const RunOutcome outcome = run_and_wait({path, "--describe"}, answer, kLimit_s);
    try {
      if (outcome.exit_code != 0) throw InvalidInput("it ended with an error");
      programs.push_back(program_from(read_json(answer)));
    } catch (const std::exception& error) {
      throw Unavailable(fmt::format("{} does not tell its verbs: {}", path, error.what()));
    }
  }
  return programs;
}

}  // namespace ballast::cli
