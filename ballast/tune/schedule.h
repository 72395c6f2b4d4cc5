// In which order transfers and updates are served (LSP-Offload, section 4), as values.
//
// After BWD of its block, each piece of a unit's gradient runs the chain D2H → UPD → H2D; chains are
// independent. What a schedule decides is the order of service at each resource and what waits for what. All
// of them give bit-identical weights: FWD of a block waits for all updates of its own block.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace ballast::tune {

enum class Service {
  fcfs,        ///< first ready, first served: the deepest block first
  lcfs,        ///< last ready, first served: the shallowest block first
  transition,  ///< fcfs for blocks deeper than the transition block, lcfs from it downwards; lcfs has
               ///< precedence
  deadline     ///< the block that the next forward pass needs first (earliest
               ///< deadline first)
};

struct Schedule {
  std::string name;
  Service service = Service::fcfs;
  bool update_waits_for_all = false;        ///< UPD starts when all gradients of the step have arrived
  bool upload_waits_for_all = false;        ///< H2D starts when all updates are done
  bool offload_waits_for_backward = false;  ///< D2H starts when BWD is done
  bool forward_waits_for_all = false;       ///< FWD of the next step waits for
                                            ///< everything, not only its own block
  /// Delayed update: H2D of step k waits for BWD of step k+1, FWD waits for
  /// step k−1 only; weights are one step stale.
  bool delayed = false;
  std::int64_t transition = 0;  ///< of Service::transition: blocks with a greater index are fcfs
};

/// serial, zero, zero-dpu, layerwise-fcfs, layerwise-lcfs, layerwise, edf.
/// Throws InvalidInput naming the nearest.
Schedule schedule_from_string(const std::string& name);
std::vector<std::string> schedule_names();

/// A piece of work waiting at a resource.
struct Ticket {
  std::int64_t step = 0;
  std::int64_t block = 0;    ///< 0 is the shallowest
  std::int64_t arrival = 0;  ///< rising number in the order of readiness
};
/// The smallest key is served first.
std::tuple<std::int64_t, std::int64_t, std::int64_t> service_key(const Schedule& schedule,
                                                                 const Ticket& ticket);

/// Times that the choice of a transition block and the models need, in seconds. Per-block times are averages.
struct StageTimes {
  std::int64_t blocks = 0;
  double forward = 0, backward = 0;     ///< of all blocks (with embedding and head)
  double device_extra = 0;              ///< compress and apply, of all blocks
  double d2h = 0, update = 0, h2d = 0;  ///< of one block's units
};

/// The block index at and below which service turns to lcfs. With b = T_BWD/L, c the slowest stage of a block
/// and p the sum of its stages, the k deepest blocks finish under fcfs before BWD ends iff (p − c) + k·c ≤
/// T_BWD; the result is L − k − 1 as an index (−1: fcfs alone).
std::int64_t transition_block(const StageTimes& times);

}  // namespace ballast::tune
