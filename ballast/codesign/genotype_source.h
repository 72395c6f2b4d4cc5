// Genotypes by word, as the verbs take them.
#pragma once

#include <string>

#include "ballast/codesign/space.h"

namespace ballast::codesign {

/// largest, largest-conv, smallest, random (by seed), or a .json file: a genotype, or a front of `search`, of
/// which the most accurate network is taken.
Genotype genotype_from_word(const Space& space, const std::string& word, std::uint64_t seed);

}  // namespace ballast::codesign
