#include "ballast/loop/vector_math.h"

#include <initializer_list>

namespace ballast::loop {
namespace {

using Builder = llvm::IRBuilder<>;
using llvm::Value;

Value* constant(Value* like, double value) {
  return llvm::ConstantFP::get(like->getType(), value);
}

llvm::Type* integers_like(Builder& b, Value* x) {
  if (auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(x->getType()))
    return llvm::FixedVectorType::get(b.getInt32Ty(), vector->getNumElements());
  return b.getInt32Ty();
}

Value* fma(Builder& b, Value* x, Value* y, Value* z) {
  return b.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, y, z});
}

/// Horner's rule, highest coefficient first.
Value* polynomial(Builder& b, Value* x, std::initializer_list<double> coefficients) {
  Value* sum = nullptr;
  for (double c : coefficients) sum = sum ? fma(b, sum, x, constant(x, c)) : constant(x, c);
  return sum;
}

Value* magnitude(Builder& b, Value* x) {
  return b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
}
Value* with_sign(Builder& b, Value* x, Value* sign) {
  return b.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, x, sign);
}

}  // namespace

Value* emit_exp(Builder& b, Value* x) {
  // exp(x) = 2^n * exp(r), n = round(x / ln 2), |r| <= ln 2 / 2; ln 2 in two parts. The polynomial is the
  // minimax one of (exp(r) - 1 - r) / r^2, degree 4.
  Value* clamped = b.CreateSelect(b.CreateFCmpOGT(x, constant(x, 89.0)), constant(x, 89.0), x);
  clamped = b.CreateSelect(b.CreateFCmpOLT(clamped, constant(x, -104.0)), constant(x, -104.0), clamped);
  Value* magic = constant(x, 12582912.0);  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  Value* shifted = fma(b, clamped, constant(x, 1.4426950408889634), magic);
  Value* n = b.CreateFSub(shifted, magic);
  Value* r = fma(b, n, constant(x, -0.693145751953125), clamped);
  r = fma(b, n, constant(x, -1.428606765330187e-06), r);
  Value* p = polynomial(b, r, {0.00138146, 0.00836871, 0.04166839, 0.16666521, 0.49999993});
  p = b.CreateFAdd(fma(b, p, b.CreateFMul(r, r), r), constant(x, 1.0));
  llvm::Type* integers = integers_like(b, x);
  const auto number = [&](int value) { return llvm::ConstantInt::getSigned(integers, value); };
  // 2^n as two factors, so that results near both ends of the range come out right.
  Value* exponent = b.CreateSub(b.CreateBitCast(shifted, integers), number(0x4B400000));
  Value* half = b.CreateAShr(exponent, number(1));
  const auto power = [&](Value* e) {
    return b.CreateBitCast(b.CreateShl(b.CreateAdd(e, number(127)), number(23)), x->getType());
  };
  Value* result = b.CreateFMul(b.CreateFMul(p, power(half)), power(b.CreateSub(exponent, half)));
  return b.CreateSelect(b.CreateFCmpUNO(x, x), x, result);
}

Value* emit_tanh(Builder& b, Value* x) {
  // Small: x + x * s * P(s), s = x^2. Otherwise 1 - 2 / (exp(2|x|) + 1) with the sign of x.
  Value* t = magnitude(b, x);
  Value* s = b.CreateFMul(x, x);
  Value* p = polynomial(b, s,
                        {-0.005717036561601508, 0.020650579003946644, -0.053743495261445694,
                         0.1333149124851535, -0.3333328392359076});
  Value* small = fma(b, b.CreateFMul(p, s), x, x);
  Value* e = emit_exp(b, b.CreateFAdd(t, t));
  Value* large =
      b.CreateFSub(constant(x, 1.0), b.CreateFDiv(constant(x, 2.0), b.CreateFAdd(e, constant(x, 1.0))));
  return b.CreateSelect(b.CreateFCmpOLT(t, constant(x, 0.625)), small, with_sign(b, large, x));
}

Value* emit_erf(Builder& b, Value* x) {
  // Small: x * P(x^2). Otherwise 1 - exp(Q(|x|)) with the sign of x, Q = log(erfc); 1 beyond 4.
  Value* t = magnitude(b, x);
  Value* s = b.CreateFMul(x, x);
  Value* small = b.CreateFMul(
      x, polynomial(b, s,
                    {8.538839128922199e-05, -0.0008181927277913018, 0.005204436025567444,
                     -0.026860752811250777, 0.11283719723074487, -0.3761263531038608, 1.1283791668023557}));
  Value* near = b.CreateSelect(b.CreateFCmpOGT(t, constant(x, 4.0)), constant(x, 4.0), t);
  Value* q = polynomial(b, near,
                        {-7.371409035394905e-07, -1.131536888443474e-05, 0.0003788716036082773,
                         -0.0039941679965816435, 0.024774637457416704, -0.10785835917494924,
                         -0.6336632074384467, -1.129381852750137, 0.00015062105906321068});
  Value* large = b.CreateFSub(constant(x, 1.0), emit_exp(b, q));
  return b.CreateSelect(b.CreateFCmpOLT(t, constant(x, 0.9)), small, with_sign(b, large, x));
}

}  // namespace ballast::loop
