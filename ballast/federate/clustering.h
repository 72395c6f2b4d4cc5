// Agglomerative clustering of global models (FedDrift, section 3.4 of the method): merge the closest pair
// while its linkage distance is at most a threshold.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace ballast::federate {

enum class Linkage { complete, average, single };
Linkage linkage_from_string(const std::string& word);

/// A symmetric matrix of distances; infinity marks pairs that cannot be compared and never merge.
using DistanceMatrix = std::vector<std::vector<double>>;

struct Merge {
  std::size_t first, second;  ///< clusters, named by their lowest member; first < second
  double height;
};

struct Clustering {
  std::vector<std::vector<std::size_t>> groups;  ///< sorted members, groups by lowest member
  std::vector<Merge> merges;                     ///< in the order made
};

/// Ties go to the pair with the lowest names. O(n^3); n is a number of models.
Clustering agglomerate(const DistanceMatrix& distances, Linkage linkage, double threshold);

}  // namespace ballast::federate
