#include <algorithm>

#include "ballast/base/cli.h"
#include "ballast/robot/benchmarks/benchmark.h"

namespace ballast::robot {

const std::vector<Benchmark>& benchmarks() {
  static const std::vector<Benchmark> all = [] {
    std::vector<Benchmark> list;
    for (auto group : {perception_benchmarks, depth_benchmarks, motion_benchmarks, frame_benchmarks})
      for (auto& benchmark : group()) list.push_back(std::move(benchmark));
    std::sort(list.begin(), list.end(), [](const Benchmark& a, const Benchmark& b) { return a.id < b.id; });
    return list;
  }();
  return all;
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
