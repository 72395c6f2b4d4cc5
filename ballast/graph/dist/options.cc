#include "ballast/graph/dist/options.h"

#include <algorithm>

#include "ballast/base/cli.h"

namespace ballast::graph {

const std::vector<std::string>& partition_names() {
  static const std::vector<std::string> names{"tdo", "oec", "iec", "cvc", "hash-vertex-cut", "spmv"};
  return names;
}

std::string to_string(Partition partition) {
  return partition_names()[static_cast<std::size_t>(partition)];
}

Partition partition_from_string(const std::string& word) {
  cli::require_one_of("--partition", word, partition_names());
  return static_cast<Partition>(std::find(partition_names().begin(), partition_names().end(), word) -
                                partition_names().begin());
}

DistOptions engine_options(const std::string& name) {
  DistOptions options;
  options.partition = partition_from_string(name);
  switch (options.partition) {
    case Partition::tdo:
      break;
    case Partition::spmv:
      options.always_dense = true;
      options.early_exit = options.skip_done = false;
      [[fallthrough]];
    default:
      options.local_rounds = 0;
      options.finished_bits = options.direct_rounds = false;
      break;
  }
  return options;
}

}  // namespace ballast::graph
