// Matrix products of kernels by the libraries that people use today, for baselines and for `--inner`.
#pragma once

#include <string>

#include "ballast/loop/gemm.h"

namespace ballast::ragged {

/// "onednn" or "openblas"; null when it was not found at configure time. The libraries run on one thread in
/// each worker. Gathered rows are not supported: the encoder has none.
loop::GemmFn library_product(const std::string& name);
/// Version and, for OpenBLAS, the core type that it runs.
std::string library_settings(const std::string& name);
/// OpenBLAS chooses kernels by CPU model and may take a newer CPU for an older one: starts this program again
/// with OPENBLAS_CORETYPE set to its AVX-512 core where the CPU has AVX-512 and another core was chosen.
void prefer_best_openblas_core(char** argv);

}  // namespace ballast::ragged
