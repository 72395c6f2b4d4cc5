#include <algorithm>

#include "ballast/base/cli.h"
#include "ballast/robot/benchmarks/benchmark.h"

namespace ballast::robot {

const std::vector<Benchmark>& benchmarks() {
  static const std::vector<Benchmark> all = [] {
    std::vector<Benchmark> list;
    for (auto group :
         {perception_benchmarks, depth_benchmarks, motion_benchmarks, frame_benchmarks, classify_benchmarks,
          localization_benchmarks, avoidance_benchmarks, loaded_transform_benchmarks})
      for (auto& benchmark : group()) list.push_back(std::move(benchmark));
    std::sort(list.begin(), list.end(), [](const Benchmark& a, const Benchmark& b) { return a.id < b.id; });
    return list;
  }();
  return all;
}

GraphSpec one_node(const std::string& id, const std::string& in, const std::string& in_type,
                   const std::string& out, const std::string& out_type, NodeSpec node) {
  GraphSpec graph;
  graph.id = id;
  graph.inputs = {{.topic = "/" + in, .type = in_type}};
  graph.outputs = {{.topic = "/" + out, .type = out_type}};
  node.remap[in] = "/" + in;
  node.remap[out] = "/" + out;
  graph.nodes = {std::move(node)};
  return graph;
}

const Benchmark& find_benchmark(const std::string& id) {
  std::vector<std::string> ids;
  for (const auto& benchmark : benchmarks()) {
    ids.push_back(benchmark.id);
    if (benchmark.id == id) return benchmark;
  }
  cli::require_one_of("benchmark", id, ids);
  return benchmarks().front();
}

}  // namespace ballast::robot
