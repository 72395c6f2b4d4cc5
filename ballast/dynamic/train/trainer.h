// Training: the batches of a run are a tape; backwards, each is one batch of its gradient cell. The loss is
// the sum of all tensors of one element that the entry function gives, over the instances. Decisions that
// were taken from tensors count as constants.
//
//   Trainer trainer(exe, initial_parameters(module, 1), {.optimizer = "adam", .rate = 1e-3});
//   double loss = trainer.step(batch);               // mean over instances, before the step
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {

struct TrainOptions {
  std::string optimizer = "adam";  ///< or sgd
  double rate = 1e-3;
  double momentum = 0;                                ///< sgd
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  ///< adam
  SessionOptions session = {};
};

class Trainer {
 public:
  /// Throws InvalidInput for a model whose entry gives no losses, or that uses an operator without a
  /// gradient.
  Trainer(const Executable& exe, Parameters parameters, TrainOptions options = {});
  ~Trainer();
  /// The gradient of the summed loss by every parameter; and the loss.
  Parameters gradients(std::span<const Session::Arguments> batch, double* loss = nullptr);
  double step(std::span<const Session::Arguments> batch);
  const Parameters& parameters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::dynamic
