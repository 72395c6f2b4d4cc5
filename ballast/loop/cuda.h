// Loop IR to CUDA C text, and its compilation by NVRTC (opened at run time; no CUDA is needed to build).
//
// One block is one task. A vector loop is shared out over the block's threads; an `accumulate` to a place
// that all iterations share is folded over the block in shared memory by a fixed tree. A matrix product is
// shared out by elements. What stands between such loops is run by thread 0, with barriers around it. Local
// buffers lie in shared memory, or in registers when they are allocated inside a vector loop.
//
//   std::string text = to_cuda(function);
//   std::string ptx = compile_cuda(text, "sm_90");          // throws Unavailable without NVRTC
#pragma once

#include <string>

#include "ballast/loop/kernel.h"

namespace ballast::loop {

/// A kernel `extern "C" __global__ void ballast_NAME(void* const* buffers, const long long* scalars, const
/// int* const* aux, char* scratch)` for num_tasks blocks of `threads` threads; scratch_bytes of the signature
/// a block.
std::string to_cuda(const Function& function, int threads = 128);

bool nvrtc_available();
/// PTX text. A compile error is Unavailable with NVRTC's log.
std::string compile_cuda(const std::string& text, const std::string& architecture = "compute_80");

}  // namespace ballast::loop
