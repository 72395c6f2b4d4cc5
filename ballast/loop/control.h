// Control programs: small functions on 64-bit registers that decide which kernels run. `dynamic` compiles the
// control flow of its models to this form; here it is interpreted, or compiled by LLVM (the same results).
//
//   ControlProgram program = ...;
//   ControlMachine vm(program);                     // an interpreter with a stack of its own on the heap
//   ControlCode native(program, "default");         // machine code
//   std::int64_t r = native.call(function, context, args);
//
// A register holds an integer, the bits of a double, or an address. What a program does beyond arithmetic and
// memory goes through host functions. A host function that cannot go on throws when it is called from the
// interpreter; called from native code it must leave by switching stacks, for native frames do not unwind.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ballast::loop {

struct ControlContext;
/// Reads `args`, fills `results`; `immediate` is the instruction's.
using HostFunction = void (*)(ControlContext* context, std::int64_t immediate, const std::int64_t* args,
                              std::int64_t* results);

/// What control code sees of its surroundings. Derive to add more.
struct ControlContext {
  std::int64_t* next = nullptr;  ///< memory for `allocate`: the next free word
  std::int64_t* end = nullptr;   ///< when passed, host refill(context, words) must make room
  std::int64_t depth = 0;        ///< fields 0 .. 3, for get and set
  std::int64_t stream = 0, count = 0, extra = 0;
  std::int64_t fuel = 0;  ///< calls and loop iterations left; below 0: host overflow(0, function)
  std::int64_t frames = 0, most_frames = 0;  ///< open calls; more than most: host overflow(1, function)
  std::int64_t stack_limit =
      0;  ///< native code only: the lowest address of a frame; below: overflow(2, function)
  const HostFunction* hosts = nullptr;
  HostFunction refill = nullptr, overflow = nullptr;
};

enum class ControlOp : std::uint8_t {
  constant,  ///< a = immediate
  move,      ///< a = b
  add,
  sub,
  mul,  ///< a = b op c
  less,
  less_equal,
  equal,  ///< a = b op c ? 1 : 0
  real_add,
  real_sub,
  real_mul,
  real_div,
  real_less,
  real_less_equal,
  real_equal,
  logical_not,  ///< a = b == 0
  to_real,      ///< a = bits of double(b)
  to_integer,   ///< a = trunc of the double b
  jump,         ///< to instruction immediate
  jump_zero,    ///< to immediate if b == 0
  call,         ///< a = functions[immediate](operands b .. b + c)
  again,        ///< this function anew with operands b .. b + c: a tail call of itself
  result,       ///< return b
  load,         ///< a = word `immediate` of the object at b
  store,        ///< word `immediate` of the object at a = b
  allocate,     ///< a = a new object of `immediate` words
  get,          ///< a = field immediate of the context
  set,          ///< field immediate of the context = b
  host  ///< hosts[a](context, immediate, operands b .. b + c, results in the operands that follow: d of them)
};

struct ControlInstruction {
  ControlOp op;
  std::int32_t a = 0, b = 0, c = 0, d = 0;
  std::int64_t immediate = 0;
};

struct ControlFunction {
  std::string name;
  int parameters = 0, registers = 0;  ///< parameters are the first registers
  std::vector<ControlInstruction> code;
  std::vector<std::int32_t> operands;  ///< lists of registers
};

struct ControlProgram {
  std::vector<ControlFunction> functions;
};
std::string to_text(const ControlProgram& program);

class ControlExecutor {
 public:
  virtual ~ControlExecutor() = default;
  virtual std::int64_t call(int function, ControlContext& context, const std::int64_t* args) = 0;
};

/// Interprets. The program must outlive it. Re-entrant: each call has registers of its own.
class ControlMachine : public ControlExecutor {
 public:
  explicit ControlMachine(const ControlProgram& program) : program_(program) {}
  std::int64_t call(int function, ControlContext& context, const std::int64_t* args) override;

 private:
  const ControlProgram& program_;
};

/// Machine code by LLVM, cached on disk as kernels are (kernel.h).
class ControlCode : public ControlExecutor {
 public:
  explicit ControlCode(const ControlProgram& program, const std::string& cache_directory = "default");
  ~ControlCode() override;
  std::int64_t call(int function, ControlContext& context, const std::int64_t* args) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::loop
