#include "ballast/codesign/search_cost.h"

#include "ballast/codesign/plan.h"

namespace ballast::codesign {
namespace {

System without_macros(System system) {
  system.cim.count = 0;
  return system;
}

NetworkCost cost_of(const Graph& graph, const System& system, const MapOptions& options) {
  const Run mapped = evaluate(graph, system, map_network(graph, system, options));
  const Run npu = evaluate(graph, without_macros(system), Mapping(graph.nodes.size()));
  return {.ms = mapped.ms,
          .energy_uj = mapped.energy.total_uj(),
          .npu_ms = npu.ms,
          .npu_uj = npu.energy.total_uj(),
          .macs = static_cast<double>(graph.macs()),
          .weights = static_cast<double>(graph.weight_bytes())};
}

}  // namespace

NetworkCost& NetworkCost::operator+=(const NetworkCost& other) {
  ms += other.ms;
  energy_uj += other.energy_uj;
  npu_ms += other.npu_ms;
  npu_uj += other.npu_uj;
  macs += other.macs;
  weights += other.weights;
  return *this;
}

BlockCosts::BlockCosts(const Space& space, const System& system, Objective objective)
    : space_(space), system_(system), objective_(objective) {}

template <typename MakePlan>
const NetworkCost& BlockCosts::cached(std::uint64_t key, const MakePlan& make) {
  const auto found = cache_.find(key);
  if (found != cache_.end()) return found->second;
  const Graph graph = to_graph(make(), "");
  return cache_[key] =
             cost_of(graph, system_, {.method = Method::cut, .objective = objective_, .residents = false});
}

NetworkCost BlockCosts::operator()(const Genotype& g) {
  NetworkCost sum =
      cached(mix64(static_cast<std::uint64_t>(g.resolution) << 16 | static_cast<std::uint64_t>(g.stem)),
             [&] { return plan_stem(space_, g.resolution, g.stem); });
  int side = (g.resolution - 1) / space_.stem_stride + 1, in = g.stem;
  for (std::size_t s = 0; s < g.stages.size(); ++s) {
    for (std::size_t b = 0; b < g.stages[s].blocks.size(); ++b) {
      const BlockGenes& genes = g.stages[s].blocks[b];
      const std::uint64_t shape =
          static_cast<std::uint64_t>(s) << 56 | static_cast<std::uint64_t>(b == 0 ? 1 : 0) << 48 |
          static_cast<std::uint64_t>(side) << 32 | static_cast<std::uint64_t>(in) << 16 |
          static_cast<std::uint64_t>(g.stages[s].width);
      const std::uint64_t own =
          genes.attention
              ? 1u << 30 | static_cast<std::uint64_t>(genes.head_dim) << 16 |
                    static_cast<std::uint64_t>(genes.v_expansion) << 8 |
                    static_cast<std::uint64_t>(genes.mlp_ratio)
              : static_cast<std::uint64_t>(genes.kernel) << 8 | static_cast<std::uint64_t>(genes.expansion);
      sum += cached(mix64(shape) ^ mix64(own + 0x626c6f63u), [&] {
        return plan_block(space_, static_cast<int>(s), static_cast<int>(b), in, side, genes,
                          g.stages[s].width);
      });
      if (b == 0) side = (side - 1) / space_.stages[s].stride + 1;
      if (!genes.attention) in = g.stages[s].width;
    }
  }
  sum += cached(
      mix64(0x68656164u) ^ mix64(static_cast<std::uint64_t>(side) << 40 |
                                 static_cast<std::uint64_t>(in) << 20 | static_cast<std::uint64_t>(g.last)),
      [&] { return plan_head(space_, in, side, g.last); });
  return sum;
}

NetworkCost full_cost(const Space& space, const Genotype& genotype, const System& system,
                      Objective objective) {
  return cost_of(to_graph(space, genotype), system,
                 {.method = Method::cut, .objective = objective, .split = true});
}

}  // namespace ballast::codesign
