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

}  // namespace ballast::graph
