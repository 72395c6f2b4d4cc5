// The code generator's back half: LLVM modules to machine code in this process, with compiled objects kept on
// disk. LLVM headers stay behind this file and its includers inside `loop`.
//
// The cache's key is the hash of the *unoptimised* module, the CPU and LLVM's version, so that a hit costs
// neither the optimiser nor code generation. An entry is checked (length and checksum) before it is linked; a
// damaged one is removed and compiled again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace llvm {
class LLVMContext;
class Module;
}  // namespace llvm

namespace ballast::loop {

/// The host as the code generator sees it, detected at run time.
struct HostTarget {
  std::string cpu;        ///< LLVM's name: "znver4"
  std::string features;   ///< "+avx512f,..."
  int vector_bytes = 16;  ///< of the widest registers worth using: 64, 32 or 16
  int registers = 16;     ///< vector registers
};

struct JitCounters {
  std::int64_t compiled = 0, from_disk = 0, damaged = 0;
  double emit_seconds = 0, compile_seconds = 0;
};

class Jit {
 public:
  /// `cache_directory` as KernelRegistry's.
  explicit Jit(const std::string& cache_directory);
  ~Jit();
  Jit(const Jit&) = delete;
  Jit& operator=(const Jit&) = delete;

  const HostTarget& host() const;

  /// Fills a module and names its functions; must depend on its captures alone. The names get a suffix made
  /// of the module's hash, so modules do not collide.
  using Fill = std::function<std::vector<std::string>(llvm::Module&)>;
  /// Compiles (or loads) the module and returns the addresses of the named functions. Thread-safe.
  std::vector<void*> add(const Fill& fill);
  /// Text of the optimised module ("llvm") or its assembly ("asm").
  std::string emit(const Fill& fill, const std::string& form) const;
  /// Makes a process address known to compiled code under this name.
  void define(const std::string& name, void* address);
  JitCounters counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::loop
