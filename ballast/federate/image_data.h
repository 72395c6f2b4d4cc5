// Fashion-MNIST as a federation: true labels (concept 0), or with the labels 1 and 2, 3 and 4, 5 and 6
// exchanged (concepts 1, 2, 3). Samples are taken in turn from the shuffled training set, again from its
// start when used up.
#pragma once

#include "ballast/federate/samples.h"

namespace ballast::federate {

/// Throws Unavailable naming the Debian package when the data set is not installed.
Federation image_federation(const DataSpec& spec, ConceptPattern pattern);

}  // namespace ballast::federate
