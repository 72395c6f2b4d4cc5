// The least possible bytes of the busiest machine, by trying all placements: for small cases only, as a
// yardstick.
#pragma once

#include <vector>

#include "ballast/orch/bytes_model.h"

namespace ballast::orch {

/// Every group (the tasks of one machine for one key) runs whole on any one machine. Its tasks travel there
/// (a group that stays where it is sends a meta-task to the owner instead), the item is sent once to each
/// machine that runs a group of its key, replies go home: three supersteps. Returns the least, over all
/// placements, of the largest sum of h over supersteps. Frames and bundle headers are left out. Throws
/// InvalidInput for more than 4 million placements.
double least_busiest_bytes(int machines, const std::vector<KeyDemand>& demands, const RecordSizes& sizes);

/// What the rule of the flat form (the cheaper way for each group) gives in the same terms.
double flat_busiest_bytes(int machines, const std::vector<KeyDemand>& demands, const RecordSizes& sizes);

}  // namespace ballast::orch
