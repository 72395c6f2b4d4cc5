// Batching policies: which type of ready node runs next. All ready nodes of the chosen type run as one batch.
//
//   unbatched   one node at a time, in program order
//   depth       by (depth, type), as TensorFlow Fold does; not a choice among frontiers
//   agenda      the type whose unrun nodes have the least mean depth, as DyNet does
//   suff        the type with the largest share of its own frontier ready: ED-Batch's sufficient condition,
//   which needs
//               the whole graph and is the offline reference
//   exact       the fewest batches, by A* with the lower bound; graphs of at most 60 nodes
//   fsm         a learned finite-state machine (fsm.h)
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ballast/dynamic/frontier.h"

namespace ballast::dynamic {

struct Batch {
  TypeId type;
  std::vector<NodeId> nodes;
};
using Schedule = std::vector<Batch>;

class Policy {
 public:
  virtual ~Policy() = default;
  /// A type with ready nodes.
  virtual TypeId next(const Frontier& frontier) = 0;
};

/// Runs the policy over the graph.
Schedule schedule(const Structure& structure, Policy& policy);

std::unique_ptr<Policy> make_agenda();
std::unique_ptr<Policy> make_sufficient();

Schedule schedule_unbatched(const Structure& structure);
Schedule schedule_by_depth(const Structure& structure);
/// Throws InvalidInput for more than 60 nodes, or when `most_states` search states do not suffice.
Schedule schedule_exact(const Structure& structure, std::size_t most_states = 2'000'000);

/// unbatched, depth, agenda, suff, exact.
std::vector<std::string> heuristic_names();
Schedule schedule_by_name(const Structure& structure, const std::string& name);

/// Every node once, after its arguments, in batches of one type; one sentence for what is wrong, empty if
/// sound.
std::string check_schedule(const Graph& graph, const Schedule& schedule);

}  // namespace ballast::dynamic
