// The engine as a discrete-event model: what a step would take if device, link
// and host were alone on their resources.
//
// It serves the same chains in the same order under the same gates as engine.h,
// from given durations. `plan` needs it for machines that are not there, tests
// for exact expectations, and runs on a busy machine for a clock that other
// programs do not disturb: compute by the thread's processor time, link and
// host by their formulas. Everything here is modelled.
//
//   StepCosts costs{.forward = {...}, .backward = {...}, .apply = {...},
//   .payload = {{bytes of unit, ...}, ...}}; SimulatedStep step =
//   simulate(schedule_from_string("layerwise"), costs, {.link = {.d2h = 2e9,
//   .h2d = 2e9}});
#pragma once

#include <cstdint>
#include <vector>

#include "ballast/tune/device.h"
#include "ballast/tune/schedule.h"
#include "ballast/tune/timeline.h"

namespace ballast::tune {

/// Seconds by block, and what each block sends (and gets back), in bytes by
/// unit.
struct StepCosts {
  std::vector<double> forward, backward, apply;
  double ends = 0;  ///< embedding, head, and what is done once a step on the device
  std::vector<std::vector<std::int64_t>> payload;
  double compute() const;
};

struct SimulatedMachine {
  LinkSpeed link = {};
  double host_rate = 0;  ///< f32 values/s that the host updates; 0: no time
  std::int64_t chunk_bytes = std::int64_t{4} << 20;
  int slots = 32;
  std::int64_t bucket_bytes = 0;  ///< BWD of a block waits until no more than
                                  ///< this waits for the link; 0: no limit
};

struct SimulatedStep {
  double seconds = 0;   ///< of one step in the steady state
  Breakdown breakdown;  ///< of that step
};

/// `intervals`, when given, receives the steady step's bars.
SimulatedStep simulate(const Schedule& schedule, const StepCosts& costs, const SimulatedMachine& machine,
                       std::vector<Interval>* intervals = nullptr);

}  // namespace ballast::tune
