#include "ballast/loop/gemm_tile.h"

#include <fmt/format.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

namespace ballast::loop {
namespace {

using Builder = llvm::IRBuilder<>;
using llvm::Value;

/// A counted loop `for (i = 0; i < count; i += step)`; the body is emitted by `emit(i)`.
template <typename Body>
void counted_loop(Builder& b, Value* count, std::int64_t step, const Body& emit) {
  llvm::Function* f = b.GetInsertBlock()->getParent();
  llvm::BasicBlock* before = b.GetInsertBlock();
  auto* head = llvm::BasicBlock::Create(b.getContext(), "head", f);
  auto* body = llvm::BasicBlock::Create(b.getContext(), "body", f);
  auto* done = llvm::BasicBlock::Create(b.getContext(), "done", f);
  b.CreateBr(head);
  b.SetInsertPoint(head);
  llvm::PHINode* i = b.CreatePHI(b.getInt64Ty(), 2, "i");
  i->addIncoming(b.getInt64(0), before);
  b.CreateCondBr(b.CreateICmpSLT(i, count), body, done);
  b.SetInsertPoint(body);
  emit(i);
  i->addIncoming(b.CreateNSWAdd(i, b.getInt64(static_cast<std::uint64_t>(step))), b.GetInsertBlock());
  b.CreateBr(head);
  b.SetInsertPoint(done);
}

/// Lanes below `count`.
Value* lane_mask(Builder& b, Value* count, int lanes) {
  std::vector<llvm::Constant*> iota;
  for (int i = 0; i < lanes; ++i) iota.push_back(b.getInt32(static_cast<std::uint32_t>(i)));
  Value* splat = b.CreateVectorSplat(static_cast<unsigned>(lanes), b.CreateTrunc(count, b.getInt32Ty()));
  return b.CreateICmpULT(llvm::ConstantVector::get(iota), splat, "mask");
}

}  // namespace

Jit::Fill tile_emitter(const GemmTiles::Shape& s, int lanes) {
  return [s, lanes](llvm::Module& module) -> std::vector<std::string> {
    llvm::LLVMContext& context = module.getContext();
    Builder b(context);
    llvm::FastMathFlags flags;
    flags.setAllowContract(true);
    b.setFastMathFlags(flags);
    llvm::Type *pointer = b.getPtrTy(), *i64 = b.getInt64Ty(), *f32 = b.getFloatTy();
    auto* vector = llvm::FixedVectorType::get(f32, static_cast<unsigned>(lanes));
    const std::string name =
        fmt::format("tile{}x{}{}{}{}{}{}", s.rows, s.vectors, s.masked ? "m" : "", s.pointers ? "p" : "",
                    s.prior ? "c" : "", s.bias ? "b" : "", s.scale ? "s" : "");
    auto* type = llvm::FunctionType::get(
        b.getVoidTy(), {pointer, i64, pointer, i64, pointer, i64, i64, i64, pointer, f32}, false);
    auto* f = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module);
    for (unsigned i : {0u, 2u, 8u}) f->addParamAttr(i, llvm::Attribute::ReadOnly);
    for (unsigned i : {0u, 2u, 4u, 8u}) f->addParamAttr(i, llvm::Attribute::NoAlias);
    Value *a = f->getArg(0), *a_stride = f->getArg(1), *bp = f->getArg(2), *b_stride = f->getArg(3),
          *c = f->getArg(4), *c_stride = f->getArg(5), *k = f->getArg(6), *last = f->getArg(7),
          *bias = f->getArg(8), *scale = f->getArg(9);
    auto* entry = llvm::BasicBlock::Create(context, "entry", f);
    b.SetInsertPoint(entry);
    Value* mask = s.masked ? lane_mask(b, last, lanes) : nullptr;
    const auto at = [&](Value* base, Value* offset) { return b.CreateInBoundsGEP(f32, base, offset); };
    const auto column = [&](Value* base, int v) {
      return at(base, b.getInt64(static_cast<std::uint64_t>(v * lanes)));
    };
    const llvm::Align align(4);
    const auto load = [&](Value* p, int v) -> Value* {
      if (mask && v == s.vectors - 1)
        return b.CreateMaskedLoad(vector, p, align, mask, llvm::Constant::getNullValue(vector));
      return b.CreateAlignedLoad(vector, p, align);
    };
    std::vector<Value*> row(static_cast<std::size_t>(s.rows)), c_row(static_cast<std::size_t>(s.rows));
    for (int r = 0; r < s.rows; ++r) {
      const auto index = b.getInt64(static_cast<std::uint64_t>(r));
      row[static_cast<std::size_t>(r)] = s.pointers
                                             ? b.CreateLoad(pointer, b.CreateInBoundsGEP(pointer, a, index))
                                             : at(a, b.CreateNSWMul(index, a_stride));
      c_row[static_cast<std::size_t>(r)] = at(c, b.CreateNSWMul(index, c_stride));
    }
    const std::size_t count = static_cast<std::size_t>(s.rows * s.vectors);
    std::vector<Value*> start(count);
    for (std::size_t i = 0; i < count; ++i) {
      const int v = static_cast<int>(i) % s.vectors;
      start[i] = s.prior ? load(column(c_row[i / static_cast<std::size_t>(s.vectors)], v), v)
                         : llvm::Constant::getNullValue(vector);
    }
    auto* body = llvm::BasicBlock::Create(context, "k", f);
    auto* done = llvm::BasicBlock::Create(context, "done", f);
    llvm::BasicBlock* before = b.GetInsertBlock();
    b.CreateBr(body);  // k >= 1 by contract
    b.SetInsertPoint(body);
    llvm::PHINode* x = b.CreatePHI(i64, 2, "x");
    x->addIncoming(b.getInt64(0), before);
    std::vector<llvm::PHINode*> sums(count);
    for (std::size_t i = 0; i < count; ++i) {
      sums[i] = b.CreatePHI(vector, 2);
      sums[i]->addIncoming(start[i], before);
    }
    std::vector<Value*> columns(static_cast<std::size_t>(s.vectors));
    Value* b_row = at(bp, b.CreateNSWMul(x, b_stride));
    for (int v = 0; v < s.vectors; ++v) columns[static_cast<std::size_t>(v)] = load(column(b_row, v), v);
    for (int r = 0; r < s.rows; ++r) {
      Value* broadcast =
          b.CreateVectorSplat(static_cast<unsigned>(lanes),
                              b.CreateAlignedLoad(f32, at(row[static_cast<std::size_t>(r)], x), align));
      for (int v = 0; v < s.vectors; ++v) {
        const std::size_t i = static_cast<std::size_t>(r * s.vectors + v);
        sums[i]->addIncoming(b.CreateIntrinsic(llvm::Intrinsic::fma, {vector},
                                               {broadcast, columns[static_cast<std::size_t>(v)], sums[i]}),
                             body);
      }
    }
    Value* next = b.CreateNSWAdd(x, b.getInt64(1));
    x->addIncoming(next, body);
    auto* back = b.CreateCondBr(b.CreateICmpSLT(next, k), body, done);
    // The loop is as wide as the registers: unrolling would only spill.
    llvm::MDNode* no_unroll =
        llvm::MDNode::get(context, llvm::MDString::get(context, "llvm.loop.unroll.disable"));
    llvm::MDNode* loop_id = llvm::MDNode::getDistinct(context, {nullptr, no_unroll});
    loop_id->replaceOperandWith(0, loop_id);
    back->setMetadata(llvm::LLVMContext::MD_loop, loop_id);
    b.SetInsertPoint(done);
    for (std::size_t i = 0; i < count; ++i) {
      const int v = static_cast<int>(i) % s.vectors;
      Value* value = sums[i]->getIncomingValueForBlock(body);
      if (s.scale) value = b.CreateFMul(value, b.CreateVectorSplat(static_cast<unsigned>(lanes), scale));
      if (s.bias) value = b.CreateFAdd(value, load(column(bias, v), v));
      Value* target = column(c_row[i / static_cast<std::size_t>(s.vectors)], v);
      if (mask && v == s.vectors - 1) {
        b.CreateMaskedStore(value, target, align, mask);
      } else {
        b.CreateAlignedStore(value, target, align);
      }
    }
    b.CreateRetVoid();
    return {name};
  };
}

Jit::Fill transpose_emitter(int lanes) {
  return [lanes](llvm::Module& module) -> std::vector<std::string> {
    llvm::LLVMContext& context = module.getContext();
    Builder b(context);
    llvm::Type *pointer = b.getPtrTy(), *i64 = b.getInt64Ty(), *f32 = b.getFloatTy();
    auto* vector = llvm::FixedVectorType::get(f32, static_cast<unsigned>(lanes));
    auto* f = llvm::Function::Create(
        llvm::FunctionType::get(b.getVoidTy(), {pointer, i64, pointer, i64, i64}, false),
        llvm::Function::ExternalLinkage, "transpose", module);
    f->addParamAttr(0, llvm::Attribute::NoAlias);
    f->addParamAttr(2, llvm::Attribute::NoAlias);
    Value *source = f->getArg(0), *stride = f->getArg(1), *panel = f->getArg(2), *columns = f->getArg(3),
          *k = f->getArg(4);
    b.SetInsertPoint(llvm::BasicBlock::Create(context, "entry", f));
    const llvm::Align align(4);
    const std::size_t size = static_cast<std::size_t>(lanes);
    const auto constant = [&](int value) { return b.getInt64(static_cast<std::uint64_t>(value)); };
    counted_loop(b, columns, lanes, [&](Value* j) {
      counted_loop(b, k, lanes, [&](Value* x) {
        Value* mask = lane_mask(b, b.CreateSub(k, x), lanes);
        std::vector<Value*> rows(size);
        for (int r = 0; r < lanes; ++r) {
          // Rows beyond the last are read under an empty mask: nothing is touched.
          Value* inside = b.CreateICmpSLT(b.CreateNSWAdd(j, constant(r)), columns);
          Value* use = b.CreateAnd(mask, b.CreateVectorSplat(static_cast<unsigned>(lanes), inside));
          Value* p = b.CreateGEP(f32, source,
                                 b.CreateNSWAdd(b.CreateNSWMul(b.CreateNSWAdd(j, constant(r)), stride), x));
          rows[static_cast<std::size_t>(r)] =
              b.CreateMaskedLoad(vector, p, align, use, llvm::Constant::getNullValue(vector));
        }
        // Stage s swaps the off-diagonal halves of 2s x 2s blocks.
        for (std::size_t s = 1; s < size; s *= 2) {
          std::vector<Value*> next(size);
          for (std::size_t r = 0; r < size; ++r) {
            if (r & s) continue;
            std::vector<int> low(size), high(size);
            for (std::size_t l = 0; l < size; ++l) {
              low[l] = static_cast<int>((l & s) ? size + (l ^ s) : l);
              high[l] = static_cast<int>((l & s) ? size + l : (l ^ s));
            }
            next[r] = b.CreateShuffleVector(rows[r], rows[r + s], low);
            next[r + s] = b.CreateShuffleVector(rows[r], rows[r + s], high);
          }
          rows = next;
        }
        for (int r = 0; r < lanes; ++r) {
          llvm::Function* function = b.GetInsertBlock()->getParent();
          auto* write = llvm::BasicBlock::Create(context, "write", function);
          auto* after = llvm::BasicBlock::Create(context, "after", function);
          Value* position = b.CreateNSWAdd(x, constant(r));
          b.CreateCondBr(b.CreateICmpSLT(position, k), write, after);
          b.SetInsertPoint(write);
          b.CreateAlignedStore(
              rows[static_cast<std::size_t>(r)],
              b.CreateGEP(f32, panel,
                          b.CreateNSWAdd(b.CreateNSWMul(position, constant(static_cast<int>(kPanel))), j)),
              align);
          b.CreateBr(after);
          b.SetInsertPoint(after);
        }
      });
    });
    b.CreateRetVoid();
    return {"transpose"};
  };
}

}  // namespace ballast::loop
