// Matrix products of kernels by the libraries that people use today, for baselines and for `--inner`.
#pragma once

#include <cstdint>
#include <string>

#include "ballast/loop/gemm.h"

namespace ballast::ragged {

/// "onednn" or "openblas"; null when it was not found at configure time. The libraries run on one thread in
/// each worker. Gathered rows are not supported: the encoder has none.
loop::GemmFn library_product(const std::string& name, int threads = 1);
/// Threads of both libraries from here on.
void set_library_threads(int threads);
/// B := L B, L lower triangular n x n in full storage, by OpenBLAS's strmm.
bool library_trmm_available();
void library_trmm(std::int64_t n, const float* l, float* b);
/// Version and, for OpenBLAS, the core type that it runs.
std::string library_settings(const std::string& name);
/// OpenBLAS chooses kernels by CPU model and may take a newer CPU for an older one; no core type is the best
/// for all sizes. Times every core type that this CPU can run (products of 64, 256 and 512, in processes of
/// their own), then starts this program again with OPENBLAS_CORETYPE set to the fastest. Does nothing when
/// the type was chosen already, by the user or by this function.
void prefer_best_openblas_core(char** argv);

}  // namespace ballast::ragged
