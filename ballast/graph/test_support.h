// What the tests of this component share: scratch folders, random graphs, running the program as a user does.
#pragma once

#include <fmt/format.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/data/datasets.h"
#include "ballast/graph/graph.h"

namespace ballast::graph::testing {

/// A folder of its own, with a short way to put files there.
class Scratch : public TemporaryFolder {
 public:
  std::string put(const std::string& name, std::string_view content) const {
    std::ofstream(file(name), std::ios::binary) << content;
    return file(name);
  }
};

/// n vertices, m edges at random, loops and duplicates included.
inline EdgeList random_graph(Random& random, std::uint64_t n, std::uint64_t m, bool directed, bool weighted) {
  EdgeList list;
  list.vertices = n;
  list.directed = directed;
  for (std::uint64_t i = 0; i < m && n > 0; ++i) {
    list.edges.push_back({static_cast<VertexId>(random.below(n)), static_cast<VertexId>(random.below(n))});
    if (weighted) list.weights.push_back(static_cast<double>(1 + random.below(255)));
  }
  return list;
}

struct Ran {
  int code;
  std::string output, error;
};

/// Runs a command line with the shell; what it prints is kept.
inline Ran run(const std::string& command) {
  Scratch scratch;
  const std::string out = scratch.file("out"), err = scratch.file("err");
  const int status = std::system(fmt::format("{} >{} 2>{}", command, out, err).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(err)};
}
inline Ran run_graph(const std::string& arguments) {
  return run(std::string(BALLAST_BINARY_DIR) + "/bin/ballast-graph " + arguments);
}

/// The project's data folder, or empty.
inline std::string shared_data() {
  const char* given = std::getenv("BALLAST_SHARED_DATA");
  const std::string path = given != nullptr ? given : std::string(BALLAST_SOURCE_DIR) + "/../shared/data";
  return std::filesystem::exists(path) ? path : "";
}

/// A graph of the distribution's collection, or empty.
inline std::string collection_graph(const std::string& name) {
  const std::string folder = data::try_dataset("graph-collection");
  const std::string path = folder + "/" + name + ".gt.gz";
  return !folder.empty() && std::filesystem::exists(path) ? path : "";
}

}  // namespace ballast::graph::testing
