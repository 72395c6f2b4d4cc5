// Emitter: memory and expressions.
#include <fmt/format.h>

#include <bit>

#include "ballast/base/errors.h"
#include "ballast/loop/emitter.h"
#include "ballast/loop/vector_math.h"

namespace ballast::loop {

std::optional<std::int64_t> stride_of(const Expr& e, const ExprNode* variable) {
  if (e.get() == variable) return 1;
  if (!depends_on(e, variable)) return 0;
  if (e->op == Op::add || e->op == Op::sub) {
    const auto a = stride_of(e->args[0], variable), b = stride_of(e->args[1], variable);
    if (!a || !b) return std::nullopt;
    return e->op == Op::add ? *a + *b : *a - *b;
  }
  if (e->op == Op::mul) {
    for (int side = 0; side < 2; ++side) {
      const Expr& factor = e->args[static_cast<std::size_t>(side)];
      const auto other = stride_of(e->args[static_cast<std::size_t>(1 - side)], variable);
      if (factor->op == Op::integer && other) return factor->integer * *other;
    }
  }
  return std::nullopt;
}

// ---- memory

void Emitter::begin(const std::string& name, llvm::Type* result, int integers) {
  std::vector<llvm::Type*> types{b_.getPtrTy()};
  for (int i = 0; i < integers; ++i) types.push_back(b_.getInt64Ty());
  function_ = llvm::Function::Create(llvm::FunctionType::get(result, types, false),
                                     llvm::Function::ExternalLinkage, name, module_);
  entry_ = llvm::BasicBlock::Create(context_, "entry", function_);
  auto* start = llvm::BasicBlock::Create(context_, "start", function_);
  bases_.clear();
  variables_.clear();
  scalars_.clear();
  b_.SetInsertPoint(entry_);
  b_.CreateBr(start);
  b_.SetInsertPoint(start);
}

Value* Emitter::frame_field(unsigned field) {
  Value* p = b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), function_->getArg(0), field);
  return invariant(b_.CreateLoad(b_.getPtrTy(), p));
}

llvm::LoadInst* Emitter::invariant(llvm::LoadInst* load) {
  load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
  return load;
}

llvm::Type* Emitter::memory_type(DType type) {
  switch (type) {
    case DType::f32:
      return b_.getFloatTy();
    case DType::f64:
      return b_.getDoubleTy();
    case DType::i32:
      return b_.getInt32Ty();
    case DType::i64:
      return b_.getInt64Ty();
    case DType::boolean:
      return b_.getInt8Ty();
  }
  return nullptr;
}

Value* Emitter::base(const BufferNode& buffer) {
  if (const auto found = bases_.find(&buffer); found != bases_.end()) return found->second;
  BALLAST_CHECK(buffer.space != Space::local, "local buffer " + buffer.name + " is used outside its scope");
  return bases_[&buffer] = in_entry([&]() -> Value* {
           switch (buffer.space) {
             case Space::operand:
               return invariant(b_.CreateLoad(
                   b_.getPtrTy(), b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), frame_field(0),
                                                                static_cast<std::uint64_t>(buffer.slot))));
             case Space::aux:
               return invariant(b_.CreateLoad(
                   b_.getPtrTy(), b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), frame_field(2),
                                                                static_cast<std::uint64_t>(buffer.slot))));
             default:
               return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), frame_field(3),
                                                    static_cast<std::uint64_t>(buffer.slot));
           }
         });
}

Value* Emitter::lane_pointer(const BufferNode& buffer, Value* lane) {
  return invariant(b_.CreateLoad(b_.getPtrTy(), b_.CreateInBoundsGEP(b_.getPtrTy(), base(buffer), lane)));
}

void Emitter::annotate(llvm::Instruction* access, const BufferNode& buffer) {
  if (buffer.space == Space::local) return;
  const auto scope_of = [&](const std::string& name) {
    auto found = scopes_.find(name);
    if (found == scopes_.end()) {
      llvm::MDBuilder md(context_);
      if (domain_ == nullptr) domain_ = md.createAnonymousAliasScopeDomain("kernel");
      found = scopes_.emplace(name, md.createAnonymousAliasScope(domain_, name)).first;
    }
    return found->second;
  };
  const auto key = [](Space space, int slot) {
    return fmt::format("{}.{}", static_cast<int>(space), space == Space::scratch ? 0 : slot);
  };
  std::vector<llvm::Metadata*> others;
  for (std::size_t i = 0; i < signature_.operands.size(); ++i)
    if (!(buffer.space == Space::operand && buffer.slot == static_cast<int>(i)))
      others.push_back(scope_of(key(Space::operand, static_cast<int>(i))));
  if (buffer.space != Space::aux) others.push_back(scope_of("aux"));
  if (buffer.space != Space::scratch) others.push_back(scope_of(key(Space::scratch, 0)));
  llvm::Metadata* own =
      buffer.space == Space::aux ? scope_of("aux") : scope_of(key(buffer.space, buffer.slot));
  access->setMetadata(llvm::LLVMContext::MD_alias_scope, llvm::MDNode::get(context_, {own}));
  access->setMetadata(llvm::LLVMContext::MD_noalias, llvm::MDNode::get(context_, others));
  if (buffer.space == Space::aux && llvm::isa<llvm::LoadInst>(access)) {
    access->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
  }
}

bool Emitter::inside_vector(const BufferNode& buffer) const {
  if (vector_ == nullptr) return false;
  for (const BufferNode* b : vector_->inside)
    if (b == &buffer) return true;
  return false;
}

llvm::FixedVectorType* Emitter::lanes_of(llvm::Type* element) {
  return llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes_));
}

Value* Emitter::widen(Value* v, DType memory) {
  if (memory == DType::i64 || is_float(memory)) return v;
  llvm::Type* to =
      v->getType()->isVectorTy() ? static_cast<llvm::Type*>(lanes_of(b_.getInt64Ty())) : b_.getInt64Ty();
  return memory == DType::boolean ? b_.CreateZExt(v, to) : b_.CreateSExt(v, to);
}

Value* Emitter::narrow(Value* v, DType memory) {
  if (memory == DType::i64 || is_float(memory)) return v;
  llvm::Type* element = memory_type(memory);
  return b_.CreateIntCast(
      v, v->getType()->isVectorTy() ? static_cast<llvm::Type*>(lanes_of(element)) : element, true);
}

Value* Emitter::at_lane_zero(const Expr& e) {
  Vector* const saved = vector_;
  Value* const base_value = saved->base;
  vector_ = nullptr;
  variables_[saved->variable] = base_value;
  Value* v = eval(e);
  variables_.erase(saved->variable);
  vector_ = saved;
  return v;
}

Value* Emitter::read(const BufferNode& buffer, Value* origin, const Expr& index) {
  llvm::Type* element = memory_type(buffer.type);
  if (inside_vector(buffer))
    return b_.CreateLoad(lanes_of(element), b_.CreateInBoundsGEP(lanes_of(element), origin, eval(index)));
  const llvm::Align align(static_cast<std::uint64_t>(size_of(buffer.type)));
  const auto stride = vector_ ? stride_of(index, vector_->variable) : std::optional<std::int64_t>(0);
  if (stride == 0) {
    auto* loaded = b_.CreateAlignedLoad(element, b_.CreateInBoundsGEP(element, origin, eval(index)), align);
    annotate(loaded, buffer);
    return widen(loaded, buffer.type);
  }
  llvm::Instruction* loaded;
  if (stride == 1) {
    Value* p = b_.CreateGEP(element, origin, at_lane_zero(index));
    loaded = vector_->mask ? static_cast<llvm::Instruction*>(
                                 b_.CreateMaskedLoad(lanes_of(element), p, align, vector_->mask,
                                                     llvm::Constant::getNullValue(lanes_of(element))))
                           : b_.CreateAlignedLoad(lanes_of(element), p, align);
  } else {
    Value* pointers = b_.CreateGEP(element, origin, eval(index));
    Value* mask = vector_->mask ? vector_->mask : llvm::Constant::getAllOnesValue(lanes_of(b_.getInt1Ty()));
    loaded = b_.CreateMaskedGather(lanes_of(element), pointers, align, mask,
                                   llvm::Constant::getNullValue(lanes_of(element)));
  }
  annotate(loaded, buffer);
  return widen(loaded, buffer.type);
}

void Emitter::write(const BufferNode& buffer, const Expr& index, Value* value) {
  llvm::Type* element = memory_type(buffer.type);
  Value* origin = base(buffer);
  if (inside_vector(buffer)) {
    Value* place = b_.CreateInBoundsGEP(lanes_of(element), origin, eval(index));
    Value* v = narrow(splat(value), buffer.type);
    // Lanes that a condition switched off keep what they have.
    if (vector_->mask) v = b_.CreateSelect(vector_->mask, v, b_.CreateLoad(lanes_of(element), place));
    b_.CreateStore(v, place);
    return;
  }
  const llvm::Align align(static_cast<std::uint64_t>(size_of(buffer.type)));
  const auto stride = vector_ ? stride_of(index, vector_->variable) : std::optional<std::int64_t>(0);
  llvm::Instruction* stored;
  if (stride == 0) {
    BALLAST_CHECK(!value->getType()->isVectorTy(),
                  buffer.name + ": lanes of a vector loop write to one place");
    stored = b_.CreateAlignedStore(narrow(value, buffer.type),
                                   b_.CreateInBoundsGEP(element, origin, eval(index)), align);
  } else if (stride == 1) {
    Value* p = b_.CreateGEP(element, origin, at_lane_zero(index));
    Value* v = narrow(splat(value), buffer.type);
    stored = vector_->mask ? static_cast<llvm::Instruction*>(b_.CreateMaskedStore(v, p, align, vector_->mask))
                           : b_.CreateAlignedStore(v, p, align);
  } else {
    Value* mask = vector_->mask ? vector_->mask : llvm::Constant::getAllOnesValue(lanes_of(b_.getInt1Ty()));
    stored = b_.CreateMaskedScatter(narrow(splat(value), buffer.type),
                                    b_.CreateGEP(element, origin, eval(index)), align, mask);
  }
  annotate(stored, buffer);
}

// ---- expressions

Value* Emitter::splat(Value* v) {
  return v->getType()->isVectorTy() ? v : b_.CreateVectorSplat(static_cast<unsigned>(lanes_), v);
}

Value* Emitter::eval(const Expr& e) {
  switch (e->op) {
    case Op::integer:
      return e->type == DType::boolean ? static_cast<Value*>(b_.getInt1(e->integer != 0))
                                       : number(e->integer);
    case Op::real:
      return llvm::ConstantFP::get(memory_type(e->type), e->real);
    case Op::variable: {
      if (vector_ && vector_->variable == e.get()) {
        std::vector<llvm::Constant*> iota;
        for (int i = 0; i < lanes_; ++i) iota.push_back(b_.getInt64(static_cast<std::uint64_t>(i)));
        return b_.CreateNSWAdd(splat(vector_->base), llvm::ConstantVector::get(iota));
      }
      const auto found = variables_.find(e.get());
      BALLAST_CHECK(found != variables_.end(), "variable " + e->name + " is not bound");
      return found->second;
    }
    case Op::scalar: {
      Value*& v = scalars_[e->integer];
      if (v == nullptr) {
        v = in_entry([&] {
          Value* p = b_.CreateConstInBoundsGEP1_64(b_.getInt64Ty(), frame_field(1),
                                                   static_cast<std::uint64_t>(e->integer));
          return invariant(b_.CreateLoad(b_.getInt64Ty(), p));
        });
      }
      return v;
    }
    case Op::load:
      if (e->args.size() == 2)
        return read(*e->buffer, lane_pointer(*e->buffer, eval(e->args[0])), e->args[1]);
      return read(*e->buffer, base(*e->buffer), e->args[0]);
    case Op::cast:
      return eval_cast(e);
    case Op::select: {
      Value *c = eval(e->args[0]), *t = eval(e->args[1]), *o = eval(e->args[2]);
      if (c->getType()->isVectorTy() || t->getType()->isVectorTy() || o->getType()->isVectorTy()) {
        t = splat(t);
        o = splat(o);
        if (c->getType()->isVectorTy()) c = splat(c);
      }
      return b_.CreateSelect(c, t, o);
    }
    default:
      break;
  }
  if (e->args.size() == 1) return eval_unary(e, eval(e->args[0]));
  Value *x = eval(e->args[0]), *y = eval(e->args[1]);
  if (x->getType()->isVectorTy() != y->getType()->isVectorTy()) {
    x = splat(x);
    y = splat(y);
  }
  return eval_binary(e, x, y);
}

Value* Emitter::eval_cast(const Expr& e) {
  Value* v = eval(e->args[0]);
  const DType from = e->args[0]->type;
  llvm::Type* element = is_float(e->type) ? memory_type(e->type) : b_.getInt64Ty();
  llvm::Type* to = v->getType()->isVectorTy() ? static_cast<llvm::Type*>(lanes_of(element)) : element;
  if (is_float(e->type) && is_float(from)) return b_.CreateFPCast(v, to);
  if (is_float(e->type)) return from == DType::boolean ? b_.CreateUIToFP(v, to) : b_.CreateSIToFP(v, to);
  if (is_float(from)) return b_.CreateFPToSI(v, to);
  return b_.CreateIntCast(v, to, from != DType::boolean);
}

Value* Emitter::eval_unary(const Expr& e, Value* x) {
  const bool single = e->type == DType::f32;
  switch (e->op) {
    case Op::logical_not:
      return b_.CreateNot(x);
    case Op::neg:
      return b_.CreateFNeg(x);
    case Op::abs:
      if (!is_float(e->type)) return b_.CreateBinaryIntrinsic(llvm::Intrinsic::abs, x, b_.getFalse());
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
    case Op::floor:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::floor, x);
    case Op::sqrt:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x);
    case Op::exp:
      return single ? emit_exp(b_, x) : b_.CreateUnaryIntrinsic(llvm::Intrinsic::exp, x);
    case Op::log:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::log, x);
    case Op::tanh:
      return single ? emit_tanh(b_, x) : library_call("tanh", x);
    case Op::erf:
      return single ? emit_erf(b_, x) : library_call("erf", x);
    default:
      BALLAST_CHECK(false, "no unary operator");
      return nullptr;
  }
}

Value* Emitter::library_call(const char* name, Value* x) {
  llvm::Type* f64 = b_.getDoubleTy();
  auto callee = module_.getOrInsertFunction(name, llvm::FunctionType::get(f64, {f64}, false));
  if (!x->getType()->isVectorTy()) return b_.CreateCall(callee, {x});
  Value* result = llvm::PoisonValue::get(x->getType());
  for (int i = 0; i < lanes_; ++i)
    result = b_.CreateInsertElement(
        result, b_.CreateCall(callee, {b_.CreateExtractElement(x, static_cast<std::uint64_t>(i))}),
        static_cast<std::uint64_t>(i));
  return result;
}

Value* Emitter::eval_binary(const Expr& e, Value* x, Value* y) {
  const bool real = is_float(e->args[0]->type);
  switch (e->op) {
    case Op::add:
      return real ? b_.CreateFAdd(x, y) : b_.CreateNSWAdd(x, y);
    case Op::sub:
      return real ? b_.CreateFSub(x, y) : b_.CreateNSWSub(x, y);
    case Op::mul:
      return real ? b_.CreateFMul(x, y) : b_.CreateNSWMul(x, y);
    case Op::div:
      return b_.CreateFDiv(x, y);
    case Op::min:
      return real ? b_.CreateSelect(b_.CreateFCmpOLT(x, y), x, y)
                  : b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, x, y);
    case Op::max:
      return real ? b_.CreateSelect(b_.CreateFCmpOGT(x, y), x, y)
                  : b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, x, y);
    case Op::less:
      return real ? b_.CreateFCmpOLT(x, y) : b_.CreateICmpSLT(x, y);
    case Op::less_equal:
      return real ? b_.CreateFCmpOLE(x, y) : b_.CreateICmpSLE(x, y);
    case Op::equal:
      return real ? b_.CreateFCmpOEQ(x, y) : b_.CreateICmpEQ(x, y);
    case Op::logical_and:
      return b_.CreateAnd(x, y);
    case Op::logical_or:
      return b_.CreateOr(x, y);
    case Op::floordiv:
    case Op::floormod:
      return floor_division(e, x, y);
    default:
      BALLAST_CHECK(false, "no binary operator");
      return nullptr;
  }
}

Value* Emitter::floor_division(const Expr& e, Value* x, Value* y) {
  const Expr& divisor = e->args[1];
  const bool quotient = e->op == Op::floordiv;
  if (divisor->op == Op::integer && std::has_single_bit(static_cast<std::uint64_t>(divisor->integer))) {
    const auto shift = std::countr_zero(static_cast<std::uint64_t>(divisor->integer));
    if (quotient)
      return b_.CreateAShr(x, llvm::ConstantInt::get(x->getType(), static_cast<std::uint64_t>(shift)));
    return b_.CreateAnd(
        x, llvm::ConstantInt::get(x->getType(), static_cast<std::uint64_t>(divisor->integer - 1)));
  }
  Value* q = b_.CreateSDiv(x, y);
  Value* r = b_.CreateSub(x, b_.CreateMul(q, y));
  Value* zero = llvm::Constant::getNullValue(x->getType());
  Value* wrong = b_.CreateAnd(b_.CreateICmpNE(r, zero),
                              b_.CreateXor(b_.CreateICmpSLT(r, zero), b_.CreateICmpSLT(y, zero)));
  if (quotient) return b_.CreateSub(q, b_.CreateZExt(wrong, x->getType()));
  return b_.CreateSelect(wrong, b_.CreateAdd(r, y), r);
}

}  // namespace ballast::loop
