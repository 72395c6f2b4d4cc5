#include "ballast/graph/dist/routes.h"

#include <algorithm>

#include "ballast/base/random.h"

namespace ballast::graph {

std::vector<int> tree_order(std::vector<int> machines, VertexId vertex) {
  if (machines.size() > 1) {
    const auto turn = static_cast<std::ptrdiff_t>(mix64(vertex) % machines.size());
    std::rotate(machines.begin(), machines.begin() + turn, machines.end());
  }
  return machines;
}

int full_depth(int machines, int fanout) {
  if (fanout < 2) return 1;
  int depth = 1;
  for (int last = machines - 1; (last = (last - 1) / fanout) > 0;) ++depth;
  return depth;
}

}  // namespace ballast::graph
