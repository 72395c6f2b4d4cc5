// Control programs to LLVM IR, one function each; registers become values through mem2reg.
#include <fmt/format.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <cstddef>

#include "ballast/loop/control.h"
#include "ballast/loop/jit.h"

namespace ballast::loop {
namespace {

using llvm::Value;

class Emitter {
 public:
  Emitter(const ControlProgram& program, llvm::Module& module)
      : program_(program),
        module_(module),
        b_(module.getContext()),
        i64_(b_.getInt64Ty()),
        pointer_(b_.getPtrTy()) {}

  std::vector<std::string> run() {
    for (std::size_t i = 0; i < program_.functions.size(); ++i) {
      const auto parameters = static_cast<std::size_t>(program_.functions[i].parameters);
      std::vector<llvm::Type*> types(parameters + 1, i64_);
      types[0] = pointer_;
      functions_.push_back(llvm::Function::Create(llvm::FunctionType::get(i64_, types, false),
                                                  llvm::Function::InternalLinkage,
                                                  fmt::format("control{}", i), module_));
    }
    std::vector<std::string> names;
    for (std::size_t i = 0; i < program_.functions.size(); ++i) {
      emit(static_cast<int>(i));
      names.push_back(door(static_cast<int>(i)));
    }
    return names;
  }

 private:
  static constexpr std::size_t kDepth = offsetof(ControlContext, depth);

  Value* field(std::size_t offset) { return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), context_, offset); }
  Value* read(std::size_t offset) { return b_.CreateLoad(i64_, field(offset)); }
  Value* get(std::int32_t r) { return b_.CreateLoad(i64_, registers_[static_cast<std::size_t>(r)]); }
  void set(std::int32_t r, Value* v) { b_.CreateStore(v, registers_[static_cast<std::size_t>(r)]); }
  Value* real(std::int32_t r) { return b_.CreateBitCast(get(r), b_.getDoubleTy()); }
  Value* number(std::int64_t v) { return b_.getInt64(static_cast<std::uint64_t>(v)); }

  void call_host(Value* address, std::int64_t immediate, Value* args, Value* results) {
    auto* type = llvm::FunctionType::get(b_.getVoidTy(), {pointer_, i64_, pointer_, pointer_}, false);
    b_.CreateCall(type, address, {context_, number(immediate), args, results});
  }

  /// Leaves through `overflow` unless the condition holds.
  void require(Value* holds, std::int64_t what, int id) {
    auto* bad = llvm::BasicBlock::Create(module_.getContext(), "overflow", f_);
    auto* good = llvm::BasicBlock::Create(module_.getContext(), "within", f_);
    b_.CreateCondBr(holds, good, bad);
    b_.SetInsertPoint(bad);
    b_.CreateStore(number(id), arguments_);
    call_host(b_.CreateLoad(pointer_, field(offsetof(ControlContext, overflow))), what, arguments_,
              arguments_);
    b_.CreateUnreachable();
    b_.SetInsertPoint(good);
  }

  void burn(int id) {
    Value* fuel = b_.CreateSub(read(offsetof(ControlContext, fuel)), number(1));
    b_.CreateStore(fuel, field(offsetof(ControlContext, fuel)));
    require(b_.CreateICmpSGE(fuel, number(0)), 0, id);
  }

  void emit(int id) {
    const ControlFunction& source = program_.functions[static_cast<std::size_t>(id)];
    f_ = functions_[static_cast<std::size_t>(id)];
    context_ = f_->getArg(0);
    b_.SetInsertPoint(llvm::BasicBlock::Create(module_.getContext(), "entry", f_));
    registers_.clear();
    for (int i = 0; i < source.registers; ++i) registers_.push_back(b_.CreateAlloca(i64_));
    int widest = 1;
    for (const ControlInstruction& in : source.code) widest = std::max(widest, in.c + in.d);
    arguments_ = b_.CreateAlloca(i64_, number(widest));
    for (int i = 0; i < source.parameters; ++i) set(i, f_->getArg(static_cast<unsigned>(i) + 1));
    Value* frames = b_.CreateAdd(read(offsetof(ControlContext, frames)), number(1));
    b_.CreateStore(frames, field(offsetof(ControlContext, frames)));
    require(b_.CreateICmpSLE(frames, read(offsetof(ControlContext, most_frames))), 1, id);
    require(
        b_.CreateICmpUGT(b_.CreatePtrToInt(arguments_, i64_), read(offsetof(ControlContext, stack_limit))), 2,
        id);
    std::vector<llvm::BasicBlock*> blocks;
    for (std::size_t i = 0; i < source.code.size(); ++i)
      blocks.push_back(llvm::BasicBlock::Create(module_.getContext(), fmt::format("at{}", i), f_));
    auto* start = llvm::BasicBlock::Create(module_.getContext(), "start", f_, blocks.front());
    b_.CreateBr(start);
    b_.SetInsertPoint(start);
    burn(id);
    b_.CreateBr(blocks.front());
    for (std::size_t i = 0; i < source.code.size(); ++i) {
      b_.SetInsertPoint(blocks[i]);
      if (!instruction(source, source.code[i], blocks, start)) b_.CreateBr(blocks[i + 1]);
    }
  }

  Value* flag(Value* condition) { return b_.CreateZExt(condition, i64_); }
  Value* from_real(Value* v) { return b_.CreateBitCast(v, i64_); }

  /// True when the instruction ended its block.
  bool instruction(const ControlFunction& f, const ControlInstruction& in,
                   const std::vector<llvm::BasicBlock*>& blocks, llvm::BasicBlock* start) {
    const auto operand = [&](int i) { return f.operands[static_cast<std::size_t>(in.b + i)]; };
    switch (in.op) {
      case ControlOp::constant:
        set(in.a, number(in.immediate));
        break;
      case ControlOp::move:
        set(in.a, get(in.b));
        break;
      case ControlOp::add:
        set(in.a, b_.CreateAdd(get(in.b), get(in.c)));
        break;
      case ControlOp::sub:
        set(in.a, b_.CreateSub(get(in.b), get(in.c)));
        break;
      case ControlOp::mul:
        set(in.a, b_.CreateMul(get(in.b), get(in.c)));
        break;
      case ControlOp::less:
        set(in.a, flag(b_.CreateICmpSLT(get(in.b), get(in.c))));
        break;
      case ControlOp::less_equal:
        set(in.a, flag(b_.CreateICmpSLE(get(in.b), get(in.c))));
        break;
      case ControlOp::equal:
        set(in.a, flag(b_.CreateICmpEQ(get(in.b), get(in.c))));
        break;
      case ControlOp::real_add:
        set(in.a, from_real(b_.CreateFAdd(real(in.b), real(in.c))));
        break;
      case ControlOp::real_sub:
        set(in.a, from_real(b_.CreateFSub(real(in.b), real(in.c))));
        break;
      case ControlOp::real_mul:
        set(in.a, from_real(b_.CreateFMul(real(in.b), real(in.c))));
        break;
      case ControlOp::real_div:
        set(in.a, from_real(b_.CreateFDiv(real(in.b), real(in.c))));
        break;
      case ControlOp::real_less:
        set(in.a, flag(b_.CreateFCmpOLT(real(in.b), real(in.c))));
        break;
      case ControlOp::real_less_equal:
        set(in.a, flag(b_.CreateFCmpOLE(real(in.b), real(in.c))));
        break;
      case ControlOp::real_equal:
        set(in.a, flag(b_.CreateFCmpOEQ(real(in.b), real(in.c))));
        break;
      case ControlOp::logical_not:
        set(in.a, flag(b_.CreateICmpEQ(get(in.b), number(0))));
        break;
      case ControlOp::to_real:
        set(in.a, from_real(b_.CreateSIToFP(get(in.b), b_.getDoubleTy())));
        break;
      case ControlOp::to_integer:
        set(in.a, b_.CreateFPToSI(real(in.b), i64_));
        break;
      case ControlOp::jump:
        b_.CreateBr(blocks[static_cast<std::size_t>(in.immediate)]);
        return true;
      case ControlOp::jump_zero: {
        auto* other = llvm::BasicBlock::Create(module_.getContext(), "on", f_);
        b_.CreateCondBr(b_.CreateICmpEQ(get(in.b), number(0)), blocks[static_cast<std::size_t>(in.immediate)],
                        other);
        b_.SetInsertPoint(other);
        break;
      }
      case ControlOp::call: {
        std::vector<Value*> args{context_};
        for (int i = 0; i < in.c; ++i) args.push_back(get(operand(i)));
        set(in.a, b_.CreateCall(functions_[static_cast<std::size_t>(in.immediate)], args));
        break;
      }
      case ControlOp::again: {
        std::vector<Value*> args;
        for (int i = 0; i < in.c; ++i) args.push_back(get(operand(i)));
        for (int i = 0; i < in.c; ++i) set(i, args[static_cast<std::size_t>(i)]);
        b_.CreateBr(start);
        return true;
      }
      case ControlOp::result:
        b_.CreateStore(b_.CreateSub(read(offsetof(ControlContext, frames)), number(1)),
                       field(offsetof(ControlContext, frames)));
        b_.CreateRet(get(in.b));
        return true;
      case ControlOp::load:
        set(in.a, b_.CreateLoad(i64_, word(get(in.b), in.immediate)));
        break;
      case ControlOp::store:
        b_.CreateStore(get(in.b), word(get(in.a), in.immediate));
        break;
      case ControlOp::allocate: {
        auto* full = llvm::BasicBlock::Create(module_.getContext(), "refill", f_);
        auto* room = llvm::BasicBlock::Create(module_.getContext(), "room", f_);
        Value* next = b_.CreateAdd(read(offsetof(ControlContext, next)), number(8 * in.immediate));
        b_.CreateCondBr(b_.CreateICmpULE(next, read(offsetof(ControlContext, end))), room, full);
        b_.SetInsertPoint(full);
        call_host(b_.CreateLoad(pointer_, field(offsetof(ControlContext, refill))), in.immediate, arguments_,
                  arguments_);
        b_.CreateBr(room);
        b_.SetInsertPoint(room);
        Value* object = read(offsetof(ControlContext, next));
        set(in.a, object);
        b_.CreateStore(b_.CreateAdd(object, number(8 * in.immediate)), field(offsetof(ControlContext, next)));
        break;
      }
      case ControlOp::get:
        set(in.a, read(kDepth + 8 * static_cast<std::size_t>(in.immediate)));
        break;
      case ControlOp::set:
        b_.CreateStore(get(in.b), field(kDepth + 8 * static_cast<std::size_t>(in.immediate)));
        break;
      case ControlOp::host: {
        for (int i = 0; i < in.c; ++i)
          b_.CreateStore(get(operand(i)),
                         b_.CreateConstInBoundsGEP1_64(i64_, arguments_, static_cast<std::uint64_t>(i)));
        Value* results = b_.CreateConstInBoundsGEP1_64(i64_, arguments_, static_cast<std::uint64_t>(in.c));
        Value* hosts = b_.CreateLoad(pointer_, field(offsetof(ControlContext, hosts)));
        call_host(b_.CreateLoad(pointer_, b_.CreateConstInBoundsGEP1_64(pointer_, hosts,
                                                                        static_cast<std::uint64_t>(in.a))),
                  in.immediate, arguments_, results);
        for (int i = 0; i < in.d; ++i)
          set(operand(in.c + i), b_.CreateLoad(i64_, b_.CreateConstInBoundsGEP1_64(
                                                         i64_, results, static_cast<std::uint64_t>(i))));
        break;
      }
    }
    return false;
  }

  Value* word(Value* object, std::int64_t index) {
    return b_.CreateConstInBoundsGEP1_64(i64_, b_.CreateIntToPtr(object, pointer_),
                                         static_cast<std::uint64_t>(index));
  }

  /// The function as call() reaches it: (context, array of arguments).
  std::string door(int id) {
    const std::string name = fmt::format("door{}", id);
    auto* f = llvm::Function::Create(llvm::FunctionType::get(i64_, {pointer_, pointer_}, false),
                                     llvm::Function::ExternalLinkage, name, module_);
    b_.SetInsertPoint(llvm::BasicBlock::Create(module_.getContext(), "entry", f));
    std::vector<Value*> args{f->getArg(0)};
    for (int i = 0; i < program_.functions[static_cast<std::size_t>(id)].parameters; ++i)
      args.push_back(b_.CreateLoad(
          i64_, b_.CreateConstInBoundsGEP1_64(i64_, f->getArg(1), static_cast<std::uint64_t>(i))));
    b_.CreateRet(b_.CreateCall(functions_[static_cast<std::size_t>(id)], args));
    return name;
  }

  const ControlProgram& program_;
  llvm::Module& module_;
  llvm::IRBuilder<> b_;
  llvm::Type *i64_, *pointer_;
  std::vector<llvm::Function*> functions_;
  std::vector<Value*> registers_;
  llvm::Function* f_ = nullptr;
  Value *context_ = nullptr, *arguments_ = nullptr;
};

}  // namespace

struct ControlCode::State {
  explicit State(const std::string& cache) : jit(cache) {}
  Jit jit;
  std::vector<std::int64_t (*)(ControlContext*, const std::int64_t*)> doors;
};

ControlCode::ControlCode(const ControlProgram& program, const std::string& cache_directory)
    : state_(std::make_unique<State>(cache_directory)) {
  for (void* address : state_->jit.add([&](llvm::Module& module) { return Emitter(program, module).run(); }))
    state_->doors.push_back(
        reinterpret_cast<std::int64_t (*)(ControlContext*, const std::int64_t*)>(address));
}
ControlCode::~ControlCode() = default;

std::int64_t ControlCode::call(int function, ControlContext& context, const std::int64_t* args) {
  return state_->doors[static_cast<std::size_t>(function)](&context, args);
}

}  // namespace ballast::loop
