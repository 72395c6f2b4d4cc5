// Gives the compiler's proofs to Z3, where it is installed: for tests. Table reads are uninterpreted
// functions within their declared ranges, as the paper has it.
#pragma once

#include <cstdint>
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
  /// Fails the running test for each one that Z3 finds a counterexample of, and when it leaves more than a
  /// tenth undecided. Prints how many were confirmed and how many not decided.
  void check();
  enum class Verdict : std::uint8_t { confirmed, refuted, undecided };
  /// What Z3 says within four seconds; undecided is no agreement.
  static Verdict judge(const loop::Proof& proof);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::ragged
