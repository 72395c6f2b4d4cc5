// The suites of `ballast federate bench` beside accuracy: what travels, how it scales, what faults cost, what
// privacy costs.
#pragma once

#include "ballast/base/bench.h"

namespace ballast::federate {

/// Alarms: who is found, who is not, what is raised for nothing; and the sweep of sample sizes.
void detection_suite(Bench& bench, bool quick, int seeds);
/// Fashion-MNIST with exchanged labels (R = 20, K = 10): the accuracy cells of patterns A, B and C.
void image_suite(Bench& bench, int seeds);
/// The same data at 50, 100 and 500 samples a step, and what `delta: auto` recovers at 50.
void image_sweep_suite(Bench& bench, int seeds);
void comm_suite(Bench& bench, const std::string& budget, int seeds);
void scale_suite(Bench& bench, const cli::Common& common, double seconds);
void fault_suite(Bench& bench, const std::string& budget, int seeds);
void privacy_suite(Bench& bench, const cli::Common& common, const std::string& budget);
/// Detectors against river, clustering against scipy, a round against Flower; each only where it is
/// installed.
void peer_suite(Bench& bench, const cli::Common& common);

}  // namespace ballast::federate
