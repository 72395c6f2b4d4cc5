// An ordered index on a PIM machine, whose every batch has an exact cost.
#pragma once

#include "ballast/index/pim/machine.h"
#include "ballast/index/types.h"

namespace ballast::index {

class MeteredIndex : public OrderedIndex {
 public:
  /// Of the last batch, with whatever it made the engine do (splits, migrations).
  virtual const pim::Cost& cost() const = 0;
};

}  // namespace ballast::index
