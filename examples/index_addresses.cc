// Which of many ranges does an address fall into? An ordered map answers that by "the largest key not above
// it".
//   build/bin/example-index_addresses
#include <cstdio>
#include <vector>

#include "ballast/index/host_map.h"
#include "ballast/index/pim_tree.h"

int main() {
  using namespace ballast;
  std::vector<index::Entry> ranges;  // first address of each range, number of its owner
  for (std::uint64_t i = 0; i < 10'000; ++i) ranges.push_back({i * 1000, i});
  const std::vector<index::Key> addresses{0, 999, 1000, 1'234'567, 99'999'999};

  index::HostMap map;  // plain memory, all cores
  map.bulk_load(ranges);
  for (const auto& found : map.predecessor(addresses))
    std::printf("range from %llu: owner %llu\n", static_cast<unsigned long long>(found->key),
                static_cast<unsigned long long>(found->value));

  pim::Machine machine({.modules = 64});  // the same on a simulated PIM machine, with its exact cost
  index::PimTree tree(machine);
  tree.bulk_load(ranges);
  const bool same = tree.predecessor(addresses) == map.predecessor(addresses);
  std::printf("%s answers on %u modules: %zu rounds, %llu words (counted)\n", same ? "the same" : "DIFFERENT",
              machine.modules(), tree.cost().rounds.size(),
              static_cast<unsigned long long>(tree.cost().words()));
  return same ? 0 : 1;
}
