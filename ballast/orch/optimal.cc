#include "ballast/orch/optimal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "ballast/base/errors.h"

namespace ballast::orch {
namespace {

constexpr int kMostMachines = 8;
using Row = std::array<double, kMostMachines>;

struct Group {
  std::size_t key;
  int origin, owner;
  double count;
};

std::vector<Group> groups_of(const std::vector<KeyDemand>& demands) {
  std::vector<Group> groups;
  for (std::size_t k = 0; k < demands.size(); ++k) {
    for (const auto& [machine, count] : demands[k].by_machine)
      groups.push_back({k, machine, demands[k].owner, static_cast<double>(count)});
  }
  return groups;
}

double busiest(int machines, const std::vector<Group>& groups, const std::vector<int>& place,
               std::size_t keys, const RecordSizes& sizes) {
  std::array<Row, 3> out{}, in{};
  const auto send = [&](std::size_t step, int from, int to, double bytes) {
    if (from == to) return;
    out[step][static_cast<std::size_t>(from)] += bytes;
    in[step][static_cast<std::size_t>(to)] += bytes;
  };
  std::vector<unsigned> has_item(keys, 0);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const Group& group = groups[g];
    if (place[g] == group.origin) {
      send(0, group.origin, group.owner, sizes.meta);
    } else {
      send(0, group.origin, place[g], group.count * sizes.task);
    }
    if (!(has_item[group.key] >> place[g] & 1u)) {
      has_item[group.key] |= 1u << place[g];
      send(1, group.owner, place[g], sizes.item);
    }
    send(2, place[g], group.origin, group.count * sizes.reply);
  }
  double most = 0;
  for (std::size_t m = 0; m < static_cast<std::size_t>(machines); ++m) {
    double sum = 0;
    for (std::size_t step = 0; step < 3; ++step) sum += std::max(out[step][m], in[step][m]);
    most = std::max(most, sum);
  }
  return most;
}

}  // namespace

double least_busiest_bytes(int machines, const std::vector<KeyDemand>& demands, const RecordSizes& sizes) {
  const auto groups = groups_of(demands);
  if (machines > kMostMachines || std::pow(machines, static_cast<double>(groups.size())) > 4e6)
    throw InvalidInput(
        "too many placements to try all of them; accepted: at most 8 machines and 4 million placements");
  std::vector<int> place(groups.size(), 0);
  double least = std::numeric_limits<double>::infinity();
  for (;;) {
    least = std::min(least, busiest(machines, groups, place, demands.size(), sizes));
    std::size_t g = 0;
    while (g < place.size() && ++place[g] == machines) place[g++] = 0;
    if (g == place.size()) return least;
  }
}

double flat_busiest_bytes(int machines, const std::vector<KeyDemand>& demands, const RecordSizes& sizes) {
  const auto groups = groups_of(demands);
  const auto limit = std::floor((sizes.item + sizes.meta) / (sizes.task + sizes.reply));
  std::vector<int> place;
  for (const auto& group : groups) place.push_back(group.count > limit ? group.origin : group.owner);
  return busiest(machines, groups, place, demands.size(), sizes);
}

}  // namespace ballast::orch
