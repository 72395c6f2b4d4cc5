#include "ballast/model/threads.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <sched.h>

#include <mutex>

#include "ballast/base/errors.h"

namespace ballast::model {
namespace {

// OpenBLAS is reached through the dynamic linker, because libtorch links whatever libblas.so.3 points to.
template <typename Function>
Function blas_function(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

void restrict_to(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<std::size_t>(core), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    throw Unavailable::from_errno("processor cores", "this thread could not be bound to them");
  }
}

}  // namespace

void use_threads(int count) {
  if (count < 1) throw InvalidInput("threads", std::to_string(count), "at least 1");
  static std::once_flag once;
  std::call_once(once, [] { at::set_num_interop_threads(1); });
  at::set_num_threads(count);
  if (auto* set = blas_function<void (*)(int)>("openblas_set_num_threads")) set(count);
}

Threads threads_in_use() {
  Threads threads{.intra_op = at::get_num_threads(), .blas = 0};
  if (auto* get = blas_function<int (*)()>("openblas_get_num_threads")) threads.blas = get();
  return threads;
}

std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<std::size_t>(core), &set)) cores.push_back(core);
  }
  return cores;
}

PinnedScope::PinnedScope(const std::vector<int>& cores) {
  if (cores.empty()) return;
  before_ = allowed_cores();
  restrict_to(cores);
}

PinnedScope::~PinnedScope() {
  if (before_.empty()) return;
  try {
    restrict_to(before_);
  } catch (const Unavailable&) {
    // The cores were taken away meanwhile; the thread keeps those it has.
  }
}

}  // namespace ballast::model
