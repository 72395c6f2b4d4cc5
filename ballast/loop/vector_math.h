// exp, tanh and erf for f32 scalars and vectors, as LLVM IR: range reduction and a polynomial, no calls.
// Errors (measured by codegen_test over all magnitudes): exp <= 2 ulp, tanh <= 4 ulp, erf <= 4 ulp. Special
// values follow C: exp(-inf) = 0, exp(inf) = inf, NaN stays NaN.
#pragma once

#include <llvm/IR/IRBuilder.h>

namespace ballast::loop {

llvm::Value* emit_exp(llvm::IRBuilder<>& b, llvm::Value* x);
llvm::Value* emit_tanh(llvm::IRBuilder<>& b, llvm::Value* x);
llvm::Value* emit_erf(llvm::IRBuilder<>& b, llvm::Value* x);

}  // namespace ballast::loop
