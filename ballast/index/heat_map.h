// A picture of a batch: one column a module, one row a round, dark where many words cross.
#pragma once

#include <string>

#include "ballast/index/pim/machine.h"

namespace ballast::index {

/// The text of one <svg>. Needs records that were traced by module. At most 64 rounds are drawn.
/// `scale_words` is the darkest shade; 0 takes the most words of any module and round.
std::string heat_map(const pim::Cost& cost, std::uint64_t scale_words = 0);

}  // namespace ballast::index
