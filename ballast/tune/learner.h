// Fitting a projector pair to calibration gradients (LSP-Offload, section 3.2, algorithm 1).
//
// Minimises  mean over gradients of ‖PPᵀGQQᵀ − G‖_F/‖G‖_F  + β·(‖P‖_F + ‖Q‖_F)  over the *values*; positions
// stay. The gradient is analytic and is evaluated at the stored positions only; with E = PSQᵀ − G, S = PᵀGQ,
// f = ½‖E‖²:
//
//   ∇P f = EQ·Sᵀ + GQ·(PᵀEQ)ᵀ        ∇Q f = EᵀP·S + GᵀP·(PᵀEQ)
//
// E is never formed: EQ = P·S·(QᵀQ) − GQ, PᵀEQ = (PᵀP)·S·(QᵀQ) − S, and ‖E‖² = ⟨PᵀP·S·QᵀQ, S⟩ − 2‖S‖² + ‖G‖².
//
//   FitReport report = fit(pair, {g}, {.iterations = 100, .rate = 0.1});
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "ballast/tune/projector.h"

namespace ballast::tune {

enum class Regulariser { norm, squared };

struct FitOptions {
  int iterations = 100;
  double rate = 0.1;    ///< Adam's learning rate on the values
  bool cosine = false;  ///< decay the rate to zero over the iterations
  double accept = 0.8;  ///< α: stop when the mean relative bias is at most this; 0 never
  double beta = 0;      ///< weight of the regulariser
  Regulariser regulariser = Regulariser::norm;
  double max_seconds = 0;  ///< 0: no cap
};

enum class FitStop { accepted, iterations, time, zero_gradient };
std::string to_string(FitStop why);

struct FitReport {
  double bias_before = 0;  ///< mean relative bias over the gradients
  double bias_after = 0;
  int iterations = 0;
  double seconds = 0;
  FitStop why = FitStop::iterations;
};

/// Fits in place and keeps the best values met. Gradients that are zero are left out; when all are, nothing
/// changes. Throws Interrupted on Ctrl-C, with the pair as it was.
FitReport fit(ProjectorPair& pair, const std::vector<at::Tensor>& gradients, const FitOptions& options);

/// The loss without regulariser and its gradients by the values of P and Q (both [rows, r]).
struct FitGradient {
  double loss = 0;
  at::Tensor p, q;
};
FitGradient fit_gradient(const ProjectorPair& pair, const std::vector<at::Tensor>& gradients);

}  // namespace ballast::tune
