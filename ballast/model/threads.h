// How many cores libtorch and the BLAS under it may use.
//
// Small operators gain nothing from a pool of threads, and two pools (ATen's and OpenBLAS's) that spin at the
// same time on the same cores cost more than they give. The house rule is one intra-op thread a worker; work
// is spread over workers (clients, evaluations, blocks in flight) instead.
//
//   model::use_threads(1);                     // first thing in main, or first thing in a worker
//   model::PinnedScope pin({0});               // this thread and the BLAS threads it starts stay on core 0
#pragma once

#include <vector>

namespace ballast::model {

/// Sets ATen's intra-op threads and OpenBLAS's threads (which `at::set_num_threads` does not reach) to
/// `count`, and ATen's inter-op threads to one on the first call of a process. Throws InvalidInput when count
/// < 1.
void use_threads(int count);

/// The present settings, for reports. `blas` is 0 when the BLAS in use is not OpenBLAS.
struct Threads {
  int intra_op = 1;
  int blas = 0;
};
Threads threads_in_use();

/// The cores that this thread may run on.
std::vector<int> allowed_cores();

/// Restricts the calling thread to the given cores while it lives. An empty list changes nothing.
class PinnedScope {
 public:
  explicit PinnedScope(const std::vector<int>& cores);
  ~PinnedScope();
  PinnedScope(const PinnedScope&) = delete;
  PinnedScope& operator=(const PinnedScope&) = delete;

 private:
  std::vector<int> before_;
};

}  // namespace ballast::model
