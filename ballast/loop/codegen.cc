#include "ballast/loop/codegen.h"

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/loop/emitter.h"
#include "ballast/loop/gemm.h"

namespace ballast::loop {
namespace {

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

}  // namespace

void Emitter::run_function(const Function& f, const std::string& name) {
  begin(name, b_.getVoidTy(), 2);
  Value *first = function_->getArg(1), *end = function_->getArg(2);
  serial(f.task, first, end, [&] { emit(f.body); });
  b_.CreateRetVoid();
}

void Emitter::expression_function(const Expr& e, const Var& task, const std::string& name) {
  begin(name, b_.getInt64Ty(), task ? 1 : 0);
  if (task) variables_[task.get()] = function_->getArg(1);
  b_.CreateRet(eval(e));
}

void Emitter::emit(const Stmt& s) {
  switch (s->kind) {
    case StmtNode::Kind::block:
      for (const Stmt& part : s->body) emit(part);
      break;
    case StmtNode::Kind::loop: {
      if (s->loop_kind == LoopKind::vector && vector_ == nullptr && vectorisable(*s)) return emit_vector(*s);
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

Value* Emitter::combined(Combine how, bool real, Value* a, Value* v) {
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

Value* Emitter::identity(Combine how, llvm::Type* type, bool real) {
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

Value* Emitter::folded(Combine how, bool real, Value* v) {
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

Value* Emitter::only_active(Combine how, bool real, Value* v) {
  v = splat(v);
  return vector_->mask ? b_.CreateSelect(vector_->mask, v, identity(how, v->getType(), real)) : v;
}

void Emitter::emit_accumulate(const StmtNode& s) {
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

void Emitter::emit_branch(const StmtNode& s) {
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

void Emitter::find_reductions(const Stmt& s, const ExprNode* variable, std::vector<const BufferNode*>& inside,
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

int Emitter::mentions(const Expr& e, const BufferNode* buffer) {
  if (!e) return 0;
  int count = e->op == Op::load && e->buffer.get() == buffer;
  for (const Expr& a : e->args) count += mentions(a, buffer);
  return count;
}

int Emitter::mentions(const Stmt& s, const BufferNode* buffer) {
  int count = (s->buffer.get() == buffer && s->kind != StmtNode::Kind::allocate) +
              mentions(s->index, buffer) + mentions(s->value, buffer);
  for (const Stmt& part : s->body) count += mentions(part, buffer);
  return count;
}

void Emitter::emit_vector(const StmtNode& s) {
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

Value* Emitter::address(const Buffer& buffer, const Expr& offset) {
  Value* origin = base(*buffer);
  return offset ? b_.CreateGEP(memory_type(buffer->type), origin, eval(offset)) : origin;
}

void Emitter::emit_gemm(const GemmCall& g) {
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
