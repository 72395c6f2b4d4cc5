#include "ballast/dynamic/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <queue>
#include <unordered_map>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::dynamic {
namespace {

class Agenda : public Policy {
 public:
  TypeId next(const Frontier& frontier) override {
    TypeId best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (TypeId type = 0; type < frontier.types(); ++type) {
      if (frontier.count(type) == 0) continue;
      const double mean = frontier.mean_depth(type);
      if (mean < least) {
        least = mean;
        best = type;
      }
    }
    return best;
  }
};

class Sufficient : public Policy {
 public:
  TypeId next(const Frontier& frontier) override {
    TypeId best = 0;
    double most = -1;
    for (TypeId type = 0; type < frontier.types(); ++type) {
      if (frontier.count(type) == 0) continue;
      const double share =
          static_cast<double>(frontier.count(type)) / static_cast<double>(frontier.own_count(type));
      if (share > most || (share == most && frontier.count(type) > frontier.count(best))) {
        most = share;
        best = type;
      }
    }
    return best;
  }
};

/// Exhaustive search over sets of run nodes, as bit masks.
class Exact {
 public:
  explicit Exact(const Graph& graph) : graph_(graph), all_((std::uint64_t{1} << graph.size()) - 1) {
    for (NodeId node = 0; node < graph.size(); ++node) {
      std::uint64_t needed = 0;
      for (NodeId argument : graph.arguments(node)) needed |= std::uint64_t{1} << argument;
      needed_.push_back(needed);
    }
  }

  Schedule search(std::size_t most_states) const {
    struct Entry {
      std::uint32_t estimate, batches;
      std::uint64_t run;
      bool operator<(const Entry& other) const {
        return estimate > other.estimate || (estimate == other.estimate && batches < other.batches);
      }
    };
    std::priority_queue<Entry> open;
    std::unordered_map<std::uint64_t, std::pair<std::uint32_t, std::pair<std::uint64_t, TypeId>>>
        reached;  // batches, (from, type)
    open.push({bound(0), 0, 0});
    reached[0] = {0, {0, 0}};
    while (!open.empty()) {
      const Entry entry = open.top();
      open.pop();
      if (entry.run == all_) return unwind(reached);
      if (entry.batches > reached[entry.run].first) continue;
      for (TypeId type = 0; type < graph_.types().size(); ++type) {
        const std::uint64_t batch = ready(entry.run, type);
        if (batch == 0) continue;
        const std::uint64_t after = entry.run | batch;
        const auto found = reached.find(after);
        if (found != reached.end() && found->second.first <= entry.batches + 1) continue;
        reached[after] = {entry.batches + 1, {entry.run, type}};
        open.push({entry.batches + 1 + bound(after), entry.batches + 1, after});
      }
      if (reached.size() > most_states) {
        throw InvalidInput(
            fmt::format("policy exact: {} search states do not suffice for this graph", most_states));
      }
    }
    return {};
  }

 private:
  std::uint64_t ready(std::uint64_t run, TypeId type) const {
    std::uint64_t batch = 0;
    for (NodeId node = 0; node < graph_.size(); ++node) {
      const std::uint64_t bit = std::uint64_t{1} << node;
      if ((run & bit) == 0 && graph_.type(node) == type && (needed_[node] & ~run) == 0) batch |= bit;
    }
    return batch;
  }

  std::uint32_t bound(std::uint64_t run) const {
    std::uint32_t sum = 0;
    std::vector<std::uint32_t> chain(graph_.size());
    for (TypeId type = 0; type < graph_.types().size(); ++type) {
      std::uint32_t longest = 0;
      for (NodeId node = 0; node < graph_.size(); ++node) {
        std::uint32_t before = 0;
        for (NodeId argument : graph_.arguments(node)) before = std::max(before, chain[argument]);
        chain[node] = before + ((run >> node & 1) == 0 && graph_.type(node) == type ? 1 : 0);
        longest = std::max(longest, chain[node]);
      }
      sum += longest;
    }
    return sum;
  }

  template <typename Reached>
  Schedule unwind(const Reached& reached) const {
    Schedule result;
    for (std::uint64_t at = all_; at != 0;) {
      const auto& [from, type] = reached.at(at).second;
      Batch batch{type, {}};
      for (NodeId node = 0; node < graph_.size(); ++node) {
        if (((at & ~from) >> node & 1) != 0) batch.nodes.push_back(node);
      }
      result.push_back(std::move(batch));
      at = from;
    }
    std::reverse(result.begin(), result.end());
    return result;
  }

  const Graph& graph_;
  std::uint64_t all_;
  std::vector<std::uint64_t> needed_;
};

}  // namespace

Schedule schedule(const Structure& structure, Policy& policy) {
  Schedule batches;
  Frontier frontier(structure);
  while (!frontier.done()) {
    const TypeId type = policy.next(frontier);
    batches.push_back({type, frontier.run(type)});
  }
  return batches;
}

std::unique_ptr<Policy> make_agenda() {
  return std::make_unique<Agenda>();
}
std::unique_ptr<Policy> make_sufficient() {
  return std::make_unique<Sufficient>();
}

Schedule schedule_unbatched(const Structure& structure) {
  Schedule batches;
  for (NodeId node = 0; node < structure.graph.size(); ++node)
    batches.push_back({structure.graph.type(node), {node}});
  return batches;
}

Schedule schedule_by_depth(const Structure& structure) {
  std::map<std::pair<std::uint32_t, TypeId>, std::vector<NodeId>> groups;
  for (NodeId node = 0; node < structure.graph.size(); ++node) {
    groups[{structure.depth[node], structure.graph.type(node)}].push_back(node);
  }
  Schedule batches;
  for (auto& [key, nodes] : groups) batches.push_back({key.second, std::move(nodes)});
  return batches;
}

Schedule schedule_exact(const Structure& structure, std::size_t most_states) {
  if (structure.graph.size() > 60) {
    throw InvalidInput(fmt::format("policy exact: {} nodes; accepted: at most 60", structure.graph.size()));
  }
  if (structure.graph.size() == 0) return {};
  return Exact(structure.graph).search(most_states);
}

std::vector<std::string> heuristic_names() {
  return {"unbatched", "depth", "agenda", "suff", "exact"};
}

Schedule schedule_by_name(const Structure& structure, const std::string& name) {
  cli::require_one_of("--policy", name, heuristic_names());
  if (name == "unbatched") return schedule_unbatched(structure);
  if (name == "depth") return schedule_by_depth(structure);
  if (name == "exact") return schedule_exact(structure);
  const auto policy = name == "agenda" ? make_agenda() : make_sufficient();
  return schedule(structure, *policy);
}

std::string check_schedule(const Graph& graph, const Schedule& batches) {
  std::vector<std::size_t> ran(graph.size(), 0);  // batch number + 1
  for (std::size_t b = 0; b < batches.size(); ++b) {
    if (batches[b].nodes.empty()) return fmt::format("batch {} is empty", b);
    for (NodeId node : batches[b].nodes) {
      if (graph.type(node) != batches[b].type)
        return fmt::format("batch {} holds node {} of another type", b, node);
      if (ran[node] != 0) return fmt::format("node {} runs twice", node);
      for (NodeId argument : graph.arguments(node)) {
        if (ran[argument] == 0 || ran[argument] == b + 1)
          return fmt::format("node {} runs before its argument {}", node, argument);
      }
    }
    for (NodeId node : batches[b].nodes) ran[node] = b + 1;
  }
  const auto missed = std::find(ran.begin(), ran.end(), 0u);
  return missed == ran.end() ? "" : fmt::format("node {} never runs", missed - ran.begin());
}

}  // namespace ballast::dynamic
