#include "ballast/dynamic/peers/dynet.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>

#include "ballast/base/file.h"
#include "ballast/base/python_files.h"
#include "ballast/base/temporary_folder.h"

namespace ballast::dynamic {
namespace {

Json tree_json(const Value& tree) {
  if (tree.tag == 0) return tree.fields[0].integer;
  return Json::array({tree_json(tree.fields[0]), tree_json(tree.fields[1])});
}

Json words_json(const Value& words) {
  Json list = Json::array();
  for (const Value& word : words.fields) list.push_back(word.integer);
  return list;
}

Json lattice_json(const Value& places) {
  Json list = Json::array();
  for (const Value& place : places.fields) {
    Json arcs = Json::array();
    for (const Value& arc : place.fields[1].fields)
      arcs.push_back(Json::array({arc.fields[0].integer, arc.fields[1].integer}));
    list.push_back(Json::array({place.fields[0].integer, arcs}));
  }
  return list;
}

}  // namespace

std::optional<DynetRun> run_dynet(const std::string& model, const Module& module,
                                  const Parameters& parameters, const std::vector<Instance>& batch,
                                  int autobatch, int rounds) {
  if (find_python_file("_dynet.cpython-311-x86_64-linux-gnu.so").empty() &&
      find_python_file("dynet.py").empty())
    return std::nullopt;
  Json problem{{"model", model},
               {"hidden", module.constants.at("H")},
               {"classes", module.constants.at("C")},
               {"autobatch", autobatch},
               {"rounds", rounds},
               {"instances", Json::array()},
               {"parameters", Json::object()}};
  for (const Instance& instance : batch)
    problem["instances"].push_back(model == "treelstm"      ? tree_json(instance[0])
                                   : model == "latticelstm" ? lattice_json(instance[0])
                                                            : words_json(instance[0]));
  for (const auto& [name, values] : parameters) problem["parameters"][name] = values;
  const TemporaryFolder folder;
  write_file(folder.file("problem.json"), problem.dump());
  const std::string command = fmt::format("OMP_NUM_THREADS=1 '{}/venv/bin/python' '{}' '{}' 2>/dev/null",
                                          cache_folder(), BALLAST_DYNET_SCRIPT, folder.file("problem.json"));
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return std::nullopt;
  std::string text;
  std::array<char, 4096> chunk{};
  while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe))
    text.append(chunk.data(), got);
  if (::pclose(pipe) != 0) return std::nullopt;
  DynetRun run;
  try {
    const Json result = Json::parse(text.substr(text.find('{')));
    run.outputs = result.at("outputs").get<std::vector<double>>();
    for (const Json& round : result.at("runs")) {
      run.execute.push_back(round.at("execute").get<double>());
      run.total.push_back(round.at("execute").get<double>() + round.at("build").get<double>());
    }
  } catch (const std::exception&) {
    return std::nullopt;
  }
  return run;
}

}  // namespace ballast::dynamic
