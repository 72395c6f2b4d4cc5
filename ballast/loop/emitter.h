// The emitter behind codegen.h: walks loop IR and leaves LLVM IR. Values (memory, expressions) are in
// codegen_values.cc, statements in codegen.cc.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/Module.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ballast/loop/kernel.h"

namespace ballast::loop {

using llvm::Value;

/// d(index)/d(variable) where it is one constant; nullopt: unknown or not constant.
std::optional<std::int64_t> stride_of(const Expr& e, const ExprNode* variable);

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

  void run_function(const Function& f, const std::string& name);

  void expression_function(const Expr& e, const Var& task, const std::string& name);

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

  void begin(const std::string& name, llvm::Type* result, int integers);

  /// Runs `make` with the builder at the end of the entry block, where values live for the whole function.
  template <typename Make>
  auto in_entry(const Make& make) {
    const llvm::IRBuilderBase::InsertPointGuard guard(b_);
    b_.SetInsertPoint(entry_->getTerminator());
    return make();
  }

  Value* frame_field(unsigned field);

  llvm::LoadInst* invariant(llvm::LoadInst* load);

  Value* number(std::int64_t value) { return b_.getInt64(static_cast<std::uint64_t>(value)); }

  // ---- memory
  // -------------------------------------------------------------------------------------------------

  llvm::Type* memory_type(DType type);

  Value* base(const BufferNode& buffer);

  Value* lane_pointer(const BufferNode& buffer, Value* lane);

  /// Each buffer is its own alias scope: no two operands of a kernel overlap (checked when bound).
  void annotate(llvm::Instruction* access, const BufferNode& buffer);

  bool inside_vector(const BufferNode& buffer) const;

  llvm::FixedVectorType* lanes_of(llvm::Type* element);

  Value* widen(Value* v, DType memory);

  Value* narrow(Value* v, DType memory);

  /// The value of an index at lane 0.
  Value* at_lane_zero(const Expr& e);

  Value* read(const BufferNode& buffer, Value* origin, const Expr& index);

  void write(const BufferNode& buffer, const Expr& index, Value* value);

  // ---- expressions
  // --------------------------------------------------------------------------------------------

  Value* splat(Value* v);

  Value* eval(const Expr& e);

  Value* eval_cast(const Expr& e);

  Value* eval_unary(const Expr& e, Value* x);

  Value* library_call(const char* name, Value* x);

  Value* eval_binary(const Expr& e, Value* x, Value* y);

  Value* floor_division(const Expr& e, Value* x, Value* y);

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

  void emit(const Stmt& s);

  Value* combined(Combine how, bool real, Value* a, Value* v);

  Value* identity(Combine how, llvm::Type* type, bool real);

  /// Halves are combined until one lane is left: a fixed tree.
  Value* folded(Combine how, bool real, Value* v);

  Value* only_active(Combine how, bool real, Value* v);

  void emit_accumulate(const StmtNode& s);

  void emit_branch(const StmtNode& s);

  /// Accumulations of the loop's own body (not of inner loops) whose place is one and the same for all
  /// iterations.
  static void find_reductions(const Stmt& s, const ExprNode* variable, std::vector<const BufferNode*>& inside,
                              std::vector<const StmtNode*>& found);

  static int mentions(const Expr& e, const BufferNode* buffer);
  static int mentions(const Stmt& s, const BufferNode* buffer);

  void emit_vector(const StmtNode& s);

  Value* address(const Buffer& buffer, const Expr& offset);

  void emit_gemm(const GemmCall& g);

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

}  // namespace ballast::loop
