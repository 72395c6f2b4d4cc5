// Pipelining (paper, section 5; specification 3.7): several drivers, each with its own buffers, take batches
// in turn, so that the CPU work of one overlaps the module work of another. Batches that only read share the
// index; one that changes it waits for those before it and is alone.
//
//   pim::Machine machine({.modules = 256, .drivers = 2});
//   PimTree tree(machine);
//   auto costs = pim::run_batches(machine, {{.reads = true, .work = [&] { a = tree.predecessor(x); }},
//                                           {.reads = true, .work = [&] { b = tree.get(y); }}});
#pragma once

#include <functional>
#include <vector>

#include "ballast/index/pim/machine.h"

namespace ballast::pim {

struct DrivenBatch {
  bool reads = true;  ///< false: it changes the index
  std::function<void()> work;
};

/// Runs the batches on machine.options().drivers threads and gives the cost of each. Changes happen in the
/// order of the batches, and every read sees exactly those before it. The first exception of a batch is
/// thrown again, after the batches that were under way; later ones are not begun.
std::vector<Cost> run_batches(Machine& machine, const std::vector<DrivenBatch>& batches);

}  // namespace ballast::pim
