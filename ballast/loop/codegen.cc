#include "ballast/loop/codegen.h"

#include <fmt/format.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/Module.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <unordered_map>

#include "ballast/base/errors.h"
#include "ballast/loop/gemm.h"
#include "ballast/loop/vector_math.h"

namespace ballast::loop {
namespace {

using llvm::Value;

/// d(index)/d(variable) where it is one constant; nullopt: unknown or not constant.
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

bool varies(const Expr& e, const std::vector<const ExprNode*>& variables) {
  return std::any_of(variables.begin(), variables.end(), [&](const ExprNode* v) { return depends_on(e, v); });
}

bool body_vectorisable(const Stmt& s, std::vector<const ExprNode*> variables) {
  switch (s->kind) {
    case StmtNode::Kind::gemm:
      return false;
    case StmtNode::Kind::let:
      if (varies(s->value, variables)) variables.push_back(s->var.get());
      break;
    case StmtNode::Kind::allocate:
      if (!is_float(s->buffer->type)) return false;  // an index of each lane's own
      break;
    case StmtNode::Kind::loop:
      if (varies(s->first, variables) || varies(s->extent, variables)) return false;
      break;
    default:
      break;
  }
  for (const Stmt& part : s->body)
    if (!body_vectorisable(part, variables)) return false;
  return true;
}

class Emitter {
 public:
  Emitter(llvm::Module& module, const KernelSignature& signature, int vector_bytes)
      : module_(module),
        context_(module.getContext()),
        b_(context_),
        signature_(signature),
        lanes_(vector_bytes / 4) {
    llvm::FastMathFlags flags;
    flags.setAllowContract(true);  // never nnan or ninf: masks are -inf
    b_.setFastMathFlags(flags);
  }

  void run_function(const Function& f, const std::string& name) {
    begin(name, b_.getVoidTy(), 2);
    Value *first = function_->getArg(1), *end = function_->getArg(2);
    serial(f.task, first, end, [&] { emit(f.body); });
    b_.CreateRetVoid();
  }

  void expression_function(const Expr& e, const Var& task, const std::string& name) {
    begin(name, b_.getInt64Ty(), task ? 1 : 0);
    if (task) variables_[task.get()] = function_->getArg(1);
    b_.CreateRet(eval(e));
  }

 private:
  struct Vector {
    const ExprNode* variable;
    Value* base;  ///< of lane 0
    Value* mask;  ///< null: all lanes
    std::unordered_map<const BufferNode*, llvm::AllocaInst*> reductions;
    std::vector<const BufferNode*> inside;  ///< allocated in the loop: one copy a lane
  };

  // ---- set-up
  // -------------------------------------------------------------------------------------------------

  void begin(const std::string& name, llvm::Type* result, int integers) {
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

  /// Runs `make` with the builder at the end of the entry block, where values live for the whole function.
  template <typename Make>
  auto in_entry(const Make& make) {
    const llvm::IRBuilderBase::InsertPointGuard guard(b_);
    b_.SetInsertPoint(entry_->getTerminator());
    return make();
  }

  Value* frame_field(unsigned field) {
    Value* p = b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), function_->getArg(0), field);
    return invariant(b_.CreateLoad(b_.getPtrTy(), p));
  }

  llvm::LoadInst* invariant(llvm::LoadInst* load) {
    load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
    return load;
  }

  Value* number(std::int64_t value) { return b_.getInt64(static_cast<std::uint64_t>(value)); }

  // ---- memory
  // -------------------------------------------------------------------------------------------------

  llvm::Type* memory_type(DType type) {
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

  Value* base(const BufferNode& buffer) {
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

  Value* lane_pointer(const BufferNode& buffer, Value* lane) {
    return invariant(b_.CreateLoad(b_.getPtrTy(), b_.CreateInBoundsGEP(b_.getPtrTy(), base(buffer), lane)));
  }

  /// Each buffer is its own alias scope: no two operands of a kernel overlap (checked when bound).
  void annotate(llvm::Instruction* access, const BufferNode& buffer) {
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

  bool inside_vector(const BufferNode& buffer) const {
    if (vector_ == nullptr) return false;
    for (const BufferNode* b : vector_->inside)
      if (b == &buffer) return true;
    return false;
  }

  llvm::FixedVectorType* lanes_of(llvm::Type* element) {
    return llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes_));
  }

  Value* widen(Value* v, DType memory) {
    if (memory == DType::i64 || is_float(memory)) return v;
    llvm::Type* to =
        v->getType()->isVectorTy() ? static_cast<llvm::Type*>(lanes_of(b_.getInt64Ty())) : b_.getInt64Ty();
    return memory == DType::boolean ? b_.CreateZExt(v, to) : b_.CreateSExt(v, to);
  }

  Value* narrow(Value* v, DType memory) {
    if (memory == DType::i64 || is_float(memory)) return v;
    llvm::Type* element = memory_type(memory);
    return b_.CreateIntCast(
        v, v->getType()->isVectorTy() ? static_cast<llvm::Type*>(lanes_of(element)) : element, true);
  }

  /// The value of an index at lane 0.
  Value* at_lane_zero(const Expr& e) {
    Vector* const saved = vector_;
    Value* const base_value = saved->base;
    vector_ = nullptr;
    variables_[saved->variable] = base_value;
    Value* v = eval(e);
    variables_.erase(saved->variable);
    vector_ = saved;
    return v;
  }

  Value* read(const BufferNode& buffer, Value* origin, const Expr& index) {
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

  void write(const BufferNode& buffer, const Expr& index, Value* value) {
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
      stored = vector_->mask
                   ? static_cast<llvm::Instruction*>(b_.CreateMaskedStore(v, p, align, vector_->mask))
                   : b_.CreateAlignedStore(v, p, align);
    } else {
      Value* mask = vector_->mask ? vector_->mask : llvm::Constant::getAllOnesValue(lanes_of(b_.getInt1Ty()));
      stored = b_.CreateMaskedScatter(narrow(splat(value), buffer.type),
                                      b_.CreateGEP(element, origin, eval(index)), align, mask);
    }
    annotate(stored, buffer);
  }

  // ---- expressions
  // --------------------------------------------------------------------------------------------

  Value* splat(Value* v) {
    return v->getType()->isVectorTy() ? v : b_.CreateVectorSplat(static_cast<unsigned>(lanes_), v);
  }

  Value* eval(const Expr& e) {
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

  Value* eval_cast(const Expr& e) {
    Value* v = eval(e->args[0]);
    const DType from = e->args[0]->type;
    llvm::Type* element = is_float(e->type) ? memory_type(e->type) : b_.getInt64Ty();
    llvm::Type* to = v->getType()->isVectorTy() ? static_cast<llvm::Type*>(lanes_of(element)) : element;
    if (is_float(e->type) && is_float(from)) return b_.CreateFPCast(v, to);
    if (is_float(e->type)) return from == DType::boolean ? b_.CreateUIToFP(v, to) : b_.CreateSIToFP(v, to);
    if (is_float(from)) return b_.CreateFPToSI(v, to);
    return b_.CreateIntCast(v, to, from != DType::boolean);
  }

  Value* eval_unary(const Expr& e, Value* x) {
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

  Value* library_call(const char* name, Value* x) {
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

  Value* eval_binary(const Expr& e, Value* x, Value* y) {
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

  Value* floor_division(const Expr& e, Value* x, Value* y) {
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

  // ---- statements
  // ---------------------------------------------------------------------------------------------

  template <typename Body>
  void serial(const Var& var, Value* first, Value* end, const Body& body, bool unroll = false) {
    llvm::BasicBlock* before = b_.GetInsertBlock();
    auto* head = llvm::BasicBlock::Create(context_, var->name, function_);
    auto* inside = llvm::BasicBlock::Create(context_, var->name + ".body", function_);
    auto* done = llvm::BasicBlock::Create(context_, var->name + ".done", function_);
    b_.CreateBr(head);
    b_.SetInsertPoint(head);
    llvm::PHINode* phi = b_.CreatePHI(b_.getInt64Ty(), 2, var->name);
    phi->addIncoming(first, before);
    b_.CreateCondBr(b_.CreateICmpSLT(phi, end), inside, done);
    b_.SetInsertPoint(inside);
    variables_[var.get()] = phi;
    body();
    phi->addIncoming(b_.CreateNSWAdd(phi, number(1)), b_.GetInsertBlock());
    llvm::BranchInst* back = b_.CreateBr(head);
    if (unroll) {
      llvm::MDNode* full =
          llvm::MDNode::get(context_, llvm::MDString::get(context_, "llvm.loop.unroll.full"));
      llvm::MDNode* id = llvm::MDNode::getDistinct(context_, {nullptr, full});
      id->replaceOperandWith(0, id);
      back->setMetadata(llvm::LLVMContext::MD_loop, id);
    }
    b_.SetInsertPoint(done);
    variables_.erase(var.get());
  }

  void emit(const Stmt& s) {
    switch (s->kind) {
      case StmtNode::Kind::block:
        for (const Stmt& part : s->body) emit(part);
        break;
      case StmtNode::Kind::loop: {
        if (s->loop_kind == LoopKind::vector && vector_ == nullptr && vectorisable(*s))
          return emit_vector(*s);
        Value* first = eval(s->first);
        serial(
            s->var, first, b_.CreateNSWAdd(first, eval(s->extent)), [&] { emit(s->body[0]); },
            s->loop_kind == LoopKind::unrolled);
        break;
      }
      case StmtNode::Kind::store:
        write(*s->buffer, s->index, eval(s->value));
        break;
      case StmtNode::Kind::accumulate:
        emit_accumulate(*s);
        break;
      case StmtNode::Kind::branch:
        emit_branch(*s);
        break;
      case StmtNode::Kind::let: {
        if (vector_ && depends_on(s->value, vector_->variable)) {
          emit(Substitution{{{s->var.get(), s->value}}}(s->body[0]));
        } else {
          variables_[s->var.get()] = eval(s->value);
          emit(s->body[0]);
        }
        break;
      }
      case StmtNode::Kind::allocate: {
        llvm::Type* element = memory_type(s->buffer->type);
        if (vector_) element = lanes_of(element);
        const auto extent = static_cast<std::uint64_t>(s->buffer->extent->integer);
        auto* memory = in_entry(
            [&] { return b_.CreateAlloca(llvm::ArrayType::get(element, extent), nullptr, s->buffer->name); });
        memory->setAlignment(llvm::Align(64));
        bases_[s->buffer.get()] = memory;
        if (vector_) vector_->inside.push_back(s->buffer.get());
        emit(s->body[0]);
        break;
      }
      case StmtNode::Kind::gemm:
        emit_gemm(*s->gemm_call);
        break;
    }
  }

  Value* combined(Combine how, bool real, Value* a, Value* v) {
    switch (how) {
      case Combine::sum:
        return real ? b_.CreateFAdd(a, v) : b_.CreateAdd(a, v);
      case Combine::prod:
        return real ? b_.CreateFMul(a, v) : b_.CreateMul(a, v);
      case Combine::max:
        return real ? b_.CreateSelect(b_.CreateFCmpOGT(a, v), a, v)
                    : b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, a, v);
      case Combine::min:
        return real ? b_.CreateSelect(b_.CreateFCmpOLT(a, v), a, v)
                    : b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, a, v);
    }
    return nullptr;
  }

  Value* identity(Combine how, llvm::Type* type, bool real) {
    if (real) return llvm::ConstantFP::get(type, identity_of(how));
    switch (how) {
      case Combine::sum:
        return llvm::ConstantInt::get(type, 0);
      case Combine::prod:
        return llvm::ConstantInt::get(type, 1);
      case Combine::max:
        return llvm::ConstantInt::getSigned(type, kNoMinimum);
      case Combine::min:
        return llvm::ConstantInt::getSigned(type, kNoMaximum);
    }
    return nullptr;
  }

  /// Halves are combined until one lane is left: a fixed tree.
  Value* folded(Combine how, bool real, Value* v) {
    for (int width = lanes_ / 2; width >= 1; width /= 2) {
      std::vector<int> low, high;
      for (int i = 0; i < width; ++i) {
        low.push_back(i);
        high.push_back(i + width);
      }
      Value* all = v;
      v = combined(how, real, b_.CreateShuffleVector(all, low), b_.CreateShuffleVector(all, high));
    }
    return b_.CreateExtractElement(v, std::uint64_t{0});
  }

  Value* only_active(Combine how, bool real, Value* v) {
    v = splat(v);
    return vector_->mask ? b_.CreateSelect(vector_->mask, v, identity(how, v->getType(), real)) : v;
  }

  void emit_accumulate(const StmtNode& s) {
    const bool real = is_float(s.buffer->type);
    if (vector_ && !inside_vector(*s.buffer) && stride_of(s.index, vector_->variable) == 0) {
      Value* v = only_active(s.combine, real, eval(s.value));
      if (const auto found = vector_->reductions.find(s.buffer.get()); found != vector_->reductions.end()) {
        Value* old = b_.CreateLoad(v->getType(), found->second);
        b_.CreateStore(combined(s.combine, real, old, v), found->second);
        return;
      }
      Value* total = folded(s.combine, real, v);
      write(*s.buffer, s.index, combined(s.combine, real, read(*s.buffer, base(*s.buffer), s.index), total));
      return;
    }
    Value* old = read(*s.buffer, base(*s.buffer), s.index);
    Value* v = eval(s.value);
    if (old->getType()->isVectorTy()) v = splat(v);
    if (v->getType()->isVectorTy()) old = splat(old);
    write(*s.buffer, s.index, combined(s.combine, real, old, v));
  }

  void emit_branch(const StmtNode& s) {
    Value* condition = eval(s.value);
    if (condition->getType()->isVectorTy()) {
      Value* const outer = vector_->mask;
      vector_->mask = outer ? b_.CreateAnd(outer, condition) : condition;
      emit(s.body[0]);
      if (s.body.size() > 1) {
        Value* other = b_.CreateNot(condition);
        vector_->mask = outer ? b_.CreateAnd(outer, other) : other;
        emit(s.body[1]);
      }
      vector_->mask = outer;
      return;
    }
    auto* then = llvm::BasicBlock::Create(context_, "then", function_);
    auto* otherwise = s.body.size() > 1 ? llvm::BasicBlock::Create(context_, "else", function_) : nullptr;
    auto* done = llvm::BasicBlock::Create(context_, "endif", function_);
    b_.CreateCondBr(condition, then, otherwise ? otherwise : done);
    b_.SetInsertPoint(then);
    emit(s.body[0]);
    b_.CreateBr(done);
    if (otherwise) {
      b_.SetInsertPoint(otherwise);
      emit(s.body[1]);
      b_.CreateBr(done);
    }
    b_.SetInsertPoint(done);
  }

  /// Accumulations of the loop's own body (not of inner loops) whose place is one and the same for all
  /// iterations.
  static void find_reductions(const Stmt& s, const ExprNode* variable, std::vector<const BufferNode*>& inside,
                              std::vector<const StmtNode*>& found) {
    if (s->kind == StmtNode::Kind::allocate) inside.push_back(s->buffer.get());
    if (s->kind == StmtNode::Kind::loop) return;
    if (s->kind == StmtNode::Kind::accumulate && !depends_on(s->index, variable)) {
      for (const BufferNode* b : inside)
        if (b == s->buffer.get()) return;
      found.push_back(s.get());
    }
    for (const Stmt& part : s->body) find_reductions(part, variable, inside, found);
  }

  static int mentions(const Expr& e, const BufferNode* buffer) {
    if (!e) return 0;
    int count = e->op == Op::load && e->buffer.get() == buffer;
    for (const Expr& a : e->args) count += mentions(a, buffer);
    return count;
  }
  static int mentions(const Stmt& s, const BufferNode* buffer) {
    int count = (s->buffer.get() == buffer && s->kind != StmtNode::Kind::allocate) +
                mentions(s->index, buffer) + mentions(s->value, buffer);
    for (const Stmt& part : s->body) count += mentions(part, buffer);
    return count;
  }

  void emit_vector(const StmtNode& s) {
    Value* first = eval(s.first);
    Value* extent = eval(s.extent);
    Value* whole = b_.CreateAnd(b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, extent, number(0)),
                                number(-std::int64_t{lanes_}));
    Value* whole_end = b_.CreateNSWAdd(first, whole);
    Vector vector{s.var.get(), nullptr, nullptr, {}, {}};
    // A reduction lives in a register over the whole loop when nothing else in the body touches its buffer.
    std::vector<const BufferNode*> inside;
    std::vector<const StmtNode*> reductions;
    find_reductions(s.body[0], s.var.get(), inside, reductions);
    std::erase_if(reductions, [&](const StmtNode* r) { return mentions(s.body[0], r->buffer.get()) != 1; });
    for (const StmtNode* r : reductions) {
      const bool real = is_float(r->buffer->type);
      llvm::Type* type = lanes_of(real ? memory_type(r->buffer->type) : b_.getInt64Ty());
      auto* memory = in_entry([&] { return b_.CreateAlloca(type, nullptr, r->buffer->name + ".lanes"); });
      b_.CreateStore(identity(r->combine, type, real), memory);
      vector.reductions[r->buffer.get()] = memory;
    }

    llvm::BasicBlock* before = b_.GetInsertBlock();
    auto* head = llvm::BasicBlock::Create(context_, s.var->name + ".v", function_);
    auto* body = llvm::BasicBlock::Create(context_, s.var->name + ".v.body", function_);
    auto* rest = llvm::BasicBlock::Create(context_, s.var->name + ".v.rest", function_);
    auto* tail = llvm::BasicBlock::Create(context_, s.var->name + ".v.tail", function_);
    auto* done = llvm::BasicBlock::Create(context_, s.var->name + ".v.done", function_);
    b_.CreateBr(head);
    b_.SetInsertPoint(head);
    llvm::PHINode* phi = b_.CreatePHI(b_.getInt64Ty(), 2, s.var->name);
    phi->addIncoming(first, before);
    b_.CreateCondBr(b_.CreateICmpSLT(phi, whole_end), body, rest);
    b_.SetInsertPoint(body);
    vector_ = &vector;
    vector.base = phi;
    emit(s.body[0]);
    phi->addIncoming(b_.CreateNSWAdd(phi, number(lanes_)), b_.GetInsertBlock());
    b_.CreateBr(head);
    b_.SetInsertPoint(rest);
    b_.CreateCondBr(b_.CreateICmpSLT(whole, extent), tail, done);
    b_.SetInsertPoint(tail);
    vector.base = whole_end;
    vector.inside.clear();
    std::vector<llvm::Constant*> iota;
    for (int i = 0; i < lanes_; ++i) iota.push_back(b_.getInt32(static_cast<std::uint32_t>(i)));
    Value* left = b_.CreateTrunc(b_.CreateSub(extent, whole), b_.getInt32Ty());
    vector.mask = b_.CreateICmpULT(llvm::ConstantVector::get(iota), splat(left));
    emit(s.body[0]);
    b_.CreateBr(done);
    b_.SetInsertPoint(done);
    vector_ = nullptr;
    for (const StmtNode* r : reductions) {
      const bool real = is_float(r->buffer->type);
      llvm::AllocaInst* memory = vector.reductions[r->buffer.get()];
      Value* total = folded(r->combine, real, b_.CreateLoad(memory->getAllocatedType(), memory));
      write(*r->buffer, r->index,
            combined(r->combine, real, read(*r->buffer, base(*r->buffer), r->index), total));
    }
  }

  Value* address(const Buffer& buffer, const Expr& offset) {
    Value* origin = base(*buffer);
    return offset ? b_.CreateGEP(memory_type(buffer->type), origin, eval(offset)) : origin;
  }

  void emit_gemm(const GemmCall& g) {
    constexpr unsigned kFields = sizeof(GemmArgs) / 8;
    auto* args = in_entry(
        [&] { return b_.CreateAlloca(llvm::ArrayType::get(b_.getInt64Ty(), kFields), nullptr, "gemm"); });
    const auto set = [&](std::size_t offset, Value* value) {
      b_.CreateStore(value, b_.CreateConstInBoundsGEP1_64(b_.getInt64Ty(), args, offset / 8));
    };
    const auto integer = [&](const Expr& e) { return e ? eval(e) : number(0); };
    Value* null = llvm::ConstantPointerNull::get(b_.getPtrTy());
    set(offsetof(GemmArgs, m), eval(g.m));
    set(offsetof(GemmArgs, n), eval(g.n));
    set(offsetof(GemmArgs, k), eval(g.k));
    if (g.a->access == Access::PtrTable) {
      set(offsetof(GemmArgs, a), null);
      set(offsetof(GemmArgs, a_pointers), b_.CreateGEP(b_.getPtrTy(), base(*g.a), integer(g.a_lane)));
      set(offsetof(GemmArgs, a_stride), integer(g.a_offset));
    } else {
      set(offsetof(GemmArgs, a), address(g.a, g.a_offset));
      set(offsetof(GemmArgs, a_pointers), null);
      set(offsetof(GemmArgs, a_stride), integer(g.a_stride));
    }
    set(offsetof(GemmArgs, a_rows), g.a_rows ? address(g.a_rows, g.a_lane) : null);
    set(offsetof(GemmArgs, b), address(g.b, g.b_offset));
    set(offsetof(GemmArgs, b_stride), integer(g.b_stride));
    set(offsetof(GemmArgs, c), address(g.c, g.c_offset));
    set(offsetof(GemmArgs, c_stride), integer(g.c_stride));
    set(offsetof(GemmArgs, bias), g.bias ? address(g.bias, g.bias_offset) : null);
    set(offsetof(GemmArgs, scale), llvm::ConstantFP::get(b_.getDoubleTy(), static_cast<double>(g.scale)));
    set(offsetof(GemmArgs, b_transposed), number(g.b_transposed));
    set(offsetof(GemmArgs, b_packed), number(g.b_packed));
    set(offsetof(GemmArgs, accumulate), number(g.accumulate));
    auto callee = module_.getOrInsertFunction(
        "ballast_gemm", llvm::FunctionType::get(b_.getVoidTy(), {b_.getPtrTy(), b_.getPtrTy()}, false));
    llvm::Constant* tiles = module_.getOrInsertGlobal("ballast_gemm_tiles", b_.getInt8Ty());
    b_.CreateCall(callee, {tiles, args});
  }

  llvm::Module& module_;
  llvm::LLVMContext& context_;
  llvm::IRBuilder<> b_;
  const KernelSignature& signature_;
  int lanes_;
  llvm::Function* function_ = nullptr;
  llvm::BasicBlock* entry_ = nullptr;
  Vector* vector_ = nullptr;
  std::unordered_map<const BufferNode*, Value*> bases_;
  std::unordered_map<const ExprNode*, Value*> variables_;
  std::unordered_map<std::int64_t, Value*> scalars_;
  std::unordered_map<std::string, llvm::MDNode*> scopes_;
  llvm::MDNode* domain_ = nullptr;
};

}  // namespace

bool vectorisable(const StmtNode& loop) {
  return body_vectorisable(loop.body[0], {loop.var.get()});
}

Jit::Fill emit_kernel(const Function& function, int vector_bytes) {
  return [&function, vector_bytes](llvm::Module& module) -> std::vector<std::string> {
    Emitter emitter(module, function.signature, vector_bytes);
    emitter.run_function(function, "run");
    emitter.expression_function(function.num_tasks, {}, "num_tasks");
    emitter.expression_function(function.task_cost ? function.task_cost : Expr(1), function.task,
                                "task_cost");
    return {"run", "num_tasks", "task_cost"};
  };
}

}  // namespace ballast::loop
