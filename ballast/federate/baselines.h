// The published methods that FedDrift is compared with, one file each; made through make_strategy().
#pragma once

#include <memory>
#include <string>

#include "ballast/federate/strategy.h"

namespace ballast::federate {

/// DriftSurf (Tahmasbi et al. 2021), federated: a predictive, a stable and a reactive model. `data` sets its
/// threshold: sea 0.02, circle 0.05, else 0.10.
std::unique_ptr<Strategy> make_driftsurf(const std::string& data);
/// AUE (Brzezinski and Stefanowski 2011): at most 4 members, voting by their error on the newest batch;
/// `per_client`: each client weighs them by its own.
std::unique_ptr<Strategy> make_aue(int clients, bool per_client);
/// KUE (Cano and Krawczyk 2020): members on random feature subsets, voting by Cohen's kappa.
std::unique_ptr<Strategy> make_kue(int clients, int members, std::uint64_t seed);
/// `adaptive_fedavg` (Canonaco et al. 2021): the learning rate follows the change of the model. `flash`
/// (Panchal et al. 2023): a server optimizer that speeds up under drift, and clients that stop early.
std::unique_ptr<Strategy> make_adaptive(const std::string& name);
/// Clustered federated learning (Sattler et al. 2020): splits a cluster whose updates point apart.
std::unique_ptr<Strategy> make_cfl(int clients);
/// Every batch belongs to all models in part. softcluster: shares softmax(2^3 * accuracy) (our choice of the
/// exponent); gmm: responsibilities of a mixture, whose priors are learned from step to step (our choice).
std::unique_ptr<Strategy> make_soft_clustering(const std::string& name, int clients, int models);

}  // namespace ballast::federate
