#include "ballast/ragged/proof_checker.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#ifdef BALLAST_HAVE_Z3
#include <z3++.h>
#endif

namespace ballast::ragged {

using namespace loop;

struct ProofChecker::State {
  std::map<std::string, Proof> proofs;
};

ProofChecker::ProofChecker() : state_(std::make_unique<State>()) {}
ProofChecker::~ProofChecker() = default;

void ProofChecker::add(const Proof& proof) {
  std::string text = to_text(proof.goal);
  for (const Expr& a : proof.assumptions) text += "\n" + to_text(a);
  state_->proofs.emplace(text, proof);
}

void ProofChecker::check() {
  if (!available()) {
    std::printf("Z3 is not installed: %zu proofs were not re-checked\n", state_->proofs.size());
    return;
  }
  std::size_t confirmed = 0, undecided = 0;
  for (const auto& [text, proof] : state_->proofs) {
    const Verdict verdict = judge(proof);
    EXPECT_NE(verdict, Verdict::refuted) << text;
    confirmed += verdict == Verdict::confirmed ? 1 : 0;
    if (verdict != Verdict::undecided) continue;
    ++undecided;
    std::printf("Z3 did not decide: %s\n", text.c_str());
  }
  std::printf("%zu different proofs: %zu confirmed by Z3, %zu not decided in its time\n",
              state_->proofs.size(), confirmed, undecided);
  EXPECT_GT(confirmed, 0u);
  EXPECT_LE(undecided * 10, state_->proofs.size()) << "too many for the check to mean anything";
}

#ifdef BALLAST_HAVE_Z3

namespace {

class Translator {
 public:
  explicit Translator(z3::context& z) : z_(z), ranges_(z) {}

  z3::expr operator()(const Expr& e) {
    const auto arg = [&](std::size_t i) { return (*this)(e->args[i]); };
    switch (e->op) {
      case Op::integer:
        return e->type == DType::boolean ? z_.bool_val(e->integer != 0) : z_.int_val(e->integer);
      case Op::variable:
        return z_.int_const(("v" + std::to_string(reinterpret_cast<std::uintptr_t>(e.get()))).c_str());
      case Op::scalar: {
        const z3::expr s = z_.int_const(("s" + std::to_string(e->integer)).c_str());
        within(s, e->low, e->high);
        return s;
      }
      case Op::load: {
        z3::sort_vector sorts(z_);
        z3::expr_vector args(z_);
        for (std::size_t i = 0; i < e->args.size(); ++i) {
          sorts.push_back(z_.int_sort());
          args.push_back(arg(i));
        }
        const z3::expr value =
            z_.function(("t" + std::to_string(reinterpret_cast<std::uintptr_t>(e->buffer.get()))).c_str(),
                        sorts, z_.int_sort())(args);
        within(value, e->buffer->low, e->buffer->high);
        return value;
      }
      case Op::add:
        return arg(0) + arg(1);
      case Op::sub:
        return arg(0) - arg(1);
      case Op::mul:
        return arg(0) * arg(1);
      case Op::floordiv:  // Z3's division rounds down for a positive divisor; others do not occur
        return arg(0) / arg(1);
      case Op::floormod:
        return z3::mod(arg(0), arg(1));
      case Op::min:
        return z3::ite(arg(0) < arg(1), arg(0), arg(1));
      case Op::max:
        return z3::ite(arg(0) > arg(1), arg(0), arg(1));
      case Op::less:
        return arg(0) < arg(1);
      case Op::less_equal:
        return arg(0) <= arg(1);
      case Op::equal:
        return arg(0) == arg(1);
      case Op::logical_and:
        return arg(0) && arg(1);
      default:
        ADD_FAILURE() << "an operator that proofs do not have: " << to_text(e);
        return z_.int_val(0);
    }
  }
  const z3::expr_vector& ranges() const { return ranges_; }

 private:
  void within(const z3::expr& e, std::int64_t low, std::int64_t high) {
    if (low > kNoMinimum) ranges_.push_back(e >= z_.int_val(low));
    if (high < kNoMaximum) ranges_.push_back(e <= z_.int_val(high));
  }
  z3::context& z_;
  z3::expr_vector ranges_;
};

}  // namespace

bool ProofChecker::available() {
  return true;
}

ProofChecker::Verdict ProofChecker::judge(const Proof& proof) {
  z3::context z;
  z3::solver solver(z);
  z3::params limits(z);
  limits.set("timeout", 4000u);
  solver.set(limits);
  Translator translate(z);
  for (const Expr& a : proof.assumptions) solver.add(translate(a));
  const z3::expr goal = translate(proof.goal);
  for (const z3::expr& r : translate.ranges()) solver.add(r);
  solver.add(!goal);
  switch (solver.check()) {
    case z3::sat:
      return Verdict::refuted;
    case z3::unsat:
      return Verdict::confirmed;
    default:
      return Verdict::undecided;
  }
}

#else

bool ProofChecker::available() {
  return false;
}
ProofChecker::Verdict ProofChecker::judge(const Proof&) {
  return Verdict::undecided;
}

#endif

}  // namespace ballast::ragged
