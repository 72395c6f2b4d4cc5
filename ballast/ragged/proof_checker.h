// Gives the compiler's proofs to Z3, where it is installed: for tests. Table reads are uninterpreted
// functions within their declared ranges, as the paper has it.
#pragma once

#include <memory>

#include "ballast/loop/simplify.h"

namespace ballast::ragged {

class ProofChecker {
 public:
  ProofChecker();
  ~ProofChecker();
  static bool available();
  /// Keeps a proof to check; equal texts once.
  void add(const loop::Proof& proof);
  /// Fails the running test for each one that Z3 finds a counterexample of. Prints how many were checked.
  void check();
  /// Whether Z3 agrees; for what it cannot decide in a second, true.
  static bool holds(const loop::Proof& proof);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::ragged
