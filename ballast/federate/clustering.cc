#include "ballast/federate/clustering.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::federate {

Linkage linkage_from_string(const std::string& word) {
  cli::require_one_of("linkage", word, {"complete", "average", "single"});
  return word == "complete" ? Linkage::complete : word == "average" ? Linkage::average : Linkage::single;
}

Clustering agglomerate(const DistanceMatrix& distances, Linkage linkage, double threshold) {
  const std::size_t n = distances.size();
  DistanceMatrix d = distances;
  for (const auto& row : d) BALLAST_CHECK(row.size() == n);
  Clustering result;
  std::vector<std::vector<std::size_t>> members(n);
  for (std::size_t i = 0; i < n; ++i) members[i] = {i};
  for (;;) {
    std::size_t a = 0, b = 0;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < n; ++i) {
      if (members[i].empty()) continue;
      for (std::size_t j = i + 1; j < n; ++j) {
        if (!members[j].empty() && d[i][j] < least) {
          least = d[i][j];
          a = i;
          b = j;
        }
      }
    }
    if (!(least <= threshold) || std::isinf(least)) break;
    // Lance-Williams update of the merged cluster, which keeps the lower name.
    const auto size_a = static_cast<double>(members[a].size()),
               size_b = static_cast<double>(members[b].size());
    for (std::size_t k = 0; k < n; ++k) {
      if (k == a || k == b || members[k].empty()) continue;
      double merged = 0;
      if (linkage == Linkage::complete) merged = std::max(d[a][k], d[b][k]);
      if (linkage == Linkage::single) merged = std::min(d[a][k], d[b][k]);
      if (linkage == Linkage::average) merged = (size_a * d[a][k] + size_b * d[b][k]) / (size_a + size_b);
      d[a][k] = d[k][a] = merged;
    }
    result.merges.push_back({a, b, least});
    members[a].insert(members[a].end(), members[b].begin(), members[b].end());
    members[b].clear();
  }
  for (auto& group : members) {
    if (group.empty()) continue;
    std::sort(group.begin(), group.end());
    result.groups.push_back(std::move(group));
  }
  return result;
}

}  // namespace ballast::federate
