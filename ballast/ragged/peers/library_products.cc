#include "ballast/ragged/peers/library_products.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "ballast/base/errors.h"

#ifdef BALLAST_HAVE_OPENBLAS
#include <cblas.h>
#endif
#ifdef BALLAST_HAVE_DNNL
#include <dnnl.h>
#endif

namespace ballast::ragged {
namespace {

/// The bias goes into C first: the library adds its product to it.
[[maybe_unused]] bool start_with_bias(const loop::GemmArgs& g) {
  BALLAST_CHECK(g.a_rows == nullptr && g.a_pointers == nullptr && !g.b_packed,
                "a library product of gathered or packed operands");
  if (g.bias == nullptr) return g.accumulate != 0;
  for (std::int64_t i = 0; i < g.m; ++i) {
    float* c = g.c + i * g.c_stride;
    if (g.accumulate) {
      for (std::int64_t j = 0; j < g.n; ++j) c[j] += g.bias[j];
    } else {
      std::memcpy(c, g.bias, static_cast<std::size_t>(g.n) * sizeof(float));
    }
  }
  return true;
}

#ifdef BALLAST_HAVE_OPENBLAS
void openblas_product(loop::GemmTiles&, const loop::GemmArgs& g) {
  const float beta = start_with_bias(g) ? 1.0f : 0.0f;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, g.b_transposed ? CblasTrans : CblasNoTrans,
              static_cast<blasint>(g.m), static_cast<blasint>(g.n), static_cast<blasint>(g.k),
              static_cast<float>(g.scale), g.a, static_cast<blasint>(g.a_stride), g.b,
              static_cast<blasint>(g.b_stride), beta, g.c, static_cast<blasint>(g.c_stride));
}
#endif

#ifdef BALLAST_HAVE_DNNL
void onednn_product(loop::GemmTiles&, const loop::GemmArgs& g) {
  const float beta = start_with_bias(g) ? 1.0f : 0.0f;
  dnnl_sgemm('N', g.b_transposed ? 'T' : 'N', g.m, g.n, g.k, static_cast<float>(g.scale), g.a, g.a_stride,
             g.b, g.b_stride, beta, g.c, g.c_stride);
}
#endif

}  // namespace

loop::GemmFn library_product(const std::string& name) {
#ifdef BALLAST_HAVE_OPENBLAS
  if (name == "openblas") {
    openblas_set_num_threads(1);
    return &openblas_product;
  }
#endif
#ifdef BALLAST_HAVE_DNNL
  if (name == "onednn") {
    // oneDNN's threads are those of the OpenMP run-time that it brings along.
    if (void* set = ::dlsym(RTLD_DEFAULT, "omp_set_num_threads")) reinterpret_cast<void (*)(int)>(set)(1);
    return &onednn_product;
  }
#endif
  return nullptr;
}

std::string library_settings(const std::string& name) {
#ifdef BALLAST_HAVE_OPENBLAS
  if (name == "openblas")
    return std::string(openblas_get_config()) + ", core " + openblas_get_corename() + ", 1 thread a worker";
#endif
#ifdef BALLAST_HAVE_DNNL
  if (name == "onednn") {
    const dnnl_version_t* v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch) +
           ", 1 thread a worker";
  }
#endif
  return "";
}

void prefer_best_openblas_core([[maybe_unused]] char** argv) {
#if defined(BALLAST_HAVE_OPENBLAS) && defined(__x86_64__)
  if (std::getenv("BALLAST_OPENBLAS_CHOSEN") != nullptr || !__builtin_cpu_supports("avx512f")) return;
  const std::string core = openblas_get_corename();
  if (core == "SkylakeX" || core == "Cooperlake" || core == "SapphireRapids") return;
  ::setenv("BALLAST_OPENBLAS_CHOSEN", "1", 1);
  ::setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
  ::execv("/proc/self/exe", argv);  // on failure the present core stays
#endif
}

}  // namespace ballast::ragged
