// drain and release: an operator's words to a running server, left as files in its state folder.
#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

void require_state(const std::string& state) {
  if (!std::filesystem::exists(state + "/status.json"))
    throw Unavailable(
        fmt::format("{}: no status.json; give the --state folder of a server that runs", state));
}

}  // namespace

void add_drain(cli::Program& program) {
  auto state = std::make_shared<std::string>();
  auto verb =
      program.verb("drain", "end a running federation after its present step; started again, it goes on",
                   {"ballast federate drain --state run", "ballast federate drain --state run --json"});
  verb->add_option("--state", *state, "the server's state folder, on its machine")->required();
  verb.run([state](const cli::Common& common) {
    require_state(*state);
    write_file(*state + "/drain", "");
    if (common.for_people())
      fmt::print("the server ends after step {}\n", read_json(*state + "/status.json").value("step", 0));
    common.write_json({{"schema", "ballast.federate.drain/1"}, {"state", *state}});
  });
}

void add_release(cli::Program& program) {
  auto state = std::make_shared<std::string>(), name = std::make_shared<std::string>();
  auto verb = program.verb(
      "release", "let a quarantined client take part again",
      {"ballast federate release north --state run", "ballast federate release south --state run --json"});
  verb->add_option("name", *name, "the client's name")->required();
  verb->add_option("--state", *state, "the server's state folder, on its machine")->required();
  verb.run([=](const cli::Common& common) {
    require_state(*state);
    bool known = false;
    for (const Json& client : read_json(*state + "/status.json").value("clients", Json::array()))
      known = known || client.at("name") == *name;
    if (!known) throw InvalidInput("name", *name, "a client of the federation");
    const std::string path = *state + "/release";
    write_file(path, (std::filesystem::exists(path) ? read_file(path) : "") + *name + "\n");
    if (common.for_people()) fmt::print("{} is released after the present round\n", *name);
    common.write_json({{"schema", "ballast.federate.release/1"}, {"name", *name}});
  });
}

}  // namespace ballast::federate
