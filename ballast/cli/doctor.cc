#include "ballast/cli/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "ballast/base/bench.h"
#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/table.h"
#include "ballast/cli/machine.h"
#include "ballast/cli/programs.h"

namespace ballast::cli {
namespace {

struct Finding {
  Table table;
  Json json;
};

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 6;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i) text += (i > 0 ? " " : "") + names[i];
  if (names.size() > kMost) text += fmt::format(" and {} more", names.size() - kMost);
  return text;
}

Finding look_at_components() {
  Finding finding{Table("Components", {"component", "built", "what to do"}), Json::array()};
  for (const auto& component : components()) {
    const bool built = !program_path(component.name).empty();
    finding.table.row({component.name, built ? "yes" : "no",
                       built ? fmt::format("ballast {} --help", component.name)
                             : fmt::format("make build COMPONENTS={}", component.name)});
    finding.json.push_back({{"name", component.name}, {"built", built}});
  }
  return finding;
}

Finding look_at_tools() {
  Finding finding{Table("Tools", {"tool", "here", "version"}), Json::array()};
  for (const auto& tool : tools()) {
    finding.table.row(
        {tool.name, tool.version.empty() ? "no" : "yes", tool.version.empty() ? "-" : tool.version});
    finding.json.push_back(
        {{"tool", tool.name}, {"version", tool.version.empty() ? Json() : Json(tool.version)}});
  }
  return finding;
}

// The sections of one list that lack something; those that are whole are counted in the title.
Finding look_at_packages(const std::string& what, const std::string& file,
                         const std::set<std::string>& installed) {
  const auto sections = missing_packages(parse_packages(read_file(file), file), installed);
  const auto whole =
      std::count_if(sections.begin(), sections.end(), [](const auto& s) { return s.missing.empty(); });
  Finding finding{Table(fmt::format("{}: {} of {} sections are whole", what, whole, sections.size()),
                        {"section", "missing", "which", "what brings them"}),
                  Json::array()};
  for (const auto& section : sections) {
    const std::string command = section.section == "peers"  ? "make peers"
                                : section.section == "docs" ? "make docs"
                                : section.section == "house" || section.section == "tests"
                                    ? "setup/setup.sh"
                                    : fmt::format("setup/setup.sh --only {}", section.section);
    if (!section.missing.empty())
      finding.table.row({section.section, fmt::format("{}/{}", section.missing.size(), section.wanted),
                         listed(section.missing), command});
    finding.json.push_back({{"section", section.section},
                            {"wanted", section.wanted},
                            {"missing", section.missing},
                            {"command", command}});
  }
  return finding;
}

// What `ballast data list` knows, if that program is built.
Finding look_at_data() {
  Finding finding{Table("Data sets", {"data set", "here", "where, or what brings it"}), Json::array()};
  const std::string program = program_path("data");
  if (program.empty()) {
    finding.table.row({"(the data component is not built)", "-", "make build COMPONENTS=data"});
    return finding;
  }
  const std::string file =
      (std::filesystem::temp_directory_path() / fmt::format("ballast-doctor-{}", ::getpid())).string();
  const auto outcome = run_and_wait({program, "list", "--json"}, file, 30);
  std::string text = outcome.exit_code == 0 ? read_file(file) : "";
  std::filesystem::remove(file);
  try {
    const Json listed = Json::parse(text);
    for (const auto& entry : listed.at("datasets")) {
      const bool here = entry.at("folder").is_string();
      finding.table.row(
          {entry.at("name"), here ? "yes" : "no", here ? entry.at("folder") : entry.at("command")});
      finding.json.push_back(
          {{"dataset", entry.at("name")}, {"folder", entry.at("folder")}, {"command", entry.at("command")}});
    }
  } catch (const Json::exception&) {
    finding.table.row({"(`ballast data list` failed)", "-", "ballast data list"});
  }
  return finding;
}

}  // namespace

int doctor(const std::vector<std::string>& words) {
  bool json = false;
  for (const auto& word : words) {
    require_one_of("flag", word, {"--json", "--help"});
    if (word == "--help") {
      fmt::print(
          "usage: ballast doctor [--json]\n\nSays which components are built, which tools, packages, data "
          "sets and GPUs are\n"
          "here, and the command that brings what is missing.\n\nExamples:\n  ballast doctor\n  ballast "
          "doctor --json\n");
      return 0;
    }
    json = true;
  }
  const Json machine = machine_facts();
  Json document{{"schema", "ballast.doctor/1"}, {"machine", machine}};
  std::vector<Table> tables;
  const auto add = [&](const char* key, const Finding& finding) {
    document[key] = finding.json;
    if (!finding.table.rows().empty() || !finding.table.title().empty()) tables.push_back(finding.table);
  };
  add("components", look_at_components());
  add("tools", look_at_tools());
  const std::string setup = setup_folder();
  if (!setup.empty()) {
    add("packages", look_at_packages("Debian packages", setup + "/apt.txt", installed_debian_packages()));
    add("python", look_at_packages("Python packages", setup + "/pypi.txt", installed_python_packages()));
  }
  add("data", look_at_data());
  document["cache"] = cache_folder();
  document["gpus"] = gpus();
  if (json) {
    fmt::print("{}\n", document.dump(2));
    return 0;
  }
  fmt::print("ballast {}: {}, {} hardware threads ({})\n", BALLAST_VERSION, machine["cpu"].get<std::string>(),
             machine["cores"].get<int>(), machine["isa"].get<std::string>());
  const auto& cards = document["gpus"];
  if (cards.empty())
    fmt::print("GPU: none; everything runs on the CPU, and GPU kernels are compiled but not run\n");
  for (const auto& card : cards) fmt::print("GPU: {}\n", card.get<std::string>());
  fmt::print("Cache: {}\n", document["cache"].get<std::string>());
  if (setup.empty())
    fmt::print("Packages: the lists of setup/ are not here; run this from a source tree to compare\n");
  for (const auto& table : tables) {
    fmt::print("\n");
    if (table.rows().empty()) {
      fmt::print("{}\n", table.title());
    } else {
      table.print(stdout);
    }
  }
  return 0;
}

}  // namespace ballast::cli
